//! A list of damaged and hostile GGUF files, one row each, with the words of the refusal.
//!
//! The list of cases follows the classes of public advisories on GGUF readers (lengths and counts not bounded, sizes
//! that overflow, tensors past the end of the file, types not checked) and the cases of ggml's own reader test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

#[path = "support/gguf_files.rs"]
mod gguf_files;

use gguf_files::{Builder, Tensor, text};
use realm_engine::gguf::Gguf;

struct Corruption {
    name: &'static str,
    bytes: Vec<u8>,
    /// Parts that the message must have.
    says: &'static [&'static str],
}

fn row(name: &'static str, builder: &Builder, says: &'static [&'static str]) -> Corruption {
    Corruption { name, bytes: builder.build(), says }
}

fn entry(key: &str, kind: u32, value: Vec<u8>) -> Builder {
    Builder { metadata: vec![(key.into(), kind, value)], ..Builder::empty() }
}

fn array(kind: u32, count: u64, bytes: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &count.to_le_bytes(), bytes].concat()
}

fn tensor(tensor: Tensor) -> Builder {
    Builder { tensors: vec![tensor], data_bytes: 64, ..Builder::empty() }
}

fn headers() -> Vec<Corruption> {
    let empty = Builder::empty;
    vec![
        Corruption {
            name: "empty file",
            bytes: vec![],
            says: &["the magic at byte 0", "0 are left", "download it again"],
        },
        row(
            "wrong magic",
            &Builder { magic: *b"GGML", ..empty() },
            &["not a GGUF file", "[47, 47, 4d, 4c]"],
        ),
        row("version 0", &Builder { version: 0, ..empty() }, &["GGUF version 0 at byte 4"]),
        row(
            "version 1",
            &Builder { version: 1, ..empty() },
            &["GGUF version 1", "convert the model again"],
        ),
        row("version 4", &Builder { version: 4, ..empty() }, &["GGUF version 4", "update Realm"]),
        row("big-endian", &Builder { version: 3_u32.swap_bytes(), ..empty() }, &["big-endian"]),
        row(
            "too many tensors",
            &Builder { tensor_count: Some(u64::MAX), ..empty() },
            &["the number of tensors at byte 8", "18446744073709551615", "limit of 65536"],
        ),
        row(
            "too many metadata entries",
            &Builder { metadata_count: Some(1 << 60), ..empty() },
            &["the number of metadata entries at byte 16", "limit of 65536"],
        ),
        row(
            "promised tensor absent",
            &Builder { tensor_count: Some(1), ..empty() },
            &["the name of tensor 0", "byte 24"],
        ),
        row(
            "promised entry absent",
            &Builder { metadata_count: Some(1), ..empty() },
            &["the key of metadata entry 0"],
        ),
    ]
}

fn metadata() -> Vec<Corruption> {
    let twice = ("k".to_owned(), 0, vec![1]);
    vec![
        row("empty key", &entry("", 0, vec![1]), &["metadata entry 0 at byte 24", "empty key"]),
        row(
            "key too long",
            &entry(&"k".repeat(65_536), 0, vec![1]),
            &["key of metadata entry 0", "65536", "limit of 65535"],
        ),
        row(
            "duplicate key",
            &Builder { metadata: vec![twice.clone(), twice], ..Builder::empty() },
            &["key \"k\" occurs a second time at byte 38"],
        ),
        row(
            "unknown value type",
            &entry("k", 13, vec![0; 8]),
            &["\"k\"", "unknown value type 13 at byte 33"],
        ),
        row(
            "value type far out",
            &entry("k", u32::MAX, vec![0; 8]),
            &["unknown value type 4294967295"],
        ),
        row("boolean 2", &entry("k", 7, vec![2]), &["\"k\"", "boolean 2 at byte 37"]),
        row(
            "boolean 255 in an array",
            &entry("k", 9, array(7, 2, &[1, 255])),
            &["\"k\"", "boolean 255 at byte 50"],
        ),
        row(
            "string longer than the file",
            &entry("k", 8, 1000_u64.to_le_bytes().into()),
            &["value of metadata key \"k\"", "1000 bytes", "0 are left"],
        ),
        row(
            "string of 2^64 - 1 bytes",
            &entry("k", 8, u64::MAX.to_le_bytes().into()),
            &["value of metadata key \"k\"", "limit of 16777216"],
        ),
        row(
            "string not UTF-8",
            &entry("k", 8, [&2_u64.to_le_bytes()[..], b"a\xff"].concat()),
            &["\"k\" at byte 45", "not valid UTF-8", "1 bytes in"],
        ),
    ]
}

fn arrays_and_alignment() -> Vec<Corruption> {
    let alignment = |bytes: u32| entry("general.alignment", 4, bytes.to_le_bytes().into());
    vec![
        row(
            "array of arrays",
            &entry("k", 9, array(9, 1, &array(0, 1, &[1]))),
            &["\"k\"", "array of arrays at byte 37"],
        ),
        row(
            "array of unknown type",
            &entry("k", 9, array(77, 1, &[0; 16])),
            &["\"k\"", "unknown value type 77 at byte 37"],
        ),
        row(
            "array over the limit",
            &entry("k", 9, array(0, u64::MAX, &[])),
            &["elements of metadata key \"k\" at byte 41", "limit of 16777216"],
        ),
        row(
            "array of 16 million numbers in a small file",
            &entry("k", 9, array(12, 1 << 24, &[0; 8])),
            &["array of metadata key \"k\"", "134217728 bytes"],
        ),
        row(
            "array of 16 million strings in a small file",
            &entry("k", 9, array(8, 1 << 24, &text("a"))),
            &["array of metadata key \"k\"", "134217728 bytes"],
        ),
        row(
            "string in an array too long",
            &entry("k", 9, array(8, 1, &u64::MAX.to_le_bytes())),
            &["element 0 of metadata key \"k\""],
        ),
        row("alignment 0", &alignment(0), &["\"general.alignment\" is 0", "power of two"]),
        row("alignment 4", &alignment(4), &["\"general.alignment\" is 4"]),
        row("alignment 48", &alignment(48), &["\"general.alignment\" is 48"]),
        row("alignment 2^31", &alignment(1 << 31), &["\"general.alignment\" is 2147483648"]),
        row(
            "alignment is a string",
            &entry("general.alignment", 8, text("32")),
            &["\"general.alignment\" is a string", "u32"],
        ),
        row(
            "alignment is a u64",
            &entry("general.alignment", 10, 32_u64.to_le_bytes().into()),
            &["\"general.alignment\" is a u64"],
        ),
    ]
}

