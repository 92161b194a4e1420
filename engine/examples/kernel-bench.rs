//! Speed of the matrix product by format and instruction set: `cargo run --release --example kernel-bench [threads]`.
//!
//! Decode rows give GB/s of weights read (one activation row), prefill rows GOPS (2 operations per weight and
//! activation row). Each figure is the minimum, median and maximum of several runs. Random bits stand for weights.
use std::{num::NonZeroUsize, time::Instant};

use realm_engine::kernels::{
    Kernels,
    packed::{PackedLayout, PackedMatrix, pack_group},
};
use realm_engine::ops::product::{Precision, Products};
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
    let packed: Vec<Vec<u8>> = data.iter().map(|bytes| packed(format, bytes)).collect();
    let matrix = |(bytes, packed)| -> anyhow::Result<Matrix<'_>> {
        match PackedMatrix::new(format, ROWS, COLS, packed) {
            Some(packed) => Ok(packed.into()),
            None => Ok(Matrix::new(format, ROWS, COLS, bytes)?),
        }
    };
    let pairs = data.iter().map(Vec::as_slice).zip(packed.iter().map(Vec::as_slice));
    let matrices: Vec<Matrix<'_>> = pairs.map(matrix).collect::<Result<_, _>>()?;
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
            let products = Products { kernels, precision: Precision::Fast, team };
            products.multiply(&input, COLS, [(*matrix, &mut output)]);
            std::hint::black_box(&output);
        }
        start.elapsed().as_secs_f64()
    };
    pass();
    let mut seconds: Vec<f64> = (0..runs).map(|_| pass()).collect();
    seconds.sort_by(|a, b| b.total_cmp(a));
    [seconds[0], seconds[runs / 2], seconds[runs - 1]]
}

/// Nothing for formats that are not packed.
fn packed(format: BlockFormat, bytes: &[u8]) -> Vec<u8> {
    let Some(layout) = PackedLayout::of(format) else { return Vec::new() };
    let mut packed = vec![0; layout.bytes(ROWS, COLS).unwrap_or(0)];
    let rows: Vec<&[u8]> = bytes.chunks_exact(bytes.len() / ROWS).collect();
    let groups = packed.chunks_exact_mut(layout.group_bytes(COLS).unwrap_or(1));
    for (rows, group) in rows.chunks(16).zip(groups) {
        pack_group(format, COLS, rows, group);
    }
    packed
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
