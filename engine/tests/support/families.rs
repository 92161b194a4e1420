//! A tiny model of each family with random weights: shapes that are unlike one another in all that families may differ.

use crate::tiny_model::{Meta, Random, TinyModel, VOCABULARY, vocabulary};

/// Longer than two pages of the KV cache, and than the windows below.
pub(crate) const PROMPT_TOKENS: usize = 75;
pub(crate) const CONTEXT: usize = 128;

/// A tiny model and how closely it must agree with the reference.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) model: TinyModel,
    /// Most that a logit may differ, in units of the standard deviation of the reference's.
    pub(crate) tolerance: f64,
}

/// Agreement of the exact path with single-precision weights.
const EXACT: f64 = 1e-4;
/// The reference reads gelu from a table of half-precision numbers.
const HALF_TABLE: f64 = 4e-3;
/// The reference's gelu is the approximation by a hyperbolic tangent, from that table.
const OTHER_GELU: f64 = 1e-2;
/// Both round activations to eight bits.
const QUANTIZED: f64 = 2e-1;

/// What a tiny model of a family is made of.
#[derive(Clone, Copy)]
struct Shape {
    architecture: &'static str,
    layers: usize,
    width: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    inner: usize,
    seed: u64,
}

const SHAPE: Shape = Shape {
    architecture: "llama",
    layers: 3,
    width: 96,
    heads: 6,
    kv_heads: 2,
    head_dim: 16,
    inner: 160,
    seed: 1,
};

struct Builder {
    shape: Shape,
    random: Random,
    model: TinyModel,
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    let case = |name, tolerance, model| Case { name, model, tolerance };
    let mut quantized = llama().finish();
    quantize(&mut quantized);
    let mut quantized_experts = mixtral();
    quantize(&mut quantized_experts);
    vec![
        case("llama", EXACT, llama().finish()),
        case("llama-q8_0", QUANTIZED, quantized),
        case("llama3-factors", EXACT, llama3()),
        case("llama-linear", EXACT, scaled("linear")),
        case("llama-yarn", EXACT, scaled("yarn")),
        case("mixtral", EXACT, mixtral()),
        case("mixtral-q8_0", QUANTIZED, quantized_experts),
        case("qwen2", EXACT, qwen2()),
        case("qwen3", EXACT, qwen3()),
        case("qwen3moe", EXACT, qwen3moe()),
        case("gemma", HALF_TABLE, gemma()),
        case("gemma2", HALF_TABLE, gemma2()),
        case("gemma3", HALF_TABLE, gemma3()),
        case("phi3", EXACT, phi3(512)),
        case("phi3-long", EXACT, phi3(64)),
        case("smollm3", EXACT, smollm3()),
        case("bert", OTHER_GELU, bert("bert", 1)),
        case("bert-cls", OTHER_GELU, bert("bert", 2)),
        case("nomic-bert", EXACT, bert("nomic-bert", 1)),
    ]
}

/// Every token of a prompt, none of them special.
pub(crate) fn prompt() -> Vec<u32> {
    (0..PROMPT_TOKENS as u32).map(|at| (at * 37 + at * at * 11) % 256).collect()
}

fn quantize(model: &mut TinyModel) {
    let matrix = |shape: &[u64]| shape.len() > 1 && shape[0].is_multiple_of(32);
    for tensor in model.tensors.iter_mut().filter(|tensor| matrix(&tensor.shape)) {
        tensor.quantized = !tensor.name.contains("ffn_gate_inp");
    }
}

impl Builder {
    fn new(shape: Shape) -> Self {
        let mut builder = Self {
            random: Random(0x9E37_79B9_7F4A_7C15 ^ (shape.seed << 32)),
            model: TinyModel { metadata: vocabulary(), tensors: Vec::new() },
            shape,
        };
        let name = Meta::Text(shape.architecture.to_owned());
        builder.model.set("general.architecture", name);
        builder.number("block_count", shape.layers);
        builder.number("context_length", CONTEXT);
        builder.number("embedding_length", shape.width);
        builder.number("feed_forward_length", shape.inner);
        builder.number("attention.head_count", shape.heads);
        builder.number("attention.head_count_kv", shape.kv_heads);
        builder.number("attention.key_length", shape.head_dim);
        builder.number("attention.value_length", shape.head_dim);
        builder.number("rope.dimension_count", shape.head_dim);
        builder.set("attention.layer_norm_rms_epsilon", Meta::F32(1e-5));
        builder.tensor("token_embd.weight", &[shape.width, VOCABULARY], 1.0);
        builder
    }

