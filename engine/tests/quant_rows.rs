//! What quantizing costs and refuses, format by format.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use proptest::prelude::*;
use realm_engine::quant::{BlockFormat, QuantError, dequantize_row, ggml_type_name, quantize_row};

fn round_trip(format: BlockFormat, weights: &[f32]) -> Result<Vec<f32>, QuantError> {
    let mut row = vec![0; format.row_bytes(weights.len()).unwrap()];
    quantize_row(format, weights, &mut row)?;
    let mut decoded = vec![f32::NAN; weights.len()];
    dequantize_row(format, &row, &mut decoded)?;
    Ok(decoded)
}

/// Root of the mean square error, as a share of the root of the mean square.
fn relative_error(weights: &[f32], decoded: &[f32]) -> f64 {
    let squares = |values: &mut dyn Iterator<Item = f32>| {
        values.map(|value| f64::from(value).powi(2)).sum::<f64>()
    };
    let error = squares(&mut weights.iter().zip(decoded).map(|(weight, decoded)| weight - decoded));
    (error / squares(&mut weights.iter().copied())).sqrt()
}

/// Sums of four uniform numbers: close to the bell shape of real weights.
fn bell(len: usize) -> Vec<f32> {
    let mut state = 12_345_u32;
    let mut uniform = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..len).map(|_| (uniform() + uniform() + uniform() + uniform()) * 0.05).collect()
}

#[test]
fn error_is_bounded_by_the_width_of_the_codes() {
    let weights = bell(64 * 256);
    let bounds = [
        (BlockFormat::F32, 0.0),
        (BlockFormat::F16, 3e-4),
        (BlockFormat::BF16, 2.5e-3),
        (BlockFormat::Q4_0, 0.095),
        (BlockFormat::Q4_1, 0.085),
        (BlockFormat::Q5_0, 0.05),
        (BlockFormat::Q5_1, 0.045),
        (BlockFormat::Q8_0, 0.006),
        (BlockFormat::Q8_1, 0.006),
        (BlockFormat::Q2_K, 0.31),
        (BlockFormat::Q3_K, 0.16),
        (BlockFormat::Q4_K, 0.075),
        (BlockFormat::Q5_K, 0.037),
        (BlockFormat::Q6_K, 0.02),
        (BlockFormat::Q8_K, 0.009),
    ];
    for (format, bound) in bounds {
        let error = relative_error(&weights, &round_trip(format, &weights).unwrap());
        println!("{} {error:.5}", format.name());
        assert!(error <= bound, "{}: relative error {error} over {bound}", format.name());
    }
    assert_eq!(bounds.map(|(format, _)| format), BlockFormat::ALL);
}

#[test]
fn sizes_agree_with_the_blocks() {
    for format in BlockFormat::ALL {
        assert_eq!(BlockFormat::from_ggml_type(format.ggml_type()), Some(format));
        assert_eq!(ggml_type_name(format.ggml_type()), format.name());
        assert_eq!(format.row_bytes(format.block_len() * 3), Some(format.block_bytes() * 3));
        let largest = usize::MAX / format.block_len() * format.block_len();
        let fits = (largest / format.block_len()).checked_mul(format.block_bytes());
        assert_eq!(format.row_bytes(largest), fits);
        if format.block_len() > 1 {
            assert_eq!(format.row_bytes(format.block_len() + 1), None);
        }
    }
    assert_eq!(BlockFormat::Q4_K.row_bytes(512), Some(288));
    assert_eq!((ggml_type_name(39), ggml_type_name(4_000)), ("MXFP4", "unknown"));
}

#[test]
fn wrong_lengths_are_refused() {
    for format in BlockFormat::ALL {
        let (weights, bytes) = (format.block_len(), format.block_bytes());
        let mut long = vec![0; bytes + 1];
        let error = quantize_row(format, &vec![0.0; weights], &mut long).unwrap_err();
        assert!(error.to_string().contains(format.name()), "{error}");
        assert!(matches!(
            dequantize_row(format, &long[1..], &mut vec![0.0; weights + 1]),
            Err(QuantError::Length { .. })
        ));
    }
}

#[test]
fn weights_that_no_block_can_hold_are_refused() {
    for format in BlockFormat::ALL.into_iter().filter(|format| format.block_len() > 1) {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut weights = vec![0.5; 512];
            weights[300] = bad;
            let error = round_trip(format, &weights).unwrap_err();
            assert!(matches!(error, QuantError::NotFinite { index: 300, .. }), "{error}");
        }
        if format != BlockFormat::Q8_K {
            let mut weights = vec![0.5; 512];
            weights[257] = -3e38;
            let error = round_trip(format, &weights).unwrap_err();
            assert!(
                matches!(error, QuantError::ScaleOverflow { index: 256, .. }),
                "{}: {error}",
                format.name()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// No finite row panics, and what was coded decodes to something finite or is refused.
    #[test]
    fn any_finite_row_is_coded_or_refused(bits in prop::collection::vec(any::<u32>(), 256)) {
        let weights: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        for format in BlockFormat::ALL {
            if let Ok(decoded) = round_trip(format, &weights) {
                prop_assert!(decoded.len() == weights.len());
            }
        }
    }

    #[test]
    fn any_bytes_decode(bytes in prop::collection::vec(any::<u8>(), 292)) {
        for format in BlockFormat::ALL {
            let mut weights = vec![0.0; format.block_len()];
            dequantize_row(format, &bytes[..format.block_bytes()], &mut weights).unwrap();
        }
    }

    /// Scaling all weights by a power of two scales the decoded weights of the simple formats exactly.
    #[test]
    fn small_formats_scale_with_their_input(bits in prop::collection::vec(-1.0_f32..1.0, 32)) {
        for format in [BlockFormat::Q4_0, BlockFormat::Q4_1, BlockFormat::Q5_0, BlockFormat::Q5_1, BlockFormat::Q8_0] {
            let double: Vec<f32> = bits.iter().map(|weight| weight * 2.0).collect();
            let expected: Vec<f32> = round_trip(format, &bits).unwrap().iter().map(|weight| weight * 2.0).collect();
            prop_assert_eq!(round_trip(format, &double).unwrap(), expected);
        }
    }
}
