//! Every kernel of this CPU against the scalar reference, on random and extreme blocks of every format.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use std::num::Wrapping;

use half::{bf16, f16};
use realm_engine::kernels::{
    ActivationFormat, Activations, KernelChoice, KernelError, Kernels, Pointwise, WeightRows,
    packed::{PackedLayout, PackedMatrix, Product, layout, pack_group},
};
use realm_engine::ops::matmul::matmul_prepared;
use realm_engine::quant::{BlockFormat, dequantize_row};
use realm_engine::team::Team;
use realm_engine::weights::Matrix;

/// Largest difference from the reference, as a share of the sum of the magnitudes of all terms.
const TOLERANCE: f64 = 1e-6;

/// A small generator of our own, so that every run and platform tests the same blocks.
struct Random(Wrapping<u64>);

impl Random {
    fn new(seed: u64) -> Self {
        Self(Wrapping(seed ^ 0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u32 {
        self.0 = self.0 * Wrapping(6_364_136_223_846_793_005) + Wrapping(1_442_695_040_888_963_407);
        (self.0.0 >> 33) as u32
    }

    /// In -1..1.
    fn float(&mut self) -> f32 {
        (self.next() as i32 - (1 << 30)) as f32 / (1 << 30) as f32
    }
}

#[derive(Debug, Clone, Copy)]
enum Blocks {
    Random,
    AllZeroBits,
    AllOneCodes,
    SubnormalScales,
    LargeScales,
}

const BLOCKS: [Blocks; 5] = [
    Blocks::Random,
    Blocks::AllZeroBits,
    Blocks::AllOneCodes,
    Blocks::SubnormalScales,
    Blocks::LargeScales,
];

/// Byte offsets of the 16-bit floats in a block; Q8_K has one of 32 bits.
fn scale_offsets(format: BlockFormat) -> &'static [usize] {
    match format {
        BlockFormat::Q4_0 | BlockFormat::Q5_0 | BlockFormat::Q8_0 => &[0],
        BlockFormat::Q4_1
        | BlockFormat::Q5_1
        | BlockFormat::Q8_1
        | BlockFormat::Q4_K
        | BlockFormat::Q5_K => &[0, 2],
        BlockFormat::Q2_K => &[80, 82],
        BlockFormat::Q3_K => &[108],
        BlockFormat::Q6_K => &[208],
        BlockFormat::F32 | BlockFormat::F16 | BlockFormat::BF16 | BlockFormat::Q8_K => &[],
    }
}

fn scale(blocks: Blocks, random: &mut Random) -> f32 {
    match blocks {
        Blocks::Random | Blocks::AllOneCodes => random.float() * 0.1,
        Blocks::AllZeroBits => 0.0,
        Blocks::SubnormalScales => random.float() * 6e-5,
        Blocks::LargeScales => random.float() * 60_000.0,
    }
}

fn weights(
    format: BlockFormat,
    blocks: Blocks,
    rows: usize,
    cols: usize,
    random: &mut Random,
) -> Vec<u8> {
    let bytes = format.row_bytes(cols).unwrap() * rows;
    let float = |random: &mut Random| scale(blocks, random);
    match format {
        BlockFormat::F32 => (0..rows * cols).flat_map(|_| float(random).to_le_bytes()).collect(),
        BlockFormat::F16 => {
            (0..rows * cols).flat_map(|_| f16::from_f32(float(random)).to_le_bytes()).collect()
        }
        BlockFormat::BF16 => {
            (0..rows * cols).flat_map(|_| bf16::from_f32(float(random)).to_le_bytes()).collect()
        }
        _ => {
            let fill = |random: &mut Random| match blocks {
                Blocks::AllZeroBits => 0,
                Blocks::AllOneCodes => 0xff,
                _ => random.next() as u8,
            };
            let mut bytes: Vec<u8> = (0..bytes).map(|_| fill(random)).collect();
            for block in bytes.chunks_exact_mut(format.block_bytes()) {
                for offset in scale_offsets(format) {
                    block[*offset..offset + 2]
                        .copy_from_slice(&f16::from_f32(scale(blocks, random)).to_le_bytes());
                }
                if format == BlockFormat::Q8_K {
                    block[..4].copy_from_slice(&scale(blocks, random).to_le_bytes());
                }
            }
            bytes
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Inputs {
    Random,
    Zero,
    OneSpike,
    AllEqual,
    Tiny,
}

const INPUTS: [Inputs; 5] =
    [Inputs::Random, Inputs::Zero, Inputs::OneSpike, Inputs::AllEqual, Inputs::Tiny];

fn input(inputs: Inputs, len: usize, random: &mut Random) -> Vec<f32> {
    (0..len)
        .map(|i| match inputs {
            Inputs::Random => random.float() * 3.0,
            Inputs::Zero => 0.0,
            Inputs::OneSpike if i % 97 == 5 => -1000.0,
            Inputs::OneSpike => random.float() * 0.01,
            Inputs::AllEqual => -2.5,
            Inputs::Tiny => random.float() * 1e-40,
        })
        .collect()
}

fn multiply(
    kernels: Kernels,
    weights: WeightRows<'_>,
    activations: &Activations,
    rows: usize,
) -> Vec<f32> {
    let mut output = vec![f32::NAN; rows * activations.rows()];
    let mut outputs: Vec<&mut [f32]> = output.chunks_exact_mut(rows).collect();
    kernels.multiply(weights, activations, 0, &mut outputs);
    output
}

/// Sum of the magnitudes of all terms: what rounding errors are a share of.
fn magnitude(format: BlockFormat, row: &[u8], input: &[f32]) -> f64 {
    let mut weights = vec![0.0; input.len()];
    dequantize_row(format, row, &mut weights).unwrap();
    let largest = |values: &[f32]| {
        values.iter().fold(0.0_f64, |peak, value| peak.max(f64::from(value.abs())))
    };
    // Activation codes are rounded, so a term is not larger than both peaks together.
    largest(&weights) * largest(input) * input.len() as f64
}

fn compare(
    kernels: Kernels,
    format: BlockFormat,
    blocks: Blocks,
    inputs: Inputs,
    (rows, cols, n): (usize, usize, usize),
) {
    let mut random = Random::new((rows * 1000 + cols + n) as u64);
    let bytes = weights(format, blocks, rows, cols, &mut random);
    let input = input(inputs, n * cols, &mut random);
    let weights = WeightRows::new(format, cols, &bytes).unwrap();
    let scalar = Kernels::select(KernelChoice::Scalar).unwrap();
    let expected = multiply(
        scalar,
        weights,
        &scalar.activations(&Team::solo(), ActivationFormat::for_weights(format), &input, cols),
        rows,
    );
    let found = multiply(
        kernels,
        weights,
        &kernels.activations(&Team::solo(), ActivationFormat::for_weights(format), &input, cols),
        rows,
    );
    let packed = multiply_packed(kernels, weights, &bytes, &input, rows);
    let both = expected.iter().chain(&expected).zip(found.iter().chain(packed.iter().flatten()));
    for (i, (expected, found)) in both.enumerate() {
        let (column, row) = (i % (rows * n) / rows, i % rows);
        let bytes = weights.rows().nth(row).unwrap();
        let bound =
            TOLERANCE * magnitude(format, bytes, &input[column * cols..(column + 1) * cols]);
        let difference = (f64::from(*expected) - f64::from(*found)).abs();
        assert!(
            difference <= bound || expected.to_bits() == found.to_bits(),
            "{} {} {blocks:?} x {inputs:?}, {rows} x {cols} x {n}, row {row}, column {column}: {found} instead of {expected}",
            kernels.name(),
            format.name(),
        );
    }
}

/// The same product of packed weights; nothing for formats that are not packed.
fn multiply_packed(
    kernels: Kernels,
    weights: WeightRows<'_>,
    bytes: &[u8],
    input: &[f32],
    rows: usize,
) -> Option<Vec<f32>> {
    let (format, cols, team) = (weights.format(), weights.cols(), Team::solo());
    let layout = PackedLayout::of(format)?;
    let mut packed = vec![0xff; layout.bytes(rows, cols).unwrap()];
    let all: Vec<&[u8]> = bytes.chunks_exact(bytes.len() / rows).collect();
    let groups = packed.chunks_exact_mut(layout.group_bytes(cols).unwrap());
    for (rows, group) in all.chunks(layout::ROWS).zip(groups) {
        pack_group(format, cols, rows, group);
    }
    let activations = ActivationFormat::for_weights(format);
    let panels = kernels.panels(&team, activations, input, cols).unwrap();
    let mut output = vec![f32::NAN; rows * panels.columns()];
    let weights = PackedMatrix::new(format, rows, cols, &packed).unwrap();
    kernels.multiply_packed(&team, &panels, &mut [Product { weights, output: &mut output }]);
    Some(output)
}

#[test]
fn every_kernel_agrees_with_the_reference() {
    for kernels in Kernels::available() {
        println!("testing kernels: {}", kernels.name());
        for format in BlockFormat::ALL {
            let unit = format.block_len();
            let odd_tail = if unit == 1 { 77 } else { unit * 3 };
            for blocks in BLOCKS {
                for inputs in INPUTS {
                    compare(kernels, format, blocks, inputs, (3, odd_tail, 1));
                }
                compare(kernels, format, blocks, Inputs::Random, (5, unit, 3));
                // Full groups of packed rows and a rest, panels of every width.
                for columns in [2, 4, 6, 7, 8, 9, 15] {
                    compare(kernels, format, blocks, Inputs::Random, (37, unit.max(32), columns));
                }
                compare(kernels, format, blocks, Inputs::Random, (7, unit.max(32) * 2, 15));
            }
        }
    }
}

#[test]
fn scalar_kernels_are_the_dot_product_of_dequantized_weights_and_activations() {
    let scalar = Kernels::select(KernelChoice::Scalar).unwrap();
    for format in BlockFormat::ALL {
        let mut random = Random::new(7);
        let cols = 512;
        let bytes = weights(format, Blocks::Random, 2, cols, &mut random);
        // Whole numbers up to 127 with one 127 in each block are coded without loss.
        let input: Vec<f32> = (0..cols)
            .map(|i| if i % 32 == 9 { -127.0 } else { (random.float() * 126.0).round() })
            .collect();
        let rows = WeightRows::new(format, cols, &bytes).unwrap();
        let found = multiply(
            scalar,
            rows,
            &scalar.activations(&Team::solo(), ActivationFormat::for_weights(format), &input, cols),
            2,
        );
        for (bytes, found) in rows.rows().zip(found) {
            let mut weights = vec![0.0; cols];
            dequantize_row(format, bytes, &mut weights).unwrap();
            let expected: f64 =
                weights.iter().zip(&input).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
            // The block sum of Q8_1 is rounded to 16 bits.
            let bound = 1e-3 * magnitude(format, bytes, &input) / 16.0;
            assert!(
                (f64::from(found) - expected).abs() <= bound,
                "{}: {found} instead of {expected}",
                format.name()
            );
        }
    }
}

#[test]
fn not_a_number_in_the_input_reaches_the_output() {
    for kernels in Kernels::available() {
        for format in BlockFormat::ALL {
            let mut random = Random::new(11);
            let cols = 256;
            let bytes = weights(format, Blocks::Random, 2, cols, &mut random);
            let mut input = input(Inputs::Random, cols, &mut random);
            input[40] = f32::NAN;
            let rows = WeightRows::new(format, cols, &bytes).unwrap();
            let activations = kernels.activations(
                &Team::solo(),
                ActivationFormat::for_weights(format),
                &input,
                cols,
            );
            let found = multiply(kernels, rows, &activations, 2);
            assert!(
                found.iter().all(|value| value.is_nan()),
                "{} {}: {found:?}",
                kernels.name(),
                format.name()
            );
        }
    }
}

/// A product whose activations are prepared for it.
fn matmul(kernels: Kernels, team: &Team, weight: &Matrix<'_>, input: &[f32], output: &mut [f32]) {
    let format = ActivationFormat::for_weights(weight.format());
    let activations = kernels.activations(team, format, input, weight.cols());
    matmul_prepared(&kernels, team, weight, &activations, output);
}

#[test]
fn matmul_gives_the_same_on_any_number_of_threads() {
    // Enough values that the activations too are prepared in parallel.
    let (rows, cols, n) = (331, 512, 97);
    let mut random = Random::new(3);
    let bytes = weights(BlockFormat::Q4_1, Blocks::Random, rows, cols, &mut random);
    let input = input(Inputs::Random, n * cols, &mut random);
    let matrix = Matrix::new(BlockFormat::Q4_1, rows, cols, &bytes).unwrap();
    let run = |kernels: &Kernels, threads: usize| {
        let team = Team::new(threads.try_into().unwrap()).unwrap();
        let mut output = vec![f32::NAN; n * rows];
        matmul(*kernels, &team, &matrix, &input, &mut output);
        output
    };
    for kernels in Kernels::available() {
        let one = run(&kernels, 1);
        assert!(one.iter().all(|value| value.is_finite()));
        for threads in [2, 3, 8] {
            assert_eq!(run(&kernels, threads), one, "{} on {threads} threads", kernels.name());
        }
    }
}

#[test]
fn matmul_leaves_out_rows_that_one_side_lacks() {
    let mut random = Random::new(3);
    let bytes = weights(BlockFormat::Q8_0, Blocks::Random, 4, 64, &mut random);
    let input = input(Inputs::Random, 64 * 2 + 63, &mut random);
    let matrix = Matrix::new(BlockFormat::Q8_0, 4, 64, &bytes).unwrap();
    for kernels in Kernels::available() {
        let mut output = vec![7.0; 4 * 3 + 1];
        matmul(kernels, &Team::solo(), &matrix, &input, &mut output);
        assert!(output[..8].iter().all(|value| *value != 7.0));
        assert_eq!(output[8..], [7.0; 5]);
        matmul(kernels, &Team::solo(), &matrix, &[], &mut output);
        matmul(kernels, &Team::solo(), &matrix, &input, &mut []);
        assert_eq!(output[8..], [7.0; 5]);
    }
}

#[test]
fn vector_operations_agree_with_the_reference() {
    let scalar = Kernels::select(KernelChoice::Scalar).unwrap();
    for kernels in Kernels::available() {
        for len in [0, 1, 15, 16, 17, 64, 100, 129] {
            let mut random = Random::new(len as u64);
            let (a, b) = (
                input(Inputs::Random, len, &mut random),
                input(Inputs::Random, len + 3, &mut random),
            );
            let close = |a: f32, b: f32| {
                assert!(
                    (a - b).abs() <= 1e-5 * (1.0 + len as f32),
                    "{} {len}: {a} {b}",
                    kernels.name()
                );
            };
            close(kernels.dot(&a, &b), scalar.dot(&a, &b));
        }
    }
}

#[test]
fn pointwise_functions_give_the_bits_of_the_reference() {
    let scalar = Kernels::select(KernelChoice::Scalar).unwrap();
    let all = |kernels: &Kernels, a: &[f32], b: &[f32]| {
        let mut rows = vec![a.to_vec(); 6];
        let [swiglu, geglu, gelu, sum, product, scaled] = rows.as_mut_slice() else {
            panic!("six rows")
        };
        kernels.pointwise(Pointwise::Swiglu(swiglu, b));
        kernels.pointwise(Pointwise::Geglu(geglu, b));
        kernels.pointwise(Pointwise::Gelu(gelu));
        kernels.pointwise(Pointwise::Add(sum, b));
        kernels.pointwise(Pointwise::Multiply(product, b));
        kernels.pointwise(Pointwise::Scale { output: scaled, input: a, scale: 0.7, weight: b });
        rows.concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    for kernels in Kernels::available() {
        for len in [0, 1, 15, 16, 17, 100, 129] {
            let mut random = Random::new(len as u64);
            let mut a = input(Inputs::Random, len, &mut random);
            let b = input(Inputs::Random, len, &mut random);
            // Where the exponential function ends on either side.
            for (number, extreme) in a.iter_mut().zip([-100.0, 100.0, 0.0, -88.0, 1e30, -1e30]) {
                *number = extreme;
            }
            assert_eq!(all(&kernels, &a, &b), all(&scalar, &a, &b), "{} {len}", kernels.name());
        }
    }
}

#[test]
fn kernels_that_the_cpu_lacks_are_refused_by_name() {
    let named = [
        (KernelChoice::Avx2, "avx2"),
        (KernelChoice::AvxVnni, "avxvnni"),
        (KernelChoice::Avx512, "avx512"),
        (KernelChoice::Neon, "neon"),
        (KernelChoice::NeonDot, "neon-dot"),
        (KernelChoice::Simd128, "simd128"),
    ];
    for (choice, name) in named {
        match Kernels::select(choice) {
            Ok(kernels) => assert_eq!(kernels.name(), name),
            Err(KernelError::Unsupported { wanted, .. }) => assert_eq!(wanted, name),
        }
    }
    let best = Kernels::select(KernelChoice::Auto).unwrap();
    assert_eq!(best.name(), Kernels::available().last().unwrap().name());
}

#[test]
fn activations_of_another_format_or_length_change_nothing() {
    let kernels = Kernels::select(KernelChoice::Auto).unwrap();
    let bytes = [1; 20 * 2];
    let rows = WeightRows::new(BlockFormat::Q4_1, 64, &bytes).unwrap();
    for activations in [
        kernels.activations(&Team::solo(), ActivationFormat::Q8_0, &[1.0; 64], 64),
        kernels.activations(&Team::solo(), ActivationFormat::Q8_1, &[1.0; 96], 96),
    ] {
        assert!(multiply(kernels, rows, &activations, 1)[0].is_nan());
    }
    assert!(WeightRows::new(BlockFormat::Q4_1, 33, &bytes).is_none());
    assert!(WeightRows::new(BlockFormat::Q4_1, 32, &bytes[..39]).is_none());
}