    /// Norms, attention and output of a decoder, with a feed-forward network unless `inner` is given elsewhere.
    fn decoder(shape: Shape) -> Self {
        let mut builder = Self::new(shape);
        let Shape { width, inner, .. } = shape;
        for layer in 0..shape.layers {
            builder.norm(&format!("blk.{layer}.attn_norm.weight"), width);
            builder.attention(layer);
            builder.norm(&format!("blk.{layer}.ffn_norm.weight"), width);
            builder.tensor(&format!("blk.{layer}.ffn_gate.weight"), &[width, inner], 0.3);
            builder.tensor(&format!("blk.{layer}.ffn_up.weight"), &[width, inner], 0.3);
            builder.tensor(&format!("blk.{layer}.ffn_down.weight"), &[inner, width], 0.2);
        }
        builder.norm("output_norm.weight", width);
        builder
    }

    fn attention(&mut self, layer: usize) {
        let Shape { width, heads, kv_heads, head_dim, .. } = self.shape;
        let (query_len, kv_len) = (heads * head_dim, kv_heads * head_dim);
        self.tensor(&format!("blk.{layer}.attn_q.weight"), &[width, query_len], 0.3);
        self.tensor(&format!("blk.{layer}.attn_k.weight"), &[width, kv_len], 0.3);
        self.tensor(&format!("blk.{layer}.attn_v.weight"), &[width, kv_len], 0.3);
        self.tensor(&format!("blk.{layer}.attn_output.weight"), &[query_len, width], 0.3);
    }

    fn set(&mut self, key: &str, value: Meta) {
        let key = format!("{}.{key}", self.shape.architecture);
        self.model.set(&key, value);
    }

    fn number(&mut self, key: &str, number: usize) {
        self.set(key, Meta::U32(number as u32));
    }

    fn tensor(&mut self, name: &str, shape: &[usize], scale: f32) {
        let tensor = self.random.tensor(name, shape, scale);
        self.model.tensors.push(tensor);
    }

    /// A vector around 1.
    fn norm(&mut self, name: &str, len: usize) {
        self.tensor(name, &[len], 0.3);
        if let Some(tensor) = self.model.tensors.last_mut() {
            tensor.weights.iter_mut().for_each(|weight| *weight += 1.0);
        }
    }

    fn each_layer(&mut self, add: impl Fn(&mut Self, &str)) {
        for layer in 0..self.shape.layers {
            add(self, &format!("blk.{layer}."));
        }
    }

    fn remove(&mut self, part: &str) {
        self.model.tensors.retain(|tensor| !tensor.name.ends_with(part));
    }

    fn head_norms(&mut self) {
        let head_dim = self.shape.head_dim;
        self.each_layer(|builder, block| {
            builder.norm(&format!("{block}attn_q_norm.weight"), head_dim);
            builder.norm(&format!("{block}attn_k_norm.weight"), head_dim);
        });
    }

    fn post_norms(&mut self) {
        let width = self.shape.width;
        self.each_layer(|builder, block| {
            builder.norm(&format!("{block}post_attention_norm.weight"), width);
            builder.norm(&format!("{block}post_ffw_norm.weight"), width);
        });
    }

    fn biases(&mut self) {
        let Shape { heads, kv_heads, head_dim, .. } = self.shape;
        self.each_layer(|builder, block| {
            builder.tensor(&format!("{block}attn_q.bias"), &[heads * head_dim], 0.5);
            builder.tensor(&format!("{block}attn_k.bias"), &[kv_heads * head_dim], 0.5);
            builder.tensor(&format!("{block}attn_v.bias"), &[kv_heads * head_dim], 0.5);
        });
    }

