//! Text to tokens and back, by the vocabulary and rules that a model file carries.
//!
//! Byte-level BPE (`tokenizer.ggml.model` = `gpt2`). Takes a [`TokenizerSpec`] and knows neither GGUF nor templates.

mod byte_alphabet;
mod byte_pair;
mod error;
mod merges;
mod pre_tokenizer;
mod special;
mod stream_decoder;
mod token;
mod vocabulary;

pub use self::{
    byte_pair::{SpecialTokens, Tokenizer, TokenizerSpec},
    error::TokenizerError,
    stream_decoder::StreamDecoder,
    token::{TokenId, TokenKind},
};
