//! What a well-formed GGUF file reads as, and that no damage panics or costs memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

#[path = "support/gguf_files.rs"]
mod gguf_files;

use std::collections::BTreeMap;

use gguf_files::{Builder, text};
use proptest::prelude::*;
use realm_engine::gguf::{Array, Gguf, Metadata, MetadataError, Value};
use realm_engine::quant::BlockFormat;

#[test]
fn both_versions_read_alike() {
    for version in [2, 3] {
        let bytes = Builder { version, ..Builder::sample() }.build();
        let gguf = Gguf::parse(&bytes).unwrap();
        assert_eq!(gguf.version, version);
        let shapes: Vec<_> = gguf
            .tensors
            .iter()
            .map(|tensor| (tensor.name.as_str(), tensor.shape.clone()))
            .collect();
        assert_eq!(shapes, [("token_embd.weight", vec![64, 3]), ("norm.weight", vec![5])]);
        let embedding = gguf.tensor("token_embd.weight").unwrap();
        assert_eq!((embedding.format, embedding.bytes), (BlockFormat::Q8_0, 2 * 34 * 3));
        assert_eq!((embedding.row_len(), embedding.rows(), embedding.weights()), (64, 3, 192));
        let norm = gguf.tensor("norm.weight").unwrap();
        assert_eq!((norm.offset % 32, norm.offset - embedding.offset), (0, 224));
        assert_eq!(norm.offset + norm.bytes, bytes.len() as u64);
        assert!(gguf.tensor("absent").is_none());
    }
}

#[test]
fn every_value_type_is_read() {
    let array = |kind: u32, count: u64, bytes: &[u8]| {
        [&kind.to_le_bytes()[..], &count.to_le_bytes(), bytes].concat()
    };
    let strings = [text("a"), text(""), text("\u{e9}")].concat();
    let rows: Vec<(u32, Vec<u8>, Value)> = vec![
        (0, vec![200], Value::U8(200)),
        (1, vec![200], Value::I8(-56)),
        (2, vec![1, 2], Value::U16(0x201)),
        (3, vec![0xff, 0xff], Value::I16(-1)),
        (4, 70_000_u32.to_le_bytes().into(), Value::U32(70_000)),
        (5, (-70_000_i32).to_le_bytes().into(), Value::I32(-70_000)),
        (6, 0.5_f32.to_le_bytes().into(), Value::F32(0.5)),
        (7, vec![1], Value::Bool(true)),
        (8, text("h\u{e9}"), Value::String("h\u{e9}".into())),
        (10, u64::MAX.to_le_bytes().into(), Value::U64(u64::MAX)),
        (11, i64::MIN.to_le_bytes().into(), Value::I64(i64::MIN)),
        (12, 0.1_f64.to_le_bytes().into(), Value::F64(0.1)),
        (9, array(0, 2, &[1, 2]), Value::Array(Array::U8(vec![1, 2]))),
        (9, array(1, 1, &[255]), Value::Array(Array::I8(vec![-1]))),
        (9, array(2, 1, &[1, 1]), Value::Array(Array::U16(vec![257]))),
        (9, array(3, 1, &[254, 255]), Value::Array(Array::I16(vec![-2]))),
        (9, array(4, 0, &[]), Value::Array(Array::U32(vec![]))),
        (9, array(5, 1, &[1, 0, 0, 0]), Value::Array(Array::I32(vec![1]))),
        (9, array(6, 1, &2.5_f32.to_le_bytes()), Value::Array(Array::F32(vec![2.5]))),
        (9, array(7, 2, &[0, 1]), Value::Array(Array::Bool(vec![false, true]))),
        (
            9,
            array(8, 3, &strings),
            Value::Array(Array::String(vec!["a".into(), String::new(), "\u{e9}".into()])),
        ),
        (9, array(10, 1, &7_u64.to_le_bytes()), Value::Array(Array::U64(vec![7]))),
        (9, array(11, 1, &(-7_i64).to_le_bytes()), Value::Array(Array::I64(vec![-7]))),
        (9, array(12, 1, &1.5_f64.to_le_bytes()), Value::Array(Array::F64(vec![1.5]))),
    ];
    for (kind, value, expected) in rows {
        let bytes =
            Builder { metadata: vec![("key".into(), kind, value)], ..Builder::empty() }.build();
        let gguf = Gguf::parse(&bytes).unwrap();
        assert_eq!(gguf.metadata.get("key"), Some(&expected));
        assert_eq!(gguf.metadata.iter().count(), 1);
    }
}