    fn experts(&mut self, count: usize, used: usize, inner: usize) {
        let width = self.shape.width;
        for part in ["ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"] {
            self.remove(part);
        }
        self.number("expert_count", count);
        self.number("expert_used_count", used);
        self.each_layer(|builder, block| {
            builder.tensor(&format!("{block}ffn_gate_inp.weight"), &[width, count], 0.5);
            builder.tensor(&format!("{block}ffn_gate_exps.weight"), &[width, inner, count], 0.3);
            builder.tensor(&format!("{block}ffn_up_exps.weight"), &[width, inner, count], 0.3);
            builder.tensor(&format!("{block}ffn_down_exps.weight"), &[inner, width, count], 0.3);
        });
    }

    fn finish(self) -> TinyModel {
        self.model
    }
}

fn llama() -> Builder {
    let mut builder = Builder::decoder(SHAPE);
    builder.tensor("output.weight", &[SHAPE.width, VOCABULARY], 0.3);
    builder
}

fn llama3() -> TinyModel {
    let mut builder = Builder::decoder(Shape { head_dim: 32, heads: 4, seed: 2, ..SHAPE });
    builder.set("rope.freq_base", Meta::F32(500_000.0));
    builder.norm("rope_freqs.weight", 16);
    if let Some(factors) = builder.model.tensors.last_mut() {
        let stretched = factors.weights.iter_mut().enumerate();
        stretched.for_each(|(pair, factor)| *factor += pair as f32 / 2.0);
    }
    builder.finish()
}

fn scaled(kind: &str) -> TinyModel {
    let mut builder = Builder::decoder(Shape { head_dim: 32, heads: 4, seed: 3, ..SHAPE });
    builder.set("rope.scaling.type", Meta::Text(kind.to_owned()));
    builder.set("rope.scaling.factor", Meta::F32(4.0));
    builder.number("rope.scaling.original_context_length", 32);
    builder.finish()
}

fn mixtral() -> TinyModel {
    let mut builder = Builder::decoder(Shape { seed: 4, ..SHAPE });
    builder.experts(5, 2, SHAPE.inner);
    builder.finish()
}

fn qwen2() -> TinyModel {
    let mut builder = Builder::decoder(Shape { architecture: "qwen2", seed: 5, ..SHAPE });
    builder.set("rope.freq_base", Meta::F32(1_000_000.0));
    builder.biases();
    builder.finish()
}

fn qwen3() -> TinyModel {
    let shape = Shape { architecture: "qwen3", head_dim: 32, seed: 6, ..SHAPE };
    let mut builder = Builder::decoder(shape);
    builder.head_norms();
    builder.finish()
}

fn qwen3moe() -> TinyModel {
    let shape = Shape { architecture: "qwen3moe", head_dim: 32, kv_heads: 3, seed: 7, ..SHAPE };
    let mut builder = Builder::decoder(shape);
    builder.number("expert_feed_forward_length", 64);
    builder.head_norms();
    builder.experts(9, 3, 64);
    builder.finish()
}

fn gemma() -> TinyModel {
    let shape = Shape { architecture: "gemma", head_dim: 24, kv_heads: 1, seed: 8, ..SHAPE };
    Builder::decoder(shape).finish()
}

fn gemma2() -> TinyModel {
    let shape = Shape { architecture: "gemma2", head_dim: 32, layers: 4, seed: 9, ..SHAPE };
    let mut builder = Builder::decoder(shape);
    builder.number("attention.sliding_window", 20);
    builder.set("attn_logit_softcapping", Meta::F32(5.0));
    builder.set("final_logit_softcapping", Meta::F32(8.0));
    builder.post_norms();
    builder.finish()
}

fn gemma3() -> TinyModel {
    let shape = Shape { architecture: "gemma3", head_dim: 32, layers: 7, seed: 10, ..SHAPE };
    let mut builder = Builder::decoder(shape);
    builder.number("attention.sliding_window", 33);
    builder.set("rope.freq_base", Meta::F32(1_000_000.0));
    builder.set("rope.scaling.type", Meta::Text("linear".to_owned()));
    builder.set("rope.scaling.factor", Meta::F32(8.0));
    builder.head_norms();
    builder.post_norms();
    builder.finish()
}

