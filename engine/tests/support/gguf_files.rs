//! Builds small GGUF files, whole or wrong, for the tests of the reader.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::PathBuf;

/// A metadata entry: key, type number, bytes of the value.
pub(crate) type Entry = (String, u32, Vec<u8>);

/// One tensor of the table.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) name: Vec<u8>,
    pub(crate) dimensions: Option<u32>,
    pub(crate) shape: Vec<u64>,
    pub(crate) format: u32,
    pub(crate) offset: u64,
}

impl Tensor {
    pub(crate) fn new(name: &str, shape: &[u64], format: u32, offset: u64) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            dimensions: None,
            shape: shape.to_vec(),
            format,
            offset,
        }
    }
}

/// A file in the making; fields may be set to lies.
#[derive(Debug, Clone)]
pub(crate) struct Builder {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u32,
    pub(crate) tensor_count: Option<u64>,
    pub(crate) metadata_count: Option<u64>,
    pub(crate) metadata: Vec<Entry>,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) alignment: usize,
    pub(crate) data_bytes: usize,
}

impl Builder {
    pub(crate) fn empty() -> Self {
        Self {
            magic: *b"GGUF",
            version: 3,
            tensor_count: None,
            metadata_count: None,
            metadata: Vec::new(),
            tensors: Vec::new(),
            alignment: 32,
            data_bytes: 0,
        }
    }

    /// Two tensors and a few keys. The data of the first takes 204 bytes of 224 (256 with alignment 128).
    pub(crate) fn sample() -> Self {
        let strings =
            [&8_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &text("a"), &text("bc")].concat();
        Self {
            metadata: vec![
                ("general.architecture".into(), 8, text("llama")),
                ("llama.block_count".into(), 4, 1_u32.to_le_bytes().into()),
                ("tokenizer.ggml.add_bos_token".into(), 7, vec![0]),
                ("tokenizer.ggml.tokens".into(), 9, strings),
            ],
            tensors: vec![
                Tensor::new("token_embd.weight", &[64, 3], 8, 0),
                Tensor::new("norm.weight", &[5], 0, 224),
            ],
            data_bytes: 224 + 20,
            ..Self::empty()
        }
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut bytes = [&self.magic[..], &self.version.to_le_bytes()].concat();
        bytes.extend(self.tensor_count.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        bytes.extend(self.metadata_count.unwrap_or(self.metadata.len() as u64).to_le_bytes());
        for (key, kind, value) in &self.metadata {
            bytes.extend(text(key));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(value);
        }
        let scale = self.alignment as u64 / 32;
        for tensor in &self.tensors {
            bytes.extend((tensor.name.len() as u64).to_le_bytes());
            bytes.extend(&tensor.name);
            bytes.extend(tensor.dimensions.unwrap_or(tensor.shape.len() as u32).to_le_bytes());
            bytes.extend(tensor.shape.iter().flat_map(|size| size.to_le_bytes()));
            bytes.extend(tensor.format.to_le_bytes());
            bytes.extend((tensor.offset * scale).to_le_bytes());
        }
        if self.data_bytes > 0 {
            bytes.resize(bytes.len().next_multiple_of(self.alignment), 0);
            bytes.extend((0..self.data_bytes * scale as usize).map(|i| i as u8));
        }
        bytes
    }
}

/// A string as it stands in a file.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// The model that tests read, given by the test command.
pub(crate) fn real_model() -> PathBuf {
    let path = std::env::var_os("REALM_TEST_MODEL");
    PathBuf::from(
        path.expect("REALM_TEST_MODEL names no model file: run the tests with `cargo xtask test`"),
    )
}
