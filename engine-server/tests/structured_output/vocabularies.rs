//! Every kind of vocabulary gives the bytes that the grammar has read.

use std::sync::Arc;

use realm_engine::engine::Model;
use realm_engine_server::constraint::{Constraints, Grammar, SchemaRules};
use serde_json::{Value, json};

use crate::{
    support::babble,
    tiny_model::{EMBEDDING, Meta, Random, TinyModel},
};

/// A random model with these tokens and their kinds.
fn model(kind: &str, tokens: Vec<(String, i32)>, more: &[(&str, Meta)]) -> Arc<Model> {
    let mut tiny = TinyModel::new();
    let (texts, kinds): (Vec<String>, Vec<i32>) = tokens.into_iter().unzip();
    tiny.remove_tensor("token_embd.weight");
    tiny.tensors.push(Random(7).tensor("token_embd.weight", &[EMBEDDING, texts.len()], 1.0));
    tiny.set("tokenizer.ggml.model", Meta::Text(kind.to_owned()));
    tiny.set("tokenizer.ggml.token_type", Meta::I32s(kinds));
    tiny.set(
        "tokenizer.ggml.scores",
        Meta::Floats((0..texts.len()).map(|at| -(at as f32)).collect()),
    );
    tiny.set("tokenizer.ggml.tokens", Meta::Texts(texts));
    tiny.remove("tokenizer.ggml.merges");
    tiny.remove("tokenizer.ggml.pre");
    for (key, value) in more {
        tiny.set(key, value.clone());
    }
    tiny.open().expect("the model")
}

fn sentence_pieces() -> Arc<Model> {
    let mut tokens: Vec<(String, i32)> = [("<unk>", 2), ("<s>", 3), ("</s>", 3), ("<unused0>", 5)]
        .map(|(text, kind)| (text.to_owned(), kind))
        .into();
    tokens.extend((0..256).map(|byte| (format!("<0x{byte:02X}>"), 6)));
    let pieces = [
        "▁", "▁name", "na", "nam", "name", "▁\"", "\"", "{\"", "\":", "▁{", "}", "}}", "▁a", "an",
        "é", "▁▁", "<tool>",
    ];
    tokens.extend(
        pieces.iter().map(|piece| ((*piece).to_owned(), if *piece == "<tool>" { 4 } else { 1 })),
    );
    tokens.extend((b'a'..=b'z').map(|byte| (char::from(byte).to_string(), 1)));
    model(
        "llama",
        tokens,
        &[
            ("tokenizer.ggml.eos_token_id", Meta::U32(2)),
            ("tokenizer.ggml.bos_token_id", Meta::U32(1)),
            ("tokenizer.ggml.unknown_token_id", Meta::U32(0)),
        ],
    )
}

fn word_pieces() -> Arc<Model> {
    let mut tokens: Vec<(String, i32)> =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(|text| (text.to_owned(), 3)).into();
    let letters = (b'a'..=b'z').map(|byte| char::from(byte).to_string());
    tokens.extend(letters.flat_map(|letter| [(format!("▁{letter}"), 1), (letter, 1)]));
    tokens
        .extend(["▁one", "▁two", "teen", "▁{", "▁\"", "▁:", "▁}"].map(|text| (text.to_owned(), 1)));
    model(
        "bert",
        tokens,
        &[
            ("tokenizer.ggml.eos_token_id", Meta::U32(3)),
            ("tokenizer.ggml.unknown_token_id", Meta::U32(1)),
            ("tokenizer.ggml.seperator_token_id", Meta::U32(3)),
            ("tokenizer.ggml.cls_token_id", Meta::U32(2)),
        ],
    )
}

#[test]
fn sentence_pieces_spell_json() {
    let model = sentence_pieces();
    let constraints = Constraints::new(model.clone());
    let schema = json!({
        "type": "object", "required": ["name", "a"], "additionalProperties": false,
        "properties": {"name": {"type": "string", "maxLength": 8}, "a": {"enum": ["é", " an", "name name"]}}
    });
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let grammar = Grammar::json_schema(schema, SchemaRules::Strict).expect("a schema");
    let constraint = constraints.compile(&grammar, None).expect("a constraint");
    for seed in 0..10 {
        let (text, over) = babble(&model, constraint.clone(), seed, 500).expect("text");
        assert!(over);
        let value: Value = serde_json::from_slice(&text).expect("JSON");
        assert!(validator.is_valid(&value), "{value}");
    }
    // What is certain is spelled as the model's tokenizer spells it inside a text.
    let forced = constraint.clone().forced().expect("tokens");
    let spelled: Vec<&str> = forced
        .iter()
        .map(|&token| {
            std::str::from_utf8(model.tokenizer().token_bytes(token).expect("a token"))
                .expect("text")
        })
        .collect();
    assert!(spelled.concat().starts_with("{\"name\":"), "{spelled:?}");
    assert!(spelled.contains(&"name"), "{spelled:?}");
}

#[test]
fn word_pieces_spell_words() {
    let model = word_pieces();
    let constraints = Constraints::new(model.clone());
    let grammar = Grammar::regex("( (one|two|[a-c]{3}))+( teen|ateen)?".into()).expect("a regex");
    let constraint = constraints.compile(&grammar, None).expect("a constraint");
    for seed in 0..10 {
        let (text, _) = babble(&model, constraint.clone(), seed, 40).expect("text");
        let text = String::from_utf8(text).expect("text");
        let words: Vec<&str> = text.split(' ').skip(1).collect();
        assert!(text.starts_with(' ') && !words.is_empty(), "{text:?}");
    }
}

#[test]
fn tokens_that_are_no_text_are_never_allowed() {
    for (model, never) in [(sentence_pieces(), [0, 1, 3]), (word_pieces(), [0, 1, 4])] {
        let constraints = Constraints::new(model.clone());
        let anything = Grammar::regex("(.|\\n)*".into()).expect("a regex");
        let mut constraint = constraints.compile(&anything, None).expect("a constraint");
        let mask = constraint.allowed().expect("a mask").expect("not everything");
        for token in never {
            assert!(!mask.allows(token), "{token}");
        }
        let end = model.tokenizer().eos().expect("an end");
        assert!(mask.allows(end), "an empty text may end");
        assert!(mask.count() > 50);
    }
}

#[test]
fn a_vocabulary_without_the_characters_says_so() {
    let model = word_pieces();
    let constraints = Constraints::new(model);
    let grammar = Grammar::choice(&["ÄÖÜ".to_owned()]).expect("a choice");
    let stuck = constraints.compile(&grammar, None).map_err(|error| error.to_string()).and_then(
        |mut constraint| {
            constraint
                .forced()
                .and_then(|_| constraint.allowed())
                .map_err(|error| error.to_string())
        },
    );
    let reason = stuck.expect_err("no token has these bytes");
    assert!(reason.contains("no token"), "{reason}");
}
