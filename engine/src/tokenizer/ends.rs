//! The tokens that end generation: those that the file names, and control tokens with a well-known text.

use super::{
    spec::TokenRoles,
    token::{TokenId, TokenKind},
    vocabulary::Vocabulary,
};

/// Control tokens that end a turn or a document, in files that name only one of them as EOS.
const END_TEXTS: [&str; 14] = [
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
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "</s>",
];

/// The tokens that end generation, sorted.
pub(super) fn ends(roles: &TokenRoles, vocabulary: &Vocabulary) -> Vec<TokenId> {
    let is_end =
        |id: &TokenId| END_TEXTS.iter().any(|text| Some(text.as_bytes()) == vocabulary.bytes(*id));
    let by_text = vocabulary.ids(TokenKind::Control).filter(is_end);
    let mut ends: Vec<TokenId> =
        by_text.chain(roles.eos).chain(roles.other_ends.iter().copied()).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}
