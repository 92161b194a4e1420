//! From a row of logits to a token: penalties, bias, temperature, filters, draw.
//!
//! Order of operations, and why:
//! 1. repetition, frequency and presence penalties change the logits of tokens seen before, as the model gave them;
//! 2. logit bias, after penalties, so that a ban stays a ban;
//! 3. temperature 0: the largest logit, ties to the lowest id, and nothing more;
//! 4. temperature divides the logits, before the filters, so that `top_p` and `min_p` measure the distribution that is
//!    drawn from (as the OpenAI API and vLLM do);
//! 5. `top_k`, then `top_p` of what is left renormalised, then `min_p` relative to the most likely token;
//! 6. one draw with PCG, reproducible from the seed on every platform: `exp` is our own, sums run in a fixed order.
//!
//! A logit that is not a number counts as impossible. Knows tokens by number only.

mod candidates;
mod likeliest;
mod log_probability;
mod params;

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
};

use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64;

use self::candidates::Candidates;
pub use self::{
    log_probability::{TokenLogProbability, log_probabilities, log_probability},
    params::{MAX_LOGIT_BIASES, SamplerError, SamplerParams},
};
use crate::tokenizer::TokenId;

/// A bias of this or less bans the token outright, whatever its logit.
const BAN_BIAS: f32 = -100.0;

/// Chooses tokens for one sequence.
#[derive(Debug, Clone)]
pub struct Sampler {
    params: SamplerParams,
    seed: u64,
    random: Pcg64,
    /// How often each token was accepted.
    seen: HashMap<TokenId, u32>,
    /// The row after penalties and bias, reused.
    logits: Vec<f32>,
    candidates: Candidates,
}

impl Sampler {
    /// Checks the parameters. Without a seed, one is taken from the operating system.
    pub fn new(params: SamplerParams) -> Result<Self, SamplerError> {
        params.check()?;
        let seed = params.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        Ok(Self {
            params,
            seed,
            random: Pcg64::seed_from_u64(seed),
            seen: HashMap::new(),
            logits: Vec::new(),
            candidates: Candidates::default(),
        })
    }

    /// The seed in use: given to [`Sampler::new`] again, it repeats the run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Adds a token to the history that penalties look at.
    pub fn accept(&mut self, token: TokenId) {
        let count = self.seen.entry(token).or_insert(0);
        *count = count.saturating_add(1);
    }

    /// Chooses a token from a row of logits; token 0 when the row is empty or every token is impossible.
    pub fn sample(&mut self, logits: &[f32]) -> TokenId {
        self.weigh(logits);
        self.draw()
    }

    /// Chooses among the tokens whose bit is set in `allowed`, 32 to a word, lowest first; all others are impossible, and so
    /// are those past its end.
    pub fn sample_among(&mut self, logits: &[f32], allowed: &[u32]) -> TokenId {
        self.weigh_among(logits, allowed);
        self.draw()
    }

    /// The first half of [`Self::sample`]: takes a row over, with penalties and bias. It stays until the next one.
    pub fn weigh(&mut self, logits: &[f32]) {
        self.logits.clear();
        self.logits.extend(logits.iter().map(|&logit| possible(logit)));
        self.penalize();
        self.bias();
    }

    /// The first half of [`Self::sample_among`].
    pub fn weigh_among(&mut self, logits: &[f32], allowed: &[u32]) {
        self.logits.clear();
        for (chunk, &word) in logits.chunks(u32::BITS as usize).zip(allowed) {
            if word == 0 {
                self.logits.resize(self.logits.len() + chunk.len(), f32::NEG_INFINITY);
                continue;
            }
            self.logits.extend(chunk.iter().enumerate().map(|(bit, &logit)| {
                if word >> bit & 1 == 1 { possible(logit) } else { f32::NEG_INFINITY }
            }));
        }
        self.logits.resize(logits.len(), f32::NEG_INFINITY);
        self.penalize();
        self.bias();
    }

    /// The `count` likeliest tokens of the weighed row that are possible, with their logits, likeliest first; equal ones by
    /// id.
    pub fn likeliest(&self, count: usize) -> Vec<(TokenId, f32)> {
        likeliest::likeliest(&self.logits, count)
    }

    /// Gives tokens of the weighed row these logits and makes all others impossible.
    pub fn narrow(&mut self, tokens: impl IntoIterator<Item = (TokenId, f32)>) {
        self.logits.fill(f32::NEG_INFINITY);
        for (token, logit) in tokens {
            if let Some(place) = self.logits.get_mut(token as usize) {
                *place = possible(logit);
            }
        }
    }

    /// Makes a token of the weighed row impossible.
    pub fn exclude(&mut self, token: TokenId) {
        if let Some(logit) = self.logits.get_mut(token as usize) {
            *logit = f32::NEG_INFINITY;
        }
    }

    /// Whether a token of the weighed row may be drawn.
    pub fn may_draw(&self, token: TokenId) -> bool {
        self.logits.get(token as usize).is_some_and(|logit| *logit > f32::NEG_INFINITY)
    }

    /// The second half of [`Self::sample`]: a token from the weighed row; token 0 when it is empty or every token is
    /// impossible.
    pub fn draw(&mut self) -> TokenId {
        if self.params.temperature == 0.0 {
            return most_likely(&self.logits);
        }
        self.candidates.fill(&self.logits, self.params.temperature);
        self.candidates.keep_top_k(self.params.top_k as usize);
        self.candidates.keep_top_p(self.params.top_p);
        self.candidates.keep_min_p(self.params.min_p);
        let uniform = (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        self.candidates.draw(uniform)
    }

    fn penalize(&mut self) {
        let SamplerParams { repetition_penalty, presence_penalty, frequency_penalty, .. } =
            self.params;
        for (&token, &count) in &self.seen {
            let Some(logit) = self.logits.get_mut(token as usize) else { continue };
            *logit = if *logit > 0.0 {
                *logit / repetition_penalty
            } else {
                *logit * repetition_penalty
            };
            *logit -= count as f32 * frequency_penalty + presence_penalty;
        }
    }

    fn bias(&mut self) {
        for &(token, bias) in &self.params.logit_bias {
            if let Some(logit) = self.logits.get_mut(token as usize) {
                *logit = if bias <= BAN_BIAS { f32::NEG_INFINITY } else { *logit + bias };
            }
        }
    }
}

/// A logit that is not a number counts as impossible.
fn possible(logit: f32) -> f32 {
    if logit.is_nan() { f32::NEG_INFINITY } else { logit }
}

/// The token with the largest logit; ties to the lowest id, and token 0 when there is none.
pub fn most_likely(logits: &[f32]) -> TokenId {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &logit) in logits.iter().enumerate() {
        if logit > best.1 {
            best = (token, logit);
        }
    }
    best.0 as TokenId
}
