//! The tokenizer agrees with llama.cpp's on the demo model's vocabulary. Made by reference/golden_tokenizer.py.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is wrong"
)]

#[path = "support/demo_model.rs"]
mod demo_model;

use std::sync::{Arc, LazyLock};

use demo_model::demo_model;
use proptest::prelude::*;
use realm_engine::{
    engine::{Model, ModelOptions},
    tokenizer::{SpecialTokens, StreamDecoder, TokenId, Tokenizer},
};
use serde_json::Value;

static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| {
    Model::open(&demo_model(), &ModelOptions::default()).expect("the demo model opens")
});

fn tokenizer() -> &'static Tokenizer {
    MODEL.tokenizer()
}

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/tokenizer.json")).unwrap()
}

fn ids(value: &Value) -> Vec<TokenId> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as TokenId).collect()
}

#[test]
fn texts_become_the_same_tokens() {
    let golden = golden();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 300);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let parsed = ids(&case["parsed"]);
        let as_text = case.get("as_text").map_or_else(|| parsed.clone(), ids);
        assert_eq!(tokenizer().encode(text, SpecialTokens::Parse), parsed, "parsing {text:?}");
        assert_eq!(tokenizer().encode(text, SpecialTokens::AsText), as_text, "as text {text:?}");
    }
}

#[test]
fn tokens_become_the_same_bytes() {
    let golden = golden();
    for (id, bytes) in golden["pieces"].as_object().unwrap() {
        let bytes: Vec<u8> =
            bytes.as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8).collect();
        assert_eq!(
            tokenizer().token_bytes(id.parse().unwrap()),
            Some(bytes.as_slice()),
            "token {id}"
        );
    }
    assert_eq!(tokenizer().token_bytes(49_152), None);
}

#[test]
fn special_tokens_are_known() {
    let tokenizer = tokenizer();
    assert_eq!(
        (tokenizer.bos(), tokenizer.eos(), tokenizer.add_bos(), tokenizer.vocab_size()),
        (Some(1), Some(2), false, 49_152)
    );
    let ends: Vec<TokenId> = (0..49_152).filter(|&id| tokenizer.is_end_of_generation(id)).collect();
    assert_eq!(ends, [0, 2], "<|endoftext|> and <|im_end|>");
    assert!((0..17).all(|id| tokenizer.is_special(id)) && !tokenizer.is_special(17));
}

#[test]
fn untrusted_text_never_makes_a_control_token() {
    let tokenizer = tokenizer();
    let mut text = String::new();
    for id in 0..17 {
        text += std::str::from_utf8(tokenizer.token_bytes(id).unwrap()).unwrap();
    }
    assert!(
        tokenizer.encode(&text, SpecialTokens::AsText).iter().all(|&id| !tokenizer.is_special(id))
    );
    assert_eq!(tokenizer.encode(&text, SpecialTokens::Parse), (0..17).collect::<Vec<_>>());
}

#[test]
fn bytes_that_are_not_text_decode_to_the_replacement_character() {
    let tokenizer = tokenizer();
    let half = tokenizer.encode("😀", SpecialTokens::AsText);
    assert!(half.len() > 1);
    assert_eq!(tokenizer.decode(&half[..1]), "\u{FFFD}");
    assert_eq!(tokenizer.decode(&[u32::MAX, 60_000]), "");
    let mut decoder = StreamDecoder::new();
    let pieces: Vec<String> = half.iter().map(|&id| decoder.push(tokenizer, id)).collect();
    assert_eq!(pieces.concat(), "😀");
    assert!(pieces[..pieces.len() - 1].iter().all(String::is_empty));
}

/// Were the work to grow as the square of the text, this test would not end.
#[test]
fn a_megabyte_of_one_thing_comes_back() {
    for thing in ["a", " ", "\n", "7", "=", "é", "漢", "<", "<|im_start|>"] {
        let text = thing.repeat((1 << 20) / thing.len());
        assert_eq!(tokenizer().decode(&tokenizer().encode(&text, SpecialTokens::Parse)), text);
    }
}

/// Characters whose UTF-8 has a byte that this vocabulary has no token for: such bytes are left out, as llama.cpp does.
fn has_tokens(text: &str) -> bool {
    const MISSING: [u8; 8] = [0x04, 0x06, 0x13, 0x14, 0x16, 0x1D, 0xF1, 0xF2];
    text.bytes().all(|byte| !MISSING.contains(&byte) && byte < 0xF5)
}

proptest! {
    #[test]
    fn any_text_comes_back(text in "\\PC{0,80}|[ \\n\\t]{0,20}|.{0,60}") {
        prop_assume!(has_tokens(&text));
        let tokenizer = tokenizer();
        let tokens = tokenizer.encode(&text, SpecialTokens::AsText);
        prop_assert_eq!(&tokenizer.decode(&tokens), &text);
        let mut decoder = StreamDecoder::new();
        let mut streamed: String = tokens.iter().map(|&id| decoder.push(tokenizer, id)).collect();
        streamed += &decoder.finish();
        prop_assert_eq!(streamed, text);
    }
}
