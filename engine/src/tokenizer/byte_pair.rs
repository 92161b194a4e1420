//! The tokenizer: special tokens, then pieces, then merges.

use super::{
    error::TokenizerError,
    merges::Merges,
    pre_tokenizer::PreTokenizer,
    special::SpecialTexts,
    token::{TokenId, TokenKind},
    vocabulary::Vocabulary,
};

/// The tokenizer models that are known.
const SUPPORTED_MODELS: &str = "gpt2 (byte-level BPE)";

/// Control tokens that end a turn or a document, in files that name only one of them as EOS.
const END_TEXTS: [&str; 12] = [
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<EOT>",
    "</s>",
];

/// What a model file says about its tokenizer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenizerSpec {
    /// `tokenizer.ggml.model`.
    pub model: String,
    /// `tokenizer.ggml.pre`; `default` when the file has none.
    pub pre: Option<String>,
    /// `tokenizer.ggml.tokens`, in the byte alphabet.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.token_type`, one for each token, or none.
    pub types: Vec<i32>,
    /// `tokenizer.ggml.merges`, best first.
    pub merges: Vec<String>,
    /// `tokenizer.ggml.bos_token_id`.
    pub bos: Option<TokenId>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos: Option<TokenId>,
    /// `tokenizer.ggml.eot_token_id` and `tokenizer.ggml.eom_token_id`.
    pub other_ends: Vec<TokenId>,
    /// `tokenizer.ggml.add_bos_token`.
    pub add_bos: Option<bool>,
}

/// What happens to the text of special tokens in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialTokens {
    /// Text that spells a special token becomes that token: only for text that the caller rendered or trusts.
    Parse,
    /// Text is text. User-defined tokens are text too and are still found.
    AsText,
}

/// Turns text into tokens and back.
#[derive(Debug)]
pub struct Tokenizer {
    vocabulary: Vocabulary,
    merges: Merges,
    splitter: PreTokenizer,
    special: SpecialTexts,
    bos: Option<TokenId>,
    eos: Option<TokenId>,
    ends: Vec<TokenId>,
    add_bos: bool,
}

impl Tokenizer {
    /// Checks what the file says and indexes it.
    pub fn new(spec: &TokenizerSpec) -> Result<Self, TokenizerError> {
        if spec.model != "gpt2" {
            return Err(TokenizerError::UnsupportedModel {
                found: spec.model.clone(),
                supported: SUPPORTED_MODELS,
            });
        }
        let splitter = PreTokenizer::named(spec.pre.as_deref().unwrap_or("default"))?;
        let mut vocabulary = Vocabulary::new(&spec.tokens, &spec.types)?;
        let merges = vocabulary.merges(&spec.merges)?;
        in_vocabulary("tokenizer.ggml.bos_token_id", spec.bos.as_slice(), &vocabulary)?;
        in_vocabulary("tokenizer.ggml.eos_token_id", spec.eos.as_slice(), &vocabulary)?;
        in_vocabulary(
            "tokenizer.ggml.eot_token_id or eom_token_id",
            &spec.other_ends,
            &vocabulary,
        )?;
        Ok(Self {
            ends: ends(spec, &vocabulary),
            special: SpecialTexts::new(&vocabulary),
            add_bos: spec.add_bos.unwrap_or(splitter.adds_bos) && spec.bos.is_some(),
            bos: spec.bos,
            eos: spec.eos,
            vocabulary,
            merges,
            splitter,
        })
    }

    /// Tokens of `text`, without BOS or EOS. Work grows as `n log n` with the longest piece.
    pub fn encode(&self, text: &str, special: SpecialTokens) -> Vec<TokenId> {
        let mut tokens = Vec::with_capacity(text.len() / 3);
        let mut start = 0;
        while let Some(found) = self.special.find(text, start, special == SpecialTokens::Parse) {
            self.encode_text(&text[start..found.start], &mut tokens);
            tokens.push(found.id);
            start = found.end;
        }
        self.encode_text(&text[start..], &mut tokens);
        tokens
    }

    /// Tokens of text that has no special tokens.
    fn encode_text(&self, text: &str, tokens: &mut Vec<TokenId>) {
        let mut symbols = Vec::new();
        for piece in self.splitter.split(text) {
            if self.splitter.whole_words
                && let Some(token) = self.vocabulary.whole(piece)
            {
                tokens.push(token);
                continue;
            }
            symbols.clear();
            self.vocabulary.bytes_to_symbols(piece, &mut symbols);
            self.merges.apply(&mut symbols);
            self.vocabulary.push_tokens(&symbols, tokens);
        }
    }

    /// Raw bytes of a token; special tokens give their text. `None` when the id is not in the vocabulary.
    pub fn token_bytes(&self, id: TokenId) -> Option<&[u8]> {
        self.vocabulary.bytes(id)
    }

    /// Text of the tokens; bytes that are not UTF-8 become U+FFFD, ids outside the vocabulary nothing.
    pub fn decode(&self, ids: &[TokenId]) -> String {
        let bytes: Vec<u8> =
            ids.iter().filter_map(|&id| self.token_bytes(id)).flatten().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether generation ends with this token.
    pub fn is_end_of_generation(&self, id: TokenId) -> bool {
        self.ends.binary_search(&id).is_ok()
    }

    /// Whether the token steers the model and is not text to show.
    pub fn is_special(&self, id: TokenId) -> bool {
        matches!(self.vocabulary.kind(id), Some(TokenKind::Control | TokenKind::Unknown))
    }

    /// What the token stands for; `None` when the id is not in the vocabulary.
    pub fn kind(&self, id: TokenId) -> Option<TokenKind> {
        self.vocabulary.kind(id)
    }

    /// Beginning-of-sequence token.
    pub fn bos(&self) -> Option<TokenId> {
        self.bos
    }

    /// End-of-sequence token.
    pub fn eos(&self) -> Option<TokenId> {
        self.eos
    }

    /// Whether a prompt starts with BOS; never true without one.
    pub fn add_bos(&self) -> bool {
        self.add_bos
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.len()
    }
}

fn in_vocabulary(
    key: &'static str,
    ids: &[TokenId],
    vocabulary: &Vocabulary,
) -> Result<(), TokenizerError> {
    match ids.iter().find(|&&id| vocabulary.kind(id).is_none()) {
        Some(&id) => Err(TokenizerError::TokenOutOfRange { key, id, tokens: vocabulary.len() }),
        None => Ok(()),
    }
}

/// The tokens that end generation, sorted.
fn ends(spec: &TokenizerSpec, vocabulary: &Vocabulary) -> Vec<TokenId> {
    let by_text = (0..vocabulary.len() as TokenId).filter(|&id| {
        vocabulary.kind(id) == Some(TokenKind::Control)
            && END_TEXTS.iter().any(|text| Some(text.as_bytes()) == vocabulary.bytes(id))
    });
    let mut ends: Vec<TokenId> =
        by_text.chain(spec.eos).chain(spec.other_ends.iter().copied()).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}
