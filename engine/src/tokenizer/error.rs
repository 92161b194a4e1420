//! Why a file's tokenizer is refused.

/// Why a file's tokenizer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenizerError {
    /// `tokenizer.ggml.model` is not one that is known.
    #[error(
        "tokenizer model `{found}` (tokenizer.ggml.model) is not supported; supported: {supported}. \
         Use a GGUF file of a model with one of these"
    )]
    UnsupportedModel {
        /// What the file names.
        found: String,
        /// What is known.
        supported: &'static str,
    },
    /// `tokenizer.ggml.pre` is not one that is known.
    #[error(
        "pre-tokenizer `{found}` (tokenizer.ggml.pre) is not supported; supported: {supported}"
    )]
    UnsupportedPreTokenizer {
        /// What the file names.
        found: String,
        /// What is known.
        supported: String,
    },
    /// A built-in rule does not compile.
    #[error("pre-tokenizer rule cannot be compiled: {reason}")]
    PreTokenizer {
        /// What the compiler says.
        reason: String,
    },
    /// The vocabulary is empty or too large.
    #[error("vocabulary of {tokens} tokens (tokenizer.ggml.tokens); it must have 1 to {limit}")]
    VocabularySize {
        /// Tokens in the file.
        tokens: usize,
        /// Tokens that are accepted.
        limit: usize,
    },
    /// Not as many token types as tokens.
    #[error(
        "{types} token types for {tokens} tokens; tokenizer.ggml.token_type must have one for each token"
    )]
    TokenTypes {
        /// Entries of `tokenizer.ggml.token_type`.
        types: usize,
        /// Entries of `tokenizer.ggml.tokens`.
        tokens: usize,
    },
    /// A token has a type that does not exist.
    #[error("token {token} has type {number} (tokenizer.ggml.token_type); known types are 1 to 6")]
    UnknownTokenType {
        /// Which token.
        token: u32,
        /// Its type.
        number: i32,
    },
    /// A merge is not two parts with a space between.
    #[error(
        "merge {index} is {text:?} (tokenizer.ggml.merges); it must be two parts with one space between"
    )]
    BadMerge {
        /// Its place.
        index: usize,
        /// Its text.
        text: String,
    },
    /// The file has no merges, or more than can be meant.
    #[error("{merges} merges (tokenizer.ggml.merges); there must be 1 to {limit}")]
    MergeCount {
        /// Merges in the file.
        merges: usize,
        /// Merges that are accepted.
        limit: usize,
    },
    /// A SentencePiece file has not as many scores as tokens.
    #[error(
        "{scores} scores for {tokens} tokens; tokenizer.ggml.scores must have one for each token of a SentencePiece model"
    )]
    Scores {
        /// Entries of `tokenizer.ggml.scores`.
        scores: usize,
        /// Entries of `tokenizer.ggml.tokens`.
        tokens: usize,
    },
    /// A score is not a number.
    #[error(
        "token {token} has the score {score} (tokenizer.ggml.scores); it must be a finite number"
    )]
    BadScore {
        /// Which token.
        token: usize,
        /// Its score.
        score: String,
    },
    /// Nothing stands for text that the vocabulary lacks.
    #[error(
        "the tokenizer ({model}) has neither an unknown token (tokenizer.ggml.unknown_token_id) nor, where they \
         would do, all 256 byte tokens"
    )]
    NoUnknown {
        /// `tokenizer.ggml.model`.
        model: String,
    },
    /// The compiled character map is broken.
    #[error(
        "the character map (tokenizer.ggml.precompiled_charsmap) cannot be used: {reason}; convert the model again"
    )]
    CharacterMap {
        /// What is wrong.
        reason: String,
    },
    /// A special token's id is not in the vocabulary.
    #[error("{key} is {id}, but the vocabulary has {tokens} tokens")]
    TokenOutOfRange {
        /// Metadata key.
        key: &'static str,
        /// The id that it names.
        id: u32,
        /// Tokens in the file.
        tokens: usize,
    },
}
