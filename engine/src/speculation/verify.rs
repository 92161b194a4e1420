//! Which tokens of a draft stand: those that the sampler chooses itself.
//!
//! The step gives a row of logits after the last token and one after each token of the draft. The sampler chooses from
//! the first row as it would without a draft; while its choice is the draft's next token, the next row is the very row
//! that a step of its own would have given. So the sampler sees the same rows in the same order, draws as often and
//! keeps the same history: the tokens are the same as without speculation, greedy or under a seed, and sampled ones have
//! the target's distribution, whatever the penalties and filters. A draft that is a fixed guess loses nothing by this
//! rule: the rejection rule of Leviathan et al. 2023 accepts it as often, with the probability that the target gives it.

use crate::tokenizer::TokenId;

/// What was chosen from a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The token.
    pub token: TokenId,
    /// Whether it ends the sequence: its limit, a stop string, an end token.
    pub over: bool,
}

/// How far a draft was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Tokens that were chosen. As many tokens of the step belong in the KV cache: the one before the draft and all
    /// that were chosen but the last, whose keys and values no step has to have computed yet.
    pub chosen: usize,
    /// Those of them that the draft had guessed.
    pub accepted: usize,
    /// Whether the last of them ended the sequence.
    pub over: bool,
}

/// Chooses token after token from `rows` (`vocab_size` numbers each, one more than the draft has tokens) while the
/// draft goes along. `choose` is the sequence's own way to choose: it samples, counts and notes the token.
pub fn verify(
    draft: &[TokenId],
    rows: &[f32],
    vocab_size: usize,
    mut choose: impl FnMut(&[f32]) -> Choice,
) -> Verified {
    let mut verified = Verified { chosen: 0, accepted: 0, over: false };
    for (index, row) in rows.chunks_exact(vocab_size.max(1)).take(draft.len() + 1).enumerate() {
        let Choice { token, over } = choose(row);
        let guessed = draft.get(index) == Some(&token);
        verified.chosen += 1;
        verified.accepted += usize::from(guessed);
        verified.over = over;
        if over || !guessed {
            break;
        }
    }
    verified
}
