//! Writes small GGUF files: a whole model of the llama family with random weights, to be spoilt by tests.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::Path;

use realm_engine::engine::{LoadError, Model, ModelOptions};
use std::sync::Arc;

/// A metadata value.
#[derive(Debug, Clone)]
pub(crate) enum Meta {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    Bools(Vec<bool>),
    Floats(Vec<f32>),
}

/// A tensor of weights; row length first.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<u64>,
    pub(crate) weights: Vec<f32>,
    /// Written as Q8_0 instead of F32.
    pub(crate) quantized: bool,
}

/// A model file before it is written.
#[derive(Debug, Clone)]
pub(crate) struct TinyModel {
    pub(crate) metadata: Vec<(String, Meta)>,
    pub(crate) tensors: Vec<Tensor>,
}

pub(crate) const LAYERS: usize = 2;
pub(crate) const EMBEDDING: usize = 32;
pub(crate) const KV_LEN: usize = 16;
pub(crate) const FEED_FORWARD: usize = 64;
/// 256 bytes, one merge, one control token, padded to a round number.
pub(crate) const VOCABULARY: usize = 258;

impl TinyModel {
    /// A model that loads: 2 blocks, 4 heads, 2 key heads.
    pub(crate) fn new() -> Self {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let mut tensors = vec![random.tensor("token_embd.weight", &[EMBEDDING, VOCABULARY], 1.0)];
        for layer in 0..LAYERS {
            let parts: [(&str, &[usize]); 9] = [
                ("attn_norm.weight", &[EMBEDDING]),
                ("attn_q.weight", &[EMBEDDING, EMBEDDING]),
                ("attn_k.weight", &[EMBEDDING, KV_LEN]),
                ("attn_v.weight", &[EMBEDDING, KV_LEN]),
                ("attn_output.weight", &[EMBEDDING, EMBEDDING]),
                ("ffn_norm.weight", &[EMBEDDING]),
                ("ffn_gate.weight", &[EMBEDDING, FEED_FORWARD]),
                ("ffn_up.weight", &[EMBEDDING, FEED_FORWARD]),
                ("ffn_down.weight", &[FEED_FORWARD, EMBEDDING]),
            ];
            tensors
                .extend(parts.map(|(part, shape)| {
                    random.tensor(&format!("blk.{layer}.{part}"), shape, 0.3)
                }));
        }
        tensors.push(random.tensor("output_norm.weight", &[EMBEDDING], 1.0));
        Self { metadata: metadata(), tensors }
    }

    /// Replaces a metadata value, or adds it.
    pub(crate) fn set(&mut self, key: &str, value: Meta) {
        self.remove(key);
        self.metadata.push((key.to_owned(), value));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.metadata.retain(|(existing, _)| existing != key);
    }

    pub(crate) fn remove_tensor(&mut self, name: &str) {
        self.tensors.retain(|tensor| tensor.name != name);
    }

    pub(crate) fn add_tensor(&mut self, name: &str, shape: &[usize]) {
        self.tensors.push(Random(1).tensor(name, shape, 0.5));
    }

    /// Writes the file and opens it.
    pub(crate) fn open(&self) -> Result<Arc<Model>, LoadError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("tiny.gguf");
        self.write(&path);
        Model::open(&path, &ModelOptions::default())
    }

    /// Writes GGUF version 3 with an alignment of 32 bytes.
    pub(crate) fn write(&self, path: &Path) {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            text(&mut bytes, key);
            value.write(&mut bytes);
        }
        let mut offset = 0_u64;
        for tensor in &self.tensors {
            text(&mut bytes, &tensor.name);
            bytes.extend((tensor.shape.len() as u32).to_le_bytes());
            for size in &tensor.shape {
                bytes.extend(size.to_le_bytes());
            }
            bytes.extend(if tensor.quantized { 8_u32 } else { 0 }.to_le_bytes());
            bytes.extend(offset.to_le_bytes());
            offset += (tensor.data().len() as u64).next_multiple_of(32);
        }
        for tensor in &self.tensors {
            bytes.resize(bytes.len().next_multiple_of(32), 0);
            bytes.extend(tensor.data());
        }
        std::fs::write(path, bytes).expect("the file can be written");
    }
}

impl Tensor {
    /// The bytes as they stand in the file.
    fn data(&self) -> Vec<u8> {
        if !self.quantized {
            return self.weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        }
        self.weights.chunks_exact(32).flat_map(q8_0).collect()
    }
}

