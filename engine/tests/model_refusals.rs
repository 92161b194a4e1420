//! Model files that cannot be run are refused, and the message names what is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is wrong"
)]

#[path = "support/tiny_model.rs"]
mod tiny_model;

use tiny_model::{EMBEDDING, KV_LEN, Meta, TinyModel, VOCABULARY};

fn text(value: &str) -> Meta {
    Meta::Text(value.to_owned())
}

#[test]
fn the_unspoilt_model_opens() {
    let model = TinyModel::new().open().unwrap();
    let info = model.info();
    assert_eq!(
        (info.name.as_str(), info.architecture.as_str(), info.quantization.as_str()),
        ("tiny", "llama", "F32")
    );
    assert_eq!((info.context_length, info.vocab_size), (128, VOCABULARY));
    assert!(model.chat_template().is_none());
}

type Spoil = fn(&mut TinyModel);

#[test]
fn each_fault_of_the_sizes_is_named() {
    refused(&[
        (|m| m.set("general.architecture", text("mamba")), &["mamba", "supported: llama"]),
        (|m| m.remove("general.architecture"), &["general.architecture"]),
        (|m| m.remove("llama.block_count"), &["llama.block_count"]),
        (|m| m.set("llama.block_count", Meta::U32(0)), &["llama.block_count", "is 0", "1 to"]),
        (|m| m.set("llama.block_count", Meta::U32(3)), &["blk.2.attn_norm.weight"]),
        (
            |m| m.set("llama.attention.head_count_kv", Meta::U32(3)),
            &["head_count_kv", "divisor of 4"],
        ),
        (
            |m| m.set("llama.attention.layer_norm_rms_epsilon", Meta::F32(f32::NAN)),
            &["rms_epsilon", "NaN"],
        ),
        (|m| m.set("llama.rope.freq_base", Meta::F32(-1.0)), &["rope.freq_base", "-1"]),
        (
            |m| m.set("llama.rope.dimension_count", Meta::U32(64)),
            &["rope.dimension_count", "64", "1 to 8"],
        ),
        (
            |m| m.set("llama.rope.scaling.type", text("dynamic")),
            &["rope.scaling.type", "dynamic", "linear, yarn, longrope"],
        ),
        (|m| m.set("llama.expert_count", Meta::U32(8)), &["llama.expert_used_count"]),
        (
            |m| {
                m.set("llama.expert_count", Meta::U32(8));
                m.set("llama.expert_used_count", Meta::U32(9));
            },
            &["expert_used_count", "9", "1 to 8"],
        ),
        (
            |m| {
                m.set("llama.expert_count", Meta::U32(8));
                m.set("llama.expert_gating_func", Meta::U32(2));
            },
            &["expert_gating_func", "2", "softmax"],
        ),
        (|m| m.set("llama.expert_shared_count", Meta::U32(1)), &["expert_shared_count", "1"]),
        (|m| m.set("llama.attention.scale", Meta::F32(0.5)), &["attention.scale", "0.5"]),
        (|m| m.set("llama.pooling_type", Meta::U32(4)), &["pooling_type", "4"]),
        (|m| m.set("llama.rope.scaling.factor", Meta::F32(-2.0)), &["rope.scaling.factor", "-2"]),
    ]);
}

#[test]
fn each_fault_of_tensors_and_tokenizer_is_named() {
    refused(&[
        (|m| m.remove_tensor("blk.1.ffn_down.weight"), &["blk.1.ffn_down.weight"]),
        (|m| m.remove_tensor("token_embd.weight"), &["token_embd.weight"]),
        (
            |m| {
                m.remove_tensor("blk.0.attn_k.weight");
                m.add_tensor("blk.0.attn_k.weight", &[EMBEDDING, KV_LEN + 1]);
            },
            &["blk.0.attn_k.weight", "[32, 16]", "[32, 17]"],
        ),
        (|m| m.add_tensor("blk.0.attn_q_norm.weight", &[8]), &["blk.0.attn_q_norm.weight"]),
        (|m| m.remove("tokenizer.ggml.model"), &["tokenizer", "tokenizer.ggml.model"]),
        (|m| m.remove("tokenizer.ggml.tokens"), &["tokenizer.ggml.tokens"]),
        (|m| m.set("tokenizer.ggml.model", text("rwkv")), &["`rwkv`", "gpt2"]),
        (|m| m.set("tokenizer.ggml.pre", text("poro-chat")), &["`poro-chat`", "smollm"]),
        (|m| m.set("tokenizer.ggml.eos_token_id", Meta::U32(258)), &["eos_token_id", "258"]),
        (
            |m| m.set("tokenizer.ggml.merges", Meta::Texts(vec!["ab".to_owned()])),
            &["merge 0", "\"ab\""],
        ),
        (|m| m.set("tokenizer.ggml.token_type", Meta::I32s(vec![1])), &["1 token types", "258"]),
    ]);
}

/// Each spoilt model is refused with a message that has the words.
fn refused(cases: &[(Spoil, &[&str])]) {
    for (index, (spoil, words)) in cases.iter().enumerate() {
        let mut model = TinyModel::new();
        spoil(&mut model);
        let message = model
            .open()
            .err()
            .unwrap_or_else(|| panic!("case {index} ({words:?}) opened"))
            .to_string();
        for word in *words {
            assert!(message.contains(word), "case {index}: {message:?} does not say {word:?}");
        }
    }
}

#[test]
fn a_vocabulary_that_is_not_the_embeddings_is_refused() {
    let mut model = TinyModel::new();
    model.remove_tensor("token_embd.weight");
    model.add_tensor("token_embd.weight", &[EMBEDDING, VOCABULARY + 2]);
    let message = model.open().unwrap_err().to_string();
    assert!(message.contains("258") && message.contains("260"), "{message}");
}

#[test]
fn optional_tensors_are_used() {
    let plain = first_logits(&TinyModel::new());
    let mut biased = TinyModel::new();
    biased.add_tensor("blk.0.attn_q.bias", &[EMBEDDING]);
    biased.add_tensor("blk.0.attn_k.bias", &[KV_LEN]);
    biased.add_tensor("blk.1.attn_v.bias", &[KV_LEN]);
    biased.add_tensor("blk.1.attn_output.bias", &[EMBEDDING]);
    let mut untied = TinyModel::new();
    untied.add_tensor("output.weight", &[EMBEDDING, VOCABULARY]);
    let mut factored = TinyModel::new();
    factored.add_tensor("rope_freqs.weight", &[4]);
    for (name, model) in [("bias", biased), ("output", untied), ("rope_freqs", factored)] {
        assert_ne!(first_logits(&model), plain, "{name} makes no difference");
    }
}

/// Logits after three tokens.
fn first_logits(model: &TinyModel) -> Vec<f32> {
    use realm_engine::engine::{Engine, EngineOptions, LogitsWanted, StepItem};
    let options = EngineOptions::new(std::num::NonZeroUsize::MIN, 16, 1);
    let mut engine = Engine::new(model.open().unwrap(), options).unwrap();
    let sequence = engine.new_sequence().unwrap();
    let item = StepItem { sequence, tokens: &[72, 105, 33], logits: LogitsWanted::Last };
    engine.step(&[item]).unwrap().item(0).to_vec()
}