/// Longer contexts than the original one use the long factors.
fn phi3(original_context: u32) -> TinyModel {
    let shape = Shape { architecture: "phi3", kv_heads: 3, seed: 11, ..SHAPE };
    let Shape { width, inner, heads, kv_heads, head_dim, .. } = shape;
    let mut builder = Builder::decoder(shape);
    for part in ["attn_q.weight", "attn_k.weight", "attn_v.weight", "ffn_gate.weight"] {
        builder.remove(part);
    }
    builder.remove("ffn_up.weight");
    let rows = (heads + 2 * kv_heads) * head_dim;
    builder.each_layer(|builder, block| {
        builder.tensor(&format!("{block}attn_qkv.weight"), &[width, rows], 0.3);
        builder.tensor(&format!("{block}ffn_up.weight"), &[width, 2 * inner], 0.3);
    });
    builder.number("rope.dimension_count", 12);
    builder.set("rope.scaling.original_context_length", Meta::U32(original_context));
    builder.set("rope.scaling.attn_factor", Meta::F32(1.19));
    builder.norm("rope_factors_short.weight", 6);
    builder.norm("rope_factors_long.weight", 6);
    if let Some(factors) = builder.model.tensors.last_mut() {
        factors.weights.iter_mut().for_each(|factor| *factor *= 6.0);
    }
    builder.finish()
}

fn smollm3() -> TinyModel {
    let shape = Shape { architecture: "smollm3", layers: 5, seed: 12, ..SHAPE };
    Builder::decoder(shape).finish()
}

fn bert(architecture: &'static str, pooling: usize) -> TinyModel {
    let shape = Shape { architecture, kv_heads: 6, seed: 13, ..SHAPE };
    let Shape { width, inner, .. } = shape;
    let gated = architecture == "nomic-bert";
    let mut builder = Builder::new(shape);
    builder.set("attention.layer_norm_epsilon", Meta::F32(1e-12));
    builder.set("attention.causal", Meta::Bool(false));
    builder.number("pooling_type", pooling);
    builder.model.set("tokenizer.ggml.token_type_count", Meta::U32(2));
    builder.tensor("token_types.weight", &[width, 2], 0.5);
    builder.layer_norm("token_embd_norm", width);
    if !gated {
        builder.tensor("position_embd.weight", &[width, CONTEXT], 0.5);
    }
    for layer in 0..shape.layers {
        builder.encoder_block(layer, width, inner, gated);
    }
    builder.finish()
}

impl Builder {
    fn encoder_block(&mut self, layer: usize, width: usize, inner: usize, gated: bool) {
        let block = format!("blk.{layer}.");
        if gated {
            self.tensor(&format!("{block}attn_qkv.weight"), &[width, 3 * width], 0.3);
            self.tensor(&format!("{block}attn_output.weight"), &[width, width], 0.3);
            self.tensor(&format!("{block}ffn_gate.weight"), &[width, inner], 0.3);
        } else {
            self.attention(layer);
            for part in ["attn_q.bias", "attn_k.bias", "attn_v.bias", "attn_output.bias"] {
                self.tensor(&format!("{block}{part}"), &[width], 0.3);
            }
            self.tensor(&format!("{block}ffn_up.bias"), &[inner], 0.3);
            self.tensor(&format!("{block}ffn_down.bias"), &[width], 0.3);
        }
        self.layer_norm(&format!("{block}attn_output_norm"), width);
        self.tensor(&format!("{block}ffn_up.weight"), &[width, inner], 0.3);
        self.tensor(&format!("{block}ffn_down.weight"), &[inner, width], 0.2);
        self.layer_norm(&format!("{block}layer_output_norm"), width);
    }

    fn layer_norm(&mut self, name: &str, width: usize) {
        self.norm(&format!("{name}.weight"), width);
        self.tensor(&format!("{name}.bias"), &[width], 0.3);
    }
}
