//! The probabilities of a prompt's own tokens: which rows of logits they need, and what is kept of each row.
//!
//! The row after a token says how likely the next one was, so a prompt whose tokens are scored wants the rows of all its
//! tokens but the last, where others want one row. Rows are as long as the vocabulary: so a step computes at most
//! [`MAX_PROMPT_ROWS`] of them for all such prompts together, and each becomes the few numbers that were asked for in the
//! step that computed it. Tokens before the first that is scored may come from the prefix cache; those after it are
//! computed, since what is found in the cache has no rows.

use realm_engine::{
    engine::TokenId,
    sampler::{log_probabilities, log_probability},
    tokenizer::Tokenizer,
};

use crate::scheduler::{
    batch::Need,
    event::{Alternative, PromptScores, ScoredToken},
};

/// Rows of logits of prompts in one step, at most, unless more prompts than that are scored: then a row for each.
pub const MAX_PROMPT_ROWS: usize = 64;

/// A prompt that is being scored.
#[derive(Debug)]
pub(super) struct Scoring {
    top: usize,
    /// The token whose row comes next.
    next: usize,
    /// Tokens of the prompt.
    end: usize,
    scored: Vec<ScoredToken>,
}

impl Scoring {
    /// Scores a prompt of `end` tokens.
    pub(super) fn new(wanted: PromptScores, end: usize) -> Self {
        let next = wanted.from.clamp(1, end.max(1));
        Self { top: wanted.top, next, end, scored: Vec::new() }
    }

    /// Tokens at the beginning of the prompt whose computation others may have done already, and the one after them.
    pub(super) fn reusable(&self) -> usize {
        self.next
    }

    /// What a sequence that has computed so many tokens of its prompt needs, in steps that have `rows` for it: first the
    /// tokens that want no rows, then pieces of those that do.
    pub(super) fn need(&self, computed: usize, left: usize, rows: usize) -> Need {
        let plain = (self.next - 1).saturating_sub(computed);
        Need::Prefill(if plain > 0 { plain } else { left.min(rows.max(1)) })
    }

    /// Whether the rows of what comes next are wanted.
    pub(super) fn wants_rows(&self, computed: usize) -> bool {
        computed + 1 >= self.next && self.next < self.end
    }

    /// Takes the rows after the tokens from `computed` on. Returns how many belong to scored tokens.
    pub(super) fn take(
        &mut self,
        tokens: &[TokenId],
        rows: &[f32],
        vocab_size: usize,
        tokenizer: &Tokenizer,
    ) -> usize {
        let before = self.next;
        for row in rows.chunks_exact(vocab_size.max(1)).take(self.end - self.next) {
            let token = tokens.get(self.next).copied().unwrap_or_default();
            self.scored.push(scored(row, token, self.top, tokenizer));
            self.next += 1;
        }
        self.next - before
    }

    /// All there is, once every token has its row.
    pub(super) fn finished(&mut self) -> Option<Vec<ScoredToken>> {
        (self.next >= self.end).then(|| std::mem::take(&mut self.scored))
    }
}

/// Rows that each of so many prompts gets in a step.
pub(super) fn rows_each(prompts: usize) -> usize {
    (MAX_PROMPT_ROWS / prompts.max(1)).max(1)
}

fn scored(row: &[f32], token: TokenId, top: usize, tokenizer: &Tokenizer) -> ScoredToken {
    let alternative = |token: TokenId, logprob: f32| Alternative {
        token,
        bytes: tokenizer.token_bytes(token).unwrap_or_default().to_vec(),
        logprob,
    };
    let likely = if top == 0 { Vec::new() } else { log_probabilities(row, top) };
    ScoredToken {
        chosen: alternative(token, log_probability(row, token).unwrap_or(f32::NEG_INFINITY)),
        top: likely.iter().map(|entry| alternative(entry.token, entry.log_probability)).collect(),
    }
}
