//! A model that says anything at random, under a constraint.

use std::sync::Arc;

use realm_engine::{
    engine::{Model, TokenId},
    sampler::{Sampler, SamplerParams},
};
use realm_engine_server::constraint::{Constraint, ConstraintError};

use crate::tiny_model::{Random, TinyModel};

/// Bytes that the random model likes, so that its texts end some day.
const CLOSING: &[u8] = b"\"]}";
/// How much it likes them.
const LIKING: f32 = 5.0;

/// A byte-level vocabulary of 258 tokens.
pub(crate) fn tiny() -> Arc<Model> {
    TinyModel::new().open().expect("the model")
}

/// What a random model says under a constraint, in raw bytes, and whether it came to an end. The logits are a generator's,
/// not a network's: any token is as likely as any other, and nothing but the constraint makes sense of them.
pub(crate) fn babble(
    model: &Model,
    mut constraint: Constraint,
    seed: u64,
    most: usize,
) -> Result<(Vec<u8>, bool), ConstraintError> {
    let tokenizer = model.tokenizer();
    let sampling = SamplerParams { seed: Some(seed), ..SamplerParams::default() };
    let mut sampler = Sampler::new(sampling).expect("parameters");
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let vocabulary = model.info().vocab_size;
    let mut text = Vec::new();
    let say = |text: &mut Vec<u8>, token: TokenId| {
        assert!(!tokenizer.is_special(token), "a control token in a text");
        text.extend_from_slice(tokenizer.token_bytes(token).expect("a token"));
    };
    for token in constraint.forced()? {
        say(&mut text, token);
    }
    for _ in 0..most {
        if constraint.is_over() {
            return Ok((text, true));
        }
        let mut logits = random.tensor("logits", &[vocabulary], 3.0).weights;
        for (token, logit) in logits.iter_mut().enumerate() {
            let bytes = tokenizer.token_bytes(token as TokenId).unwrap_or_default();
            if bytes.len() == 1 && CLOSING.contains(&bytes[0]) {
                *logit += LIKING;
            }
        }
        let token = match constraint.allowed()? {
            Some(mask) => {
                let token = sampler.sample_among(&logits, mask.words());
                assert!(mask.allows(token), "{token} is not among {}", mask.count());
                token
            }
            None => sampler.sample(&logits),
        };
        let fits = constraint.accept(token)?;
        if tokenizer.is_end_of_generation(token) {
            return Ok((text, true));
        }
        if fits {
            say(&mut text, token);
            for token in constraint.forced()? {
                say(&mut text, token);
            }
        }
    }
    Ok((text, constraint.is_over()))
}
