//! The tokenizers of the supported families agree with the models' own libraries (`tokenizers`, `sentencepiece`).
//! Made by reference/golden_tokenizer_families.py.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is wrong"
)]

use std::sync::LazyLock;

use proptest::prelude::*;
use realm_engine::tokenizer::{
    SpecialTokens, StreamDecoder, TokenId, TokenKind, TokenRoles, Tokenizer, TokenizerSpec,
};
use serde_json::Value;

static GOLDEN: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("golden/tokenizer_families.json")).unwrap());

/// Families of byte-level BPE in the golden file.
const BYTE_LEVEL: [&str; 10] = [
    "gpt-2",
    "smollm",
    "llama-bpe",
    "dbrx",
    "qwen2",
    "qwen35",
    "tekken",
    "gpt-4o",
    "deepseek-v3",
    "deepseek-coder",
];

fn texts() -> Vec<&'static str> {
    GOLDEN["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn ids(value: &Value) -> Vec<TokenId> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as TokenId).collect()
}

fn strings(value: &Value) -> Vec<String> {
    let strings = value.as_array().into_iter().flatten();
    strings.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The metadata of a section of the golden file.
fn spec(section: &str) -> TokenizerSpec {
    let spec = &GOLDEN[section]["spec"];
    let id = |key: &str| spec.get(key).map(|id| id.as_u64().unwrap() as TokenId);
    let hex = spec.get("charsmap").map_or("", |hex| hex.as_str().unwrap());
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    TokenizerSpec {
        model: spec["model"].as_str().unwrap().to_owned(),
        tokens: strings(&spec["tokens"]),
        types: ids(&spec["types"]).into_iter().map(|number| number as i32).collect(),
        merges: strings(&spec["merges"]),
        scores: spec["scores"].as_array().map_or_else(Vec::new, |scores| {
            scores.iter().map(|score| score.as_f64().unwrap() as f32).collect()
        }),
        charsmap: (0..hex.len()).step_by(2).map(byte).collect(),
        roles: TokenRoles {
            bos: id("bos"),
            eos: id("eos"),
            unknown: id("unknown"),
            separator: id("separator"),
            classify: id("classify"),
            padding: id("padding"),
            mask: id("mask"),
            ..TokenRoles::default()
        },
        ..TokenizerSpec::default()
    }
}

fn byte_level(family: &str) -> Tokenizer {
    Tokenizer::new(&TokenizerSpec { pre: Some(family.to_owned()), ..spec("byte_level") }).unwrap()
}

fn sentence_bpe(prefix: bool) -> Tokenizer {
    let spec = TokenizerSpec { add_space_prefix: Some(prefix), ..spec("sentence_bpe") };
    Tokenizer::new(&spec).unwrap()
}

fn unigram() -> Tokenizer {
    Tokenizer::new(&spec("unigram")).unwrap()
}

fn word_piece(lowercase: bool, strip_accents: Option<bool>) -> Tokenizer {
    let spec = TokenizerSpec { lowercase: Some(lowercase), strip_accents, ..spec("word_piece") };
    Tokenizer::new(&spec).unwrap()
}

/// One of every kind.
fn all() -> Vec<(&'static str, Tokenizer)> {
    let byte_level = BYTE_LEVEL.map(|family| (family, byte_level(family)));
    let others = [
        ("llama", sentence_bpe(true)),
        ("gemma", sentence_bpe(false)),
        ("t5", unigram()),
        ("bert", word_piece(true, None)),
    ];
    byte_level.into_iter().chain(others).collect()
}

/// The tokens of one family in a case that names the families of each result.
fn of_family(case: &Value, family: &str) -> Vec<TokenId> {
    let mut groups = case.as_object().unwrap().iter();
    let found = groups.find(|(families, _)| families.split(' ').any(|name| name == family));
    ids(found.unwrap().1)
}

#[test]
fn byte_level_families_agree_with_their_library() {
    let golden = &GOLDEN["byte_level"];
    for family in BYTE_LEVEL {
        let tokenizer = byte_level(family);
        for (index, text) in texts().into_iter().enumerate() {
            let plain = &golden["as_text"][index];
            let parsed = &golden["parsed"][index];
            let parsed = if parsed.is_null() { plain } else { parsed };
            let found = tokenizer.encode(text, SpecialTokens::AsText);
            assert_eq!(found, of_family(plain, family), "{family}, as text: {text:?}");
            let found = tokenizer.encode(text, SpecialTokens::Parse);
            assert_eq!(found, of_family(parsed, family), "{family}, parsed: {text:?}");
        }
    }
}

#[test]
fn bytes_that_are_not_text_decode_as_in_the_library() {
    let tokenizer = byte_level("gpt-2");
    for case in GOLDEN["byte_level"]["decoded"].as_array().unwrap() {
        let (tokens, text) = (ids(&case["ids"]), case["text"].as_str().unwrap());
        assert_eq!(tokenizer.decode(&tokens), text, "{tokens:?}");
        assert_eq!(streamed(&tokenizer, &tokens), text, "{tokens:?}");
    }
}

fn check_sentences(tokenizer: &Tokenizer, golden: &Value) {
    for (index, text) in texts().into_iter().enumerate() {
        let expected = ids(&golden["as_text"][index]);
        let found = tokenizer.encode(text, SpecialTokens::AsText);
        assert_eq!(found, expected, "{text:?}");
        let decoded = golden["decoded"][index].as_str().unwrap_or(text);
        assert_eq!(shown(tokenizer, &found), decoded, "{text:?}");
    }
}

/// The text of tokens as SentencePiece shows it: ` ⁇ ` for an unknown token.
fn shown(tokenizer: &Tokenizer, tokens: &[TokenId]) -> String {
    let unknown = tokenizer.roles().unknown.unwrap();
    let text = |tokens: &[TokenId]| tokenizer.decode(tokens);
    let mut runs = tokens.split(|&token| token == unknown);
    let mut shown = text(runs.next().unwrap_or_default());
    for run in runs {
        let mut decoder = StreamDecoder::after(tokenizer, &[0, 7]);
        shown += " \u{2047} ";
        shown.extend(run.iter().map(|&token| decoder.push(tokenizer, token)));
        shown += &decoder.finish();
    }
    shown
}

#[test]
fn sentence_piece_bpe_agrees_with_its_library() {
    check_sentences(&sentence_bpe(true), &GOLDEN["sentence_bpe"]["prefix"]);
    check_sentences(&sentence_bpe(false), &GOLDEN["sentence_bpe"]["no_prefix"]);
}

#[test]
fn sentence_piece_unigram_agrees_with_its_library() {
    check_sentences(&unigram(), &GOLDEN["unigram"]["prefix"]);
}

#[test]
fn word_piece_agrees_with_its_library() {
    let golden = &GOLDEN["word_piece"];
    let kinds = [("uncased", true, None), ("cased", false, None), ("accents", true, Some(false))];
    for (name, lowercase, strip_accents) in kinds {
        let tokenizer = word_piece(lowercase, strip_accents);
        for (index, text) in texts().into_iter().enumerate() {
            let found = tokenizer.encode(text, SpecialTokens::AsText);
            assert_eq!(found, ids(&golden[name][index]), "{name}: {text:?}");
        }
    }
}

fn streamed(tokenizer: &Tokenizer, tokens: &[TokenId]) -> String {
    let mut decoder = StreamDecoder::new();
    let mut text: String = tokens.iter().map(|&id| decoder.push(tokenizer, id)).collect();
    text += &decoder.finish();
    text
}

#[test]
fn text_alone_is_framed_as_the_file_says() {
    let text = SpecialTokens::AsText;
    let framed = |spec: TokenizerSpec| {
        let tokenizer = Tokenizer::new(&spec).unwrap();
        let inner = tokenizer.encode("a", text);
        let framed = tokenizer.encode_framed("a", text);
        let at = framed.windows(inner.len()).position(|window| window == inner).unwrap();
        (framed[..at].to_vec(), framed[at + inner.len()..].to_vec())
    };
    let bert = spec("word_piece");
    let (cls, sep) = (bert.roles.classify.unwrap(), bert.roles.separator.unwrap());
    assert_eq!(framed(bert.clone()), (vec![cls], vec![sep]));
    assert_eq!(framed(TokenizerSpec { add_bos: Some(false), ..bert }), (vec![], vec![sep]));
    let llama = spec("sentence_bpe");
    assert_eq!(framed(llama.clone()), (vec![1], vec![]));
    let both = TokenizerSpec { add_bos: Some(false), add_eos: Some(true), ..llama };
    assert_eq!(framed(both), (vec![], vec![2]));
    assert_eq!(framed(spec("unigram")), (vec![], vec![2]));
    let mut gpt2 = TokenizerSpec { pre: Some("gpt-2".to_owned()), ..spec("byte_level") };
    gpt2.roles.bos = Some(0);
    assert_eq!(framed(gpt2.clone()), (vec![], vec![]));
    gpt2.pre = Some("llama-bpe".to_owned());
    assert_eq!(framed(gpt2), (vec![0], vec![]));
}

#[test]
fn untrusted_text_never_makes_a_control_token() {
    for (name, tokenizer) in all() {
        let ids = || 0..tokenizer.vocab_size() as TokenId;
        let control = || ids().filter(|&id| tokenizer.kind(id) == Some(TokenKind::Control));
        assert!(control().count() >= 3, "{name}");
        let text: Vec<u8> =
            control().flat_map(|id| tokenizer.token_bytes(id).unwrap()).copied().collect();
        let text = String::from_utf8(text).unwrap();
        let plain = tokenizer.encode(&text, SpecialTokens::AsText);
        assert!(!plain.is_empty(), "{name}");
        let steers = |id: &TokenId| tokenizer.kind(*id) == Some(TokenKind::Control);
        assert!(!plain.iter().any(steers), "{name}: {plain:?}");
        let parsed = tokenizer.encode(&text, SpecialTokens::Parse);
        assert_eq!(parsed, control().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn each_stretch_between_control_tokens_is_a_text_of_its_own() {
    let tokenizer = sentence_bpe(true);
    let (parse, text) = (SpecialTokens::Parse, SpecialTokens::AsText);
    let mark = tokenizer.encode("<|user|>", parse);
    assert_eq!(mark.len(), 1);
    let expected =
        [tokenizer.encode("a b", text), mark.clone(), tokenizer.encode("c", text)].concat();
    assert_eq!(tokenizer.encode("a b<|user|>c", parse), expected);
    assert_eq!(tokenizer.decode(&expected), "a b<|user|>c");
    // A user-defined token stands inside its text.
    let called = tokenizer.encode("a<tool_call>c", text);
    assert_eq!(tokenizer.decode(&called), "a<tool_call>c");
}

#[test]
fn white_space_after_a_control_token_belongs_to_it_in_phi_3() {
    let spec = TokenizerSpec { strip_after_control: true, ..spec("sentence_bpe") };
    let phi = Tokenizer::new(&spec).unwrap();
    let parse = SpecialTokens::Parse;
    assert_eq!(phi.encode("<|user|> \n a<|end|>\n", parse), phi.encode("<|user|>a<|end|>", parse));
    let llama = sentence_bpe(true);
    assert_ne!(llama.encode("<|user|>\na", parse), llama.encode("<|user|>a", parse));
}

#[test]
fn a_stream_shows_the_space_of_a_word_only_inside_a_text() {
    let tokenizer = sentence_bpe(true);
    let words = tokenizer.encode("the capital", SpecialTokens::AsText);
    let first = |mut decoder: StreamDecoder| decoder.push(&tokenizer, words[0]);
    assert!(tokenizer.token_bytes(words[0]).unwrap().starts_with(b" "));
    assert!(first(StreamDecoder::new()).starts_with('t'));
    assert!(first(StreamDecoder::after(&tokenizer, &[])).starts_with('t'));
    assert!(first(StreamDecoder::after(&tokenizer, &[1])).starts_with('t'));
    assert!(first(StreamDecoder::after(&tokenizer, &words)).starts_with(" t"));
    let mut decoder = StreamDecoder::new();
    let shown: String = words.iter().map(|&id| decoder.push(&tokenizer, id)).collect();
    assert_eq!(shown, "the capital");
    let bare = sentence_bpe(false);
    let words = bare.encode(" the", SpecialTokens::AsText);
    assert_eq!(StreamDecoder::new().push(&bare, words[0]), bare.decode(&words[..1]));
    assert!(bare.decode(&words).starts_with(" t"));
}

#[test]
fn byte_tokens_come_out_as_whole_characters() {
    let tokenizer = sentence_bpe(true);
    let byte = |byte: u8| {
        let spelled = format!("<0x{byte:02X}>");
        let found = spec("sentence_bpe").tokens.iter().position(|token| *token == spelled);
        found.unwrap() as TokenId
    };
    let mut decoder = StreamDecoder::new();
    let mut push = |value: u8| decoder.push(&tokenizer, byte(value));
    let shown: Vec<String> = "🦙".bytes().map(&mut push).collect();
    assert_eq!(shown, ["", "", "", "🦙"]);
    // A byte is not a word: its space is shown.
    assert_eq!(StreamDecoder::new().push(&tokenizer, byte(b' ')), " ");
    let broken: Vec<TokenId> = [0xE2, 0x82, b'x', 0xFF, 0xF0, 0x9F].map(byte).into();
    assert_eq!(streamed(&tokenizer, &broken), "\u{FFFD}x\u{FFFD}\u{FFFD}");
}

#[test]
fn fill_in_the_middle_tokens_are_named_or_found_by_their_text() {
    assert_eq!(byte_level("qwen2").fim().prefix, None);
    let mut spec = TokenizerSpec { pre: Some("qwen2".to_owned()), ..spec("byte_level") };
    for text in ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>"] {
        spec.tokens.push(text.to_owned());
        spec.types.push(3);
    }
    let first = spec.tokens.len() as TokenId - 4;
    spec.roles.fim.suffix = Some(3);
    let fim = Tokenizer::new(&spec).unwrap().fim();
    assert_eq!((fim.prefix, fim.suffix, fim.middle), (Some(first), Some(3), Some(first + 2)));
    assert_eq!((fim.padding, fim.repository, fim.file), (Some(first + 3), None, None));
    spec.roles.fim.file = Some(1 << 20);
    let message = Tokenizer::new(&spec).unwrap_err().to_string();
    assert!(message.contains("fim_sep_token_id"), "{message}");
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_what_is_wrong() {
    type Spoil = fn(&mut TokenizerSpec);
    let cases: [(&str, Spoil, &[&str]); 10] = [
        (
            "byte_level",
            |spec| spec.model = "rwkv".to_owned(),
            &["`rwkv`", "gpt2", "llama", "t5", "bert"],
        ),
        (
            "byte_level",
            |spec| spec.pre = Some("poro-chat".to_owned()),
            &["`poro-chat`", "qwen2", "tekken"],
        ),
        ("byte_level", |spec| spec.roles.mask = Some(9999), &["mask_token_id", "9999"]),
        ("sentence_bpe", |spec| spec.scores.clear(), &["0 scores", "800 tokens"]),
        ("sentence_bpe", |spec| spec.scores[5] = f32::NAN, &["token 5", "NaN"]),
        ("unigram", |spec| spec.scores[6] = f32::NEG_INFINITY, &["token 6", "inf"]),
        ("unigram", |spec| spec.charsmap.truncate(9), &["precompiled_charsmap"]),
        (
            "unigram",
            |spec| {
                spec.roles.unknown = None;
                spec.types[0] = 1;
            },
            &["unknown_token_id"],
        ),
        ("word_piece", |spec| spec.tokens.clear(), &["0 tokens"]),
        (
            "word_piece",
            |spec| {
                spec.roles.unknown = None;
                spec.tokens[1] = "x".to_owned();
            },
            &["unknown_token_id"],
        ),
    ];
    for (section, spoil, words) in cases {
        let mut spec = spec(section);
        spoil(&mut spec);
        let message = Tokenizer::new(&spec).unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message:?}: {words:?}");
    }
}

/// A megabyte of one thing. That the work grows as the text is shown where it is counted (joiner, unigram); were it to
/// grow as its square, this test would not end.
#[test]
fn a_megabyte_of_one_thing_becomes_tokens() {
    const BYTES: usize = 1 << 20;
    let names = ["smollm", "llama-bpe", "gpt-4o", "deepseek-v3", "llama", "gemma", "t5", "bert"];
    for (name, tokenizer) in ALL.iter().filter(|(name, _)| names.contains(name)) {
        for thing in ["a", " ", "7", "漢", "\u{301}", "<|im_start|>"] {
            let text = thing.repeat(BYTES / thing.len());
            let tokens = tokenizer.encode(&text, SpecialTokens::AsText);
            assert!(tokens.len() <= text.len() + 1, "{name}: {thing:?}");
            if !["t5", "bert"].contains(name) {
                assert_eq!(tokenizer.decode(&tokens), text, "{name}: {thing:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_comes_back(text in "\\PC{0,60}|[ \\n\\t]{0,20}|.{0,40}| {0,3}[a-z ]{0,20}") {
        prop_assume!(!text.contains('\u{2581}'));
        let as_text = SpecialTokens::AsText;
        for (name, tokenizer) in &*LOSSLESS {
            let tokens = tokenizer.encode(&text, as_text);
            prop_assert_eq!(&tokenizer.decode(&tokens), &text, "{}", name);
            prop_assert_eq!(&streamed(tokenizer, &tokens), &text, "{}", name);
        }
    }

    /// Any tokens in any order: the stream shows what the whole shows, and nothing panics.
    #[test]
    fn a_stream_of_any_tokens_shows_what_the_whole_shows(tokens in prop::collection::vec(0_u32..1100, 0..40)) {
        for (name, tokenizer) in &*ALL {
            prop_assert_eq!(streamed(tokenizer, &tokens), tokenizer.decode(&tokens), "{}", name);
        }
    }

    /// A character map may hold anything.
    #[test]
    fn a_spoilt_character_map_does_no_harm(spoils in prop::collection::vec((0_usize..2300, any::<u8>()), 1..20)) {
        let mut spec = spec("unigram");
        for (at, byte) in spoils {
            let length = spec.charsmap.len();
            spec.charsmap[at % length] = byte;
        }
        if let Ok(tokenizer) = Tokenizer::new(&spec) {
            for text in texts() {
                tokenizer.encode(text, SpecialTokens::AsText);
            }
        }
    }
}

static ALL: LazyLock<Vec<(&str, Tokenizer)>> = LazyLock::new(all);

/// Those that lose nothing: byte-level without normal forms, and byte fallback without U+2581 in the text.
static LOSSLESS: LazyLock<Vec<(&str, Tokenizer)>> = LazyLock::new(|| {
    let changes = ["qwen2", "qwen35", "t5", "bert"];
    all().into_iter().filter(|(name, _)| !changes.contains(name)).collect()
});
