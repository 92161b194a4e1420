//! Opening files and looking up tensors: what is refused, and that the message names file, tensor and shapes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, its helpers too"
)]

#[path = "support/gguf_files.rs"]
mod gguf_files;

use std::path::Path;

use gguf_files::{Builder, Tensor};
use realm_engine::quant::BlockFormat;
use realm_engine::weights::{MappedModel, Matrix, MatrixError, OpenError, Weights};

fn sample(folder: &Path) -> MappedModel {
    let path = folder.join("sample.gguf");
    std::fs::write(&path, Builder::sample().build()).unwrap();
    MappedModel::open(&path).unwrap()
}

#[test]
fn tensors_are_found_where_their_bytes_lie() {
    let folder = tempfile::tempdir().unwrap();
    let model = sample(folder.path());
    let bytes = Builder::sample().build();
    assert_eq!(model.file_bytes(), bytes.len() as u64);
    let matrix = model.matrix("token_embd.weight", 3, 64).unwrap();
    let offset = model.gguf().tensor("token_embd.weight").unwrap().offset as usize;
    assert_eq!((matrix.format(), matrix.rows(), matrix.cols()), (BlockFormat::Q8_0, 3, 64));
    let rows: Vec<u8> =
        (0..matrix.rows()).filter_map(|row| matrix.row(row)).flatten().copied().collect();
    assert_eq!(rows, bytes[offset..offset + 204]);
    assert_eq!(matrix.row(2), Some(&bytes[offset + 136..offset + 204]));
    assert_eq!(matrix.row(3), None);
    let norm = model.vector("norm.weight", 5).unwrap();
    let expected: Vec<f32> = bytes[bytes.len() - 20..]
        .as_chunks()
        .0
        .iter()
        .map(|bits| f32::from_le_bytes(*bits))
        .collect();
    assert_eq!(norm, expected);
    assert_eq!(model.metadata().string("general.architecture"), Ok("llama"));
}

#[test]
fn lookups_name_the_tensor_and_both_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let model = sample(folder.path());
    let messages = [
        (model.matrix("absent", 3, 64).unwrap_err(), "lacks tensor \"absent\""),
        (
            model.matrix("token_embd.weight", 64, 3).unwrap_err(),
            "\"token_embd.weight\" has shape [64, 3] (row length first) where [3, 64]",
        ),
        (
            model.matrix("norm.weight", 2, 5).unwrap_err(),
            "\"norm.weight\" has shape [5] (row length first) where [5, 2]",
        ),
        (
            model.vector("norm.weight", 6).unwrap_err(),
            "\"norm.weight\" has shape [5] (row length first) where [6]",
        ),
        (model.vector("token_embd.weight", 64).unwrap_err(), "where [64] is needed"),
    ];
    for (error, expected) in messages {
        assert!(error.to_string().contains(expected), "{error}\n lacks: {expected}");
    }
    assert!(model.matrix("norm.weight", 1, 5).is_ok());
}

#[test]
fn formats_of_activations_are_no_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("q8_1.gguf");
    let tensors = vec![Tensor::new("w", &[32], 9, 0)];
    std::fs::write(&path, Builder { tensors, data_bytes: 64, ..Builder::empty() }.build()).unwrap();
    let error = MappedModel::open(&path).unwrap().matrix("w", 1, 32).unwrap_err().to_string();
    assert!(
        error.contains("tensor \"w\" cannot be used: Q8_1 is a format of activations"),
        "{error}"
    );
}

#[test]
fn matrices_are_checked() {
    let length = |rows, cols, bytes: &[u8]| {
        matches!(Matrix::new(BlockFormat::Q4_0, rows, cols, bytes), Err(MatrixError::Length { .. }))
    };
    let bytes = [0; 36];
    assert!(Matrix::new(BlockFormat::Q4_0, 2, 32, &bytes).is_ok());
    assert!(
        length(2, 64, &bytes) && length(1, 32, &bytes) && length(0, 32, &[]) && length(2, 0, &[])
    );
    assert!(
        length(usize::MAX, 32, &bytes)
            && length(2, usize::MAX - 31, &bytes)
            && length(2, 33, &bytes)
    );
}

#[test]
fn files_that_cannot_be_a_model_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let messages = [
        (MappedModel::open(&folder.path().join("absent.gguf")), "cannot open the model file"),
        (MappedModel::open(folder.path()), "is not a regular file"),
        (MappedModel::open(&write("empty.gguf", b"")), "is empty; download it again"),
        (MappedModel::open(&write("page.gguf", b"<!DOCTYPE html>")), "not a GGUF file"),
    ];
    for (result, expected) in messages {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(expected), "{message}\n lacks: {expected}");
        assert!(
            message.contains(&folder.path().display().to_string()),
            "{message} does not name the file"
        );
    }
    #[cfg(unix)]
    assert!(matches!(MappedModel::open(Path::new("/dev/null")), Err(OpenError::NotAFile { .. })));
}

#[test]
fn the_real_model_gives_its_matrices() {
    let model = MappedModel::open(&gguf_files::real_model()).unwrap();
    let query = model.matrix("blk.0.attn_q.weight", 576, 576).unwrap();
    assert_eq!(query.format(), BlockFormat::Q4_1);
    assert_eq!(model.matrix("token_embd.weight", 49_152, 576).unwrap().format(), BlockFormat::Q8_0);
    assert_eq!(model.vector("output_norm.weight", 576).unwrap().len(), 576);
}
