//! Finds the tokens of fill-in-the-middle prompts: those that the file names, and else those with a well-known text.

use super::{
    spec::FimTokens,
    token::{TokenId, TokenKind},
    vocabulary::Vocabulary,
};

const PREFIX: [&str; 6] =
    ["<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>"];
const SUFFIX: [&str; 6] =
    ["<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>"];
const MIDDLE: [&str; 6] =
    ["<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>"];
const PADDING: [&str; 3] = ["<|fim_pad|>", "<fim-pad>", "<fim_pad>"];
const REPOSITORY: [&str; 5] =
    ["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<repo_name>", "<reponame>"];
const FILE: [&str; 2] = ["<|file_sep|>", "<file_sep>"];

/// The tokens that the file names, and those found by their text.
pub(super) fn fim_tokens(
    named: FimTokens,
    tokens: &[String],
    vocabulary: &Vocabulary,
) -> FimTokens {
    let marks = || [TokenKind::Control, TokenKind::UserDefined].into_iter();
    let spells = |id: TokenId, texts: &[&str]| {
        tokens.get(id as usize).is_some_and(|text| texts.contains(&text.as_str()))
    };
    let find = |named: Option<TokenId>, texts: &[&str]| {
        let mut ids = marks().flat_map(|kind| vocabulary.ids(kind));
        named.or_else(|| ids.find(|&id| spells(id, texts)))
    };
    FimTokens {
        prefix: find(named.prefix, &PREFIX),
        suffix: find(named.suffix, &SUFFIX),
        middle: find(named.middle, &MIDDLE),
        padding: find(named.padding, &PADDING),
        repository: find(named.repository, &REPOSITORY),
        file: find(named.file, &FILE),
    }
}