fn tensors() -> Vec<Corruption> {
    let plain =
        |shape: &[u64], format: u32, offset: u64| tensor(Tensor::new("w", shape, format, offset));
    let named = |name: &[u8]| tensor(Tensor { name: name.to_vec(), ..Tensor::new("", &[4], 0, 0) });
    let dimensions =
        |count: u32| tensor(Tensor { dimensions: Some(count), ..Tensor::new("w", &[4], 0, 0) });
    let twice = Builder {
        tensors: vec![Tensor::new("w", &[4], 0, 0), Tensor::new("w", &[4], 0, 32)],
        data_bytes: 64,
        ..Builder::empty()
    };
    vec![
        row("empty name", &named(b""), &["tensor 0 at byte 24", "empty name"]),
        row(
            "name too long",
            &named(&[b'w'; 257]),
            &["the name of tensor 0", "257", "limit of 256"],
        ),
        row("name not UTF-8", &named(b"w\xc3"), &["the name of tensor 0", "not valid UTF-8"]),
        row("duplicate name", &twice, &["tensor \"w\" occurs a second time at byte 57"]),
        row("no dimensions", &dimensions(0), &["tensor \"w\" has 0 dimensions at byte 33"]),
        row("five dimensions", &dimensions(5), &["tensor \"w\" has 5 dimensions", "1 to 4"]),
        row(
            "2^32 - 1 dimensions",
            &dimensions(u32::MAX),
            &["tensor \"w\" has 4294967295 dimensions"],
        ),
        row("zero size", &plain(&[4, 0], 0, 0), &["tensor \"w\"", "size zero", "[4, 0]"]),
        row(
            "weights overflow",
            &plain(&[1 << 32, 1 << 32], 0, 0),
            &["tensor \"w\"", "larger than any memory"],
        ),
        row(
            "bytes overflow",
            &plain(&[1 << 31, 1 << 31], 0, 0),
            &["tensor \"w\"", "larger than any memory"],
        ),
        row(
            "bytes over i64",
            &plain(&[1 << 61], 0, 0),
            &["tensor \"w\"", "larger than any memory"],
        ),
        row(
            "row not whole blocks",
            &plain(&[33], 2, 0),
            &["tensor \"w\"", "rows of 33 weights", "Q4_0", "32"],
        ),
        row(
            "row not whole K blocks",
            &plain(&[128], 12, 0),
            &["rows of 128 weights", "Q4_K", "256"],
        ),
    ]
}

fn formats_and_places() -> Vec<Corruption> {
    let plain =
        |shape: &[u64], format: u32, offset: u64| tensor(Tensor::new("w", shape, format, offset));
    vec![
        row(
            "removed format",
            &plain(&[32], 4, 0),
            &["tensor \"w\" has format 4 (Q4_2, removed from ggml) at byte 45"],
        ),
        row(
            "format IQ4_XS",
            &plain(&[256], 23, 0),
            &["format 23 (IQ4_XS)", "use a file quantized as one of F32, F16", "Q6_K"],
        ),
        row("format MXFP4", &plain(&[32], 39, 0), &["format 39 (MXFP4)"]),
        row("format TQ1_0", &plain(&[256], 34, 0), &["format 34 (TQ1_0)"]),
        row("format unknown", &plain(&[32], 1234, 0), &["format 1234 (unknown)"]),
        row(
            "offset not aligned",
            &plain(&[4], 0, 8),
            &["tensor \"w\" has offset 8", "alignment 32"],
        ),
        row(
            "offset past the end",
            &plain(&[4], 0, 1 << 20),
            &["tensor \"w\" takes 16 bytes at offset 1048576", "download it again"],
        ),
        row("offset wraps", &plain(&[4], 0, u64::MAX - 31), &["tensor \"w\" takes 16 bytes"]),
        row(
            "offset plus size wraps",
            &plain(&[(1 << 60) - 1, 2], 0, 1 << 63),
            &["tensor \"w\" takes 9223372036854775800 bytes"],
        ),
        row(
            "data cut short",
            &plain(&[17], 0, 0),
            &["tensor \"w\" takes 68 bytes", "only 128 bytes"],
        ),
    ]
}

#[test]
fn every_corruption_is_refused_in_its_own_words() {
    let rows: Vec<Corruption> =
        [headers(), metadata(), arrays_and_alignment(), tensors(), formats_and_places()]
            .into_iter()
            .flatten()
            .collect();
    assert!(rows.len() >= 50);
    for Corruption { name, bytes, says } in rows {
        let message = match Gguf::parse(&bytes) {
            Err(error) => error.to_string(),
            Ok(gguf) => panic!("{name}: was read as {gguf:?}"),
        };
        for part in says {
            assert!(message.contains(part), "{name}: the message\n  {message}\nlacks\n  {part}");
        }
    }
}
