//! Text to tokens and back, by the vocabulary and rules that a model file carries.
//!
//! Four kinds (`tokenizer.ggml.model`): byte-level BPE (`gpt2`), SentencePiece BPE (`llama`), SentencePiece unigram (`t5`)
//! and WordPiece (`bert`). Takes a [`TokenizerSpec`] and knows neither GGUF nor templates.

mod byte_alphabet;
mod byte_level;
mod char_map;
mod codec;
mod ends;
mod error;
mod fim;
mod joiner;
mod merges;
mod pieces;
mod pre_tokenizer;
mod pre_tokenizer_rules;
mod score_merges;
mod sentence;
mod spec;
mod special;
mod stream_decoder;
mod symbols;
mod texts;
mod token;
mod unigram;
mod vocabulary;
mod word_piece;

pub use self::{
    codec::{SpecialTokens, Tokenizer},
    error::TokenizerError,
    spec::{FimTokens, TokenRoles, TokenizerSpec},
    stream_decoder::StreamDecoder,
    token::{TokenId, TokenKind},
};
