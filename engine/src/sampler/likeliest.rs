//! The likeliest tokens of a row, found without sorting it: the largest logit of each block of tokens gives a bound below
//! which nothing has to be looked at.

use crate::tokenizer::TokenId;

/// Logits that share a bound. Blocks of this size are a few vector registers, and their maxima are few against the row.
const BLOCK: usize = 64;

/// The `count` largest logits that are possible, largest first, equal ones by id; fewer when the row has fewer.
pub(super) fn likeliest(logits: &[f32], count: usize) -> Vec<(TokenId, f32)> {
    let maxima: Vec<f32> = logits.chunks(BLOCK).map(largest).collect();
    let bound = bound(&maxima, count);
    let mut found = Vec::with_capacity(2 * count);
    for (block, chunk) in logits.chunks(BLOCK).enumerate() {
        if maxima[block] < bound || maxima[block] == f32::NEG_INFINITY {
            continue;
        }
        let possible = chunk.iter().enumerate().filter(|(_, logit)| **logit >= bound);
        let possible = possible.filter(|(_, logit)| **logit > f32::NEG_INFINITY);
        found.extend(possible.map(|(place, logit)| ((block * BLOCK + place) as TokenId, *logit)));
    }
    found.sort_unstable_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    found.truncate(count);
    found
}

/// At least `count` logits are as large as this: one in each of the blocks with the largest maxima.
fn bound(maxima: &[f32], count: usize) -> f32 {
    match count.checked_sub(1) {
        Some(last) if last < maxima.len() => {
            let mut ordered = maxima.to_vec();
            *ordered.select_nth_unstable_by(last, |left, right| right.total_cmp(left)).1
        }
        _ => f32::NEG_INFINITY,
    }
}

fn largest(block: &[f32]) -> f32 {
    block.iter().fold(f32::NEG_INFINITY, |most, &logit| if logit > most { logit } else { most })
}
