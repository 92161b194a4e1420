//! The block formats against the public `gguf` package, bit for bit; golden file by `reference/quant_golden.py`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

use realm_engine::quant::{BlockFormat, dequantize_row, quantize_row};
use serde_json::Value;

fn cases(list: &str) -> Vec<Value> {
    let golden: Value = serde_json::from_str(include_str!("golden/quant.json")).unwrap();
    golden[list].as_array().unwrap().clone()
}

fn format(case: &Value) -> BlockFormat {
    let name = case["format"].as_str().unwrap();
    BlockFormat::ALL.into_iter().find(|format| format.name() == name).unwrap()
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    let text = case[field].as_str().unwrap().as_bytes();
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    text.as_chunks::<2>().0.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()
}

fn floats(case: &Value, field: &str) -> Vec<f32> {
    bytes(case, field).as_chunks().0.iter().map(|bits| f32::from_le_bytes(*bits)).collect()
}

#[track_caller]
fn assert_decodes(case: &Value, bytes: &[u8], expected: &[f32]) {
    let mut found = vec![f32::NAN; expected.len()];
    dequantize_row(format(case), bytes, &mut found).unwrap();
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let same = found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan());
        assert!(
            same,
            "{} ({}), weight {i}: {found} instead of {expected}",
            case["format"], case["case"]
        );
    }
}

fn encode(case: &Value, weights: &[f32]) -> Vec<u8> {
    let format = format(case);
    let mut row = vec![0; format.row_bytes(weights.len()).unwrap()];
    quantize_row(format, weights, &mut row).unwrap();
    row
}

#[test]
fn blocks_decode_as_gguf_decodes_them() {
    let cases = cases("dequantize");
    for case in &cases {
        assert_decodes(case, &bytes(case, "bytes"), &floats(case, "weights"));
    }
    for wanted in BlockFormat::ALL {
        let tested = cases.iter().any(|case| format(case) == wanted);
        assert!(tested || wanted == BlockFormat::F32, "no case of {}", wanted.name());
    }
}

#[test]
fn weights_are_coded_as_gguf_codes_them() {
    for case in cases("quantize") {
        let found = encode(&case, &floats(&case, "weights"));
        assert_eq!(found, bytes(&case, "bytes"), "{} ({})", case["format"], case["case"]);
    }
}

#[test]
fn our_k_blocks_are_stable_and_decode_alike_in_gguf() {
    for case in cases("k_quantize") {
        let found = encode(&case, &floats(&case, "weights"));
        assert_eq!(found, bytes(&case, "bytes"), "{} ({})", case["format"], case["case"]);
        assert_decodes(&case, &found, &floats(&case, "decoded"));
    }
}
