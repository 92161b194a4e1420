//! Speed of the matrix product by format and instruction set: `cargo run --release --example kernel-bench [threads]`.
//!
//! Decode rows give GB/s of weights read (one activation row), prefill rows GOPS (2 operations per weight and
//! activation row). Each figure is the minimum, median and maximum of several runs. Random bits stand for weights.
use std::{num::NonZeroUsize, time::Instant};

use realm_engine::kernels::Kernels;
use realm_engine::ops::matmul::matmul;
use realm_engine::quant::BlockFormat;
use realm_engine::team::Team;
use realm_engine::weights::Matrix;

const RUNS: usize = 9;
const ROWS: usize = 1536;
const COLS: usize = 1536;
/// Matrices in turn, so that decode reads more than the second-level cache holds.
const MATRICES: usize = 8;
const PREFILL: usize = 64;

fn main() -> anyhow::Result<()> {
    let threads = std::env::args().nth(1).map_or(Ok(NonZeroUsize::MIN), |text| text.parse())?;
    let team = Team::new(threads)?;
    println!("{} threads, {MATRICES} matrices of {ROWS} x {COLS}", team.threads());
    println!(
        "{:7} {:6} {:>28} {:>28}",
        "kernels", "format", "decode GB/s min/med/max", "prefill GOPS min/med/max"
    );
    for kernels in Kernels::available() {
        for format in BlockFormat::ALL {
            if !matches!(format, BlockFormat::Q8_1 | BlockFormat::Q8_K) {
                bench(kernels, &team, format)?;
            }
        }
    }
    Ok(())
}

fn bench(kernels: Kernels, team: &Team, format: BlockFormat) -> anyhow::Result<()> {
    let bytes = format.row_bytes(COLS).unwrap_or(0) * ROWS;
    let data: Vec<Vec<u8>> = (0..MATRICES).map(|seed| noise(bytes, seed as u32)).collect();
    let matrices: Vec<Matrix<'_>> = data
        .iter()
        .map(|bytes| Matrix::new(format, ROWS, COLS, bytes))
        .collect::<Result<_, _>>()?;
    let runs = if kernels.name() == "scalar" { 1 } else { RUNS };
    let decode = measure(kernels, team, &matrices, 1, runs)
        .map(|seconds| (bytes * MATRICES) as f64 / seconds / 1e9);
    let prefill = if kernels.name() == "scalar" { 4 } else { PREFILL };
    let operations = 2 * ROWS * COLS * MATRICES * prefill;
    let gops = measure(kernels, team, &matrices, prefill, runs)
        .map(|seconds| operations as f64 / seconds / 1e9);
    println!("{:7} {:6} {:>28} {:>28}", kernels.name(), format.name(), show(decode), show(gops));
    Ok(())
}

/// Seconds of the slowest, the median and the fastest pass over all matrices.
fn measure(
    kernels: Kernels,
    team: &Team,
    matrices: &[Matrix<'_>],
    n: usize,
    runs: usize,
) -> [f64; 3] {
    let input: Vec<f32> = (0..n * COLS).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut output = vec![0.0; n * ROWS];
    let mut pass = || {
        let start = Instant::now();
        for matrix in matrices {
            matmul(&kernels, team, matrix, &input, &mut output);
            std::hint::black_box(&output);
        }
        start.elapsed().as_secs_f64()
    };
    pass();
    let mut seconds: Vec<f64> = (0..runs).map(|_| pass()).collect();
    seconds.sort_by(|a, b| b.total_cmp(a));
    [seconds[0], seconds[runs / 2], seconds[runs - 1]]
}

fn show([min, median, max]: [f64; 3]) -> String {
    format!("{min:.1} / {median:.1} / {max:.1}")
}

/// Bytes without zero exponents or infinities in any 16-bit place: plain numbers as scales.
fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 24) as u8 & 0x3f) | 0x10
    };
    (0..len).map(|_| next()).collect()
}
