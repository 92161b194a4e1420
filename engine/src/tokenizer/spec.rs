//! What a model file says about its tokenizer, as read from the metadata and not yet checked.

use super::token::TokenId;

/// What a model file says about its tokenizer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenizerSpec {
    /// `tokenizer.ggml.model`.
    pub model: String,
    /// `tokenizer.ggml.pre`; `default` when the file has none.
    pub pre: Option<String>,
    /// `tokenizer.ggml.tokens`.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.scores`, one for each token; only SentencePiece models have them.
    pub scores: Vec<f32>,
    /// `tokenizer.ggml.token_type`, one for each token, or none.
    pub types: Vec<i32>,
    /// `tokenizer.ggml.merges`, best first; only byte-level BPE has them.
    pub merges: Vec<String>,
    /// `tokenizer.ggml.precompiled_charsmap`, empty when the file has none.
    pub charsmap: Vec<u8>,
    /// The ids of tokens that have a part to play.
    pub roles: TokenRoles,
    /// `tokenizer.ggml.add_bos_token`.
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_eos_token`.
    pub add_eos: Option<bool>,
    /// `tokenizer.ggml.add_sep_token`.
    pub add_separator: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`.
    pub add_space_prefix: Option<bool>,
    /// `tokenizer.ggml.remove_extra_whitespaces`.
    pub remove_extra_whitespaces: Option<bool>,
    /// `tokenizer.ggml.normalizer.lowercase`.
    pub lowercase: Option<bool>,
    /// `tokenizer.ggml.normalizer.strip_accents`.
    pub strip_accents: Option<bool>,
    /// White space after a control token belongs to the token (Phi-3), which no key of the file says.
    pub strip_after_control: bool,
}

/// The tokens that have a part to play, as the file names them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenRoles {
    /// `tokenizer.ggml.bos_token_id`.
    pub bos: Option<TokenId>,
    /// `tokenizer.ggml.eos_token_id`.
    pub eos: Option<TokenId>,
    /// `tokenizer.ggml.eot_token_id` and `tokenizer.ggml.eom_token_id`.
    pub other_ends: Vec<TokenId>,
    /// `tokenizer.ggml.unknown_token_id`.
    pub unknown: Option<TokenId>,
    /// `tokenizer.ggml.seperator_token_id` (the key is misspelled in the format).
    pub separator: Option<TokenId>,
    /// `tokenizer.ggml.cls_token_id`.
    pub classify: Option<TokenId>,
    /// `tokenizer.ggml.padding_token_id`.
    pub padding: Option<TokenId>,
    /// `tokenizer.ggml.mask_token_id`.
    pub mask: Option<TokenId>,
    /// Tokens of fill-in-the-middle prompts.
    pub fim: FimTokens,
}

/// Tokens of fill-in-the-middle prompts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FimTokens {
    /// Before the text in front of the gap.
    pub prefix: Option<TokenId>,
    /// Before the text behind the gap.
    pub suffix: Option<TokenId>,
    /// Where the gap's text begins.
    pub middle: Option<TokenId>,
    /// Fills a prompt up.
    pub padding: Option<TokenId>,
    /// Before the name of a repository.
    pub repository: Option<TokenId>,
    /// Before the name of a file.
    pub file: Option<TokenId>,
}