#[test]
fn getters_name_the_key_and_what_is_wrong() {
    let entries = [
        ("small", Value::U8(7)),
        ("negative", Value::I32(-1)),
        ("big", Value::U64(1 << 40)),
        ("float", Value::F64(0.25)),
        ("text", Value::String("hi".into())),
        ("flag", Value::Bool(true)),
        ("words", Value::Array(Array::String(vec!["a".into()]))),
        ("numbers", Value::Array(Array::U16(vec![1, 2]))),
        ("floats", Value::Array(Array::F32(vec![0.5]))),
        ("large", Value::Array(Array::U32(vec![u32::MAX]))),
    ];
    let metadata = Metadata::new(
        entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<BTreeMap<_, _>>(),
    );
    assert_eq!(metadata.u32("small"), Ok(7));
    assert_eq!(metadata.u64("big"), Ok(1 << 40));
    assert_eq!(metadata.f32("float"), Ok(0.25));
    assert_eq!(metadata.string("text"), Ok("hi"));
    assert_eq!(metadata.bool("flag"), Ok(true));
    assert_eq!(metadata.strings("words").unwrap(), ["a"]);
    assert_eq!(metadata.i32s("numbers"), Ok(vec![1, 2]));
    assert_eq!(metadata.f32s("floats").unwrap(), [0.5]);
    assert_eq!(metadata.optional_u32("absent"), Ok(None));
    assert_eq!(metadata.optional_string("absent"), Ok(None));
    let said = |error: MetadataError| error.to_string();
    let messages = [
        (said(metadata.u32("absent").unwrap_err()), "lacks the metadata key \"absent\""),
        (said(metadata.u32("negative").unwrap_err()), "\"negative\" is -1, which does not fit u32"),
        (
            said(metadata.u32("big").unwrap_err()),
            "\"big\" is 1099511627776, which does not fit u32",
        ),
        (said(metadata.u32("text").unwrap_err()), "\"text\" is string where u32 is needed"),
        (said(metadata.f32("small").unwrap_err()), "\"small\" is u8 where a float is needed"),
        (
            said(metadata.string("words").unwrap_err()),
            "\"words\" is array of string where a string is needed",
        ),
        (said(metadata.bool("small").unwrap_err()), "\"small\" is u8 where a bool is needed"),
        (
            said(metadata.strings("numbers").unwrap_err()),
            "\"numbers\" is array of u16 where an array of strings is needed",
        ),
        (
            said(metadata.i32s("large").unwrap_err()),
            "\"large\" is 4294967295, which does not fit i32",
        ),
        (
            said(metadata.f32s("words").unwrap_err()),
            "\"words\" is array of string where an array of f32 is needed",
        ),
    ];
    for (message, expected) in messages {
        assert!(message.contains(expected), "{message}\n lacks: {expected}");
    }
}

#[test]
fn alignment_of_the_file_is_used() {
    let alignment = ("general.alignment".into(), 4, 128_u32.to_le_bytes().into());
    let bytes = Builder { alignment: 128, metadata: vec![alignment], ..Builder::sample() }.build();
    let gguf = Gguf::parse(&bytes).unwrap();
    assert!(gguf.tensors.iter().all(|tensor| tensor.offset.is_multiple_of(128)));
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = Builder::sample().build();
    assert!(Gguf::parse(&whole).is_ok());
    for len in 0..whole.len() {
        let message = Gguf::parse(&whole[..len]).expect_err("a cut file was read").to_string();
        assert!(message.contains("download it again"), "cut at {len}: {message}");
    }
}

#[test]
fn the_real_model_cut_anywhere_is_refused() {
    let bytes = std::fs::read(gguf_files::real_model()).unwrap();
    let gguf = Gguf::parse(&bytes).unwrap();
    assert_eq!((gguf.version, gguf.tensors.len()), (3, 272));
    assert_eq!(gguf.metadata.string("general.architecture"), Ok("llama"));
    assert_eq!(gguf.metadata.strings("tokenizer.ggml.tokens").unwrap().len(), 49_152);
    let header = (0..5_000_usize).chain((5_000..2_000_000).step_by(40_013));
    let data = (2_000_000..bytes.len()).step_by(997_001);
    for len in header.chain(data).chain(bytes.len() - 64..bytes.len()) {
        assert!(Gguf::parse(&bytes[..len]).is_err(), "cut at {len} was read");
    }
}

/// All that a parsed value may hold must have been in the file.
fn assert_modest(gguf: &Gguf, file: usize) {
    let strings = |strings: &[String]| strings.iter().map(|text| text.len() + 8).sum::<usize>();
    let held: usize = gguf
        .metadata
        .iter()
        .map(|(key, value)| {
            key.len()
                + match value {
                    Value::String(text) => text.len(),
                    Value::Array(Array::String(texts)) => strings(texts),
                    Value::Array(array) => array.as_integers().map_or(0, |integers| integers.len()),
                    _ => 1,
                }
        })
        .sum();
    assert!(held <= file, "{held} bytes out of a file of {file}");
    for tensor in &gguf.tensors {
        assert!(
            tensor.offset.checked_add(tensor.bytes).is_some_and(|end| end <= file as u64),
            "{tensor:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..400), version in 0_u32..5) {
        let bytes = [&b"GGUF"[..], &version.to_le_bytes(), &tail].concat();
        if let Ok(gguf) = Gguf::parse(&bytes) {
            assert_modest(&gguf, bytes.len());
        }
        let _ = Gguf::parse(&tail);
    }

    #[test]
    fn small_counts_before_random_bytes_never_panic(
        tensors in 0_u64..4, entries in 0_u64..4, tail in prop::collection::vec(0_u8..16, 0..400),
    ) {
        let bytes = [&b"GGUF\x03\0\0\0"[..], &tensors.to_le_bytes(), &entries.to_le_bytes(), &tail].concat();
        if let Ok(gguf) = Gguf::parse(&bytes) {
            assert_modest(&gguf, bytes.len());
        }
    }

    #[test]
    fn flipped_bytes_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = Builder::sample().build();
        for (index, byte) in flips {
            *index.get_mut(&mut bytes) = byte;
        }
        if let Ok(gguf) = Gguf::parse(&bytes) {
            assert_modest(&gguf, bytes.len());
        }
    }
}
