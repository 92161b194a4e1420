//! The perplexity of a text as llama-perplexity computes it: pieces of equal length, of each the second half counts.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, bail};
use realm_engine::tokenizer::{SpecialTokens, TokenId};
use serde::Serialize;

use super::runner::Runner;

/// The longest text that is read, in bytes.
const MAX_TEXT_BYTES: u64 = 16 * 1024 * 1024;
/// Tokens of a step, so that the logits of a whole piece are never in memory together.
const STEP_TOKENS: usize = 64;

/// How well a model foretells a text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Perplexity {
    /// The exponential of the mean negative log-probability of a token.
    pub value: f64,
    /// Tokens of each piece.
    pub context: usize,
    /// Pieces; what is left over at the end does not count.
    pub pieces: usize,
    /// Tokens that counted.
    pub tokens: usize,
}

/// A text file, whole.
pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    let name = || format!("cannot read the text {}", path.display());
    let mut text = String::new();
    let mut file = File::open(path).with_context(name)?.take(MAX_TEXT_BYTES + 1);
    file.read_to_string(&mut text).with_context(name)?;
    if text.len() as u64 > MAX_TEXT_BYTES {
        bail!("{} is longer than {MAX_TEXT_BYTES} bytes; take a part of it", path.display());
    }
    Ok(text)
}

/// The perplexity of `text` in pieces of `context` tokens.
pub(super) fn measure(
    runner: &mut Runner,
    text: &str,
    context: usize,
) -> anyhow::Result<Perplexity> {
    let tokenizer = runner.model().tokenizer();
    let tokens = tokenizer.encode_framed(text, SpecialTokens::AsText);
    // A tokenizer that opens texts with a token opens every piece with it, in place of the piece's first token.
    let opening = tokenizer.bos().filter(|bos| tokens.first() == Some(bos));
    let first_counted = context / 2;
    let pieces = tokens.len() / context;
    if pieces == 0 || context < 4 {
        bail!(
            "the text has {} tokens, but a piece has {context}; take a longer text or a context of 4 and more",
            tokens.len()
        );
    }
    let mut nats = 0.0;
    for piece in tokens.chunks_exact(context) {
        let mut input = piece.to_vec();
        if let Some(opening) = opening {
            input[0] = opening;
        }
        nats += piece_nats(runner, &input, first_counted)?;
    }
    let counted = pieces * (context - 1 - first_counted);
    Ok(Perplexity { value: (nats / counted as f64).exp(), context, pieces, tokens: counted })
}

/// The sum of the negative log-probabilities of the tokens that follow `first` and later ones.
fn piece_nats(runner: &mut Runner, piece: &[TokenId], first: usize) -> anyhow::Result<f64> {
    let vocabulary = runner.model().info().vocab_size;
    let mut nats = 0.0;
    runner.logits(piece, STEP_TOKENS, |start, rows| {
        for (place, row) in (start..).zip(rows.chunks_exact(vocabulary)) {
            if let Some(next) = piece.get(place + 1).filter(|_| place >= first) {
                nats -= log_probability(row, *next);
            }
        }
    })?;
    Ok(nats)
}

fn log_probability(logits: &[f32], token: TokenId) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    let logit = logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    f64::from(logit - most) - sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_a_row_add_up_to_one() {
        let logits = [1000.0, 999.0, -5.0, 1001.5];
        let sum: f64 = (0..4).map(|token| log_probability(&logits, token).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        assert!((log_probability(&[0.0; 8], 3) + 8.0_f64.ln()).abs() < 1e-12);
    }
}