/// A block of 32 weights: a half-precision scale and a byte each.
fn q8_0(weights: &[f32]) -> Vec<u8> {
    let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
    let scale = half::f16::from_f32(largest / 127.0);
    let mut block = scale.to_le_bytes().to_vec();
    let divisor = scale.to_f32().max(f32::MIN_POSITIVE);
    let round = |weight: &f32| (weight / divisor).round().clamp(-127.0, 127.0) as i8;
    block.extend(weights.iter().map(|weight| round(weight) as u8));
    block
}

fn metadata() -> Vec<(String, Meta)> {
    let mut metadata = vocabulary();
    metadata.extend(sizes());
    metadata
}

/// A tokenizer of 258 tokens.
pub(crate) fn vocabulary() -> Vec<(String, Meta)> {
    let tokens = tokens();
    let mut types = vec![1; 257];
    types.push(3);
    [
        ("tokenizer.ggml.model", Meta::Text("gpt2".to_owned())),
        ("tokenizer.ggml.pre", Meta::Text("gpt-2".to_owned())),
        ("tokenizer.ggml.tokens", Meta::Texts(tokens)),
        ("tokenizer.ggml.token_type", Meta::I32s(types)),
        ("tokenizer.ggml.merges", Meta::Texts(vec!["a b".to_owned()])),
        ("tokenizer.ggml.eos_token_id", Meta::U32(257)),
        ("tokenizer.ggml.add_bos_token", Meta::Bool(false)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn sizes() -> Vec<(String, Meta)> {
    [
        ("general.architecture", Meta::Text("llama".to_owned())),
        ("general.name", Meta::Text("tiny".to_owned())),
        ("llama.block_count", Meta::U32(LAYERS as u32)),
        ("llama.context_length", Meta::U32(128)),
        ("llama.embedding_length", Meta::U32(EMBEDDING as u32)),
        ("llama.feed_forward_length", Meta::U32(FEED_FORWARD as u32)),
        ("llama.attention.head_count", Meta::U32(4)),
        ("llama.attention.head_count_kv", Meta::U32(2)),
        ("llama.attention.layer_norm_rms_epsilon", Meta::F32(1e-5)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The byte alphabet in byte order, one merged token, one control token.
fn tokens() -> Vec<String> {
    let prints = |byte: &u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let mut substitute = 256..;
    let character =
        |byte: u32| if prints(&byte) { byte } else { substitute.next().expect("endless") };
    let mut tokens: Vec<String> = (0..256)
        .map(character)
        .map(|code| char::from_u32(code).expect("a character").to_string())
        .collect();
    tokens.extend(["ab".to_owned(), "<|end|>".to_owned()]);
    tokens
}

impl Meta {
    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::U32(number) => tagged(bytes, 4, &number.to_le_bytes()),
            Self::F32(number) => tagged(bytes, 6, &number.to_le_bytes()),
            Self::Bool(flag) => tagged(bytes, 7, &[u8::from(*flag)]),
            Self::Text(value) => {
                tagged(bytes, 8, &[]);
                text(bytes, value);
            }
            Self::Texts(values) => {
                array(bytes, 8, values.len());
                for value in values {
                    text(bytes, value);
                }
            }
            Self::Bools(values) => {
                array(bytes, 7, values.len());
                bytes.extend(values.iter().map(|&flag| u8::from(flag)));
            }
            Self::Floats(values) => {
                array(bytes, 6, values.len());
                for value in values {
                    bytes.extend(value.to_le_bytes());
                }
            }
            Self::I32s(values) => {
                array(bytes, 5, values.len());
                for value in values {
                    bytes.extend(value.to_le_bytes());
                }
            }
        }
    }
}

fn tagged(bytes: &mut Vec<u8>, tag: u32, value: &[u8]) {
    bytes.extend(tag.to_le_bytes());
    bytes.extend(value);
}

fn array(bytes: &mut Vec<u8>, element: u32, len: usize) {
    tagged(bytes, 9, &element.to_le_bytes());
    bytes.extend((len as u64).to_le_bytes());
}

fn text(bytes: &mut Vec<u8>, value: &str) {
    bytes.extend((value.len() as u64).to_le_bytes());
    bytes.extend(value.as_bytes());
}

/// A small generator of numbers that are the same in every run (xorshift64*).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize], scale: f32) -> Tensor {
        let weights = (0..shape.iter().product()).map(|_| self.next() * scale).collect();
        Tensor {
            name: name.to_owned(),
            shape: shape.iter().map(|&size| size as u64).collect(),
            weights,
            quantized: false,
        }
    }

    /// -1 to 1.
    pub(crate) fn next(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40;
        bits as f32 / (1_u64 << 23) as f32 - 1.0
    }
}
