//! The timed runs: an engine with empty sequences, filled with random tokens. Ctrl-C is heard between steps.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use realm_engine::{
    engine::{Engine, EngineOptions, LogitsWanted, Model, PrefixSalt, SequenceId, StepItem},
    tokenizer::TokenId,
};
use tokio_util::sync::CancellationToken;

use super::{super::exit::Exit, tokens::RandomTokens};

/// Prompt tokens of one step, as llama.cpp's `-ub`.
const PREFILL_STEP_TOKENS: usize = 512;

/// An engine to be timed.
pub(super) struct Runner {
    engine: Engine,
    tokens: RandomTokens,
    cancel: CancellationToken,
}

/// How long the parts of a batched run took.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchSeconds {
    /// All prompts, one after the other.
    pub prefill: f64,
    /// All steps of the decode.
    pub decode: f64,
}

impl Runner {
    /// Reserves keys and values and starts the threads.
    pub(super) fn new(
        model: Arc<Model>,
        options: EngineOptions,
        cancel: CancellationToken,
    ) -> anyhow::Result<Self> {
        let tokens = RandomTokens::new(model.info().vocab_size);
        Ok(Self { engine: Engine::new(model, options)?, tokens, cancel })
    }

    /// Bytes reserved for keys and values.
    pub(super) fn kv_bytes(&self) -> usize {
        self.engine.kv_bytes()
    }

    /// The model that runs.
    pub(super) fn model(&self) -> &Arc<Model> {
        self.engine.model()
    }

    /// Seconds of a prompt of `tokens` tokens, until the logits of the first new token are there.
    pub(super) fn prefill(&mut self, tokens: usize) -> anyhow::Result<f64> {
        let prompt = self.tokens.take(tokens);
        self.in_sequence(|runner, sequence| runner.feed(sequence, &prompt, PREFILL_STEP_TOKENS))
    }

    /// Seconds of `tokens` tokens one by one, from an empty sequence.
    pub(super) fn decode(&mut self, tokens: usize) -> anyhow::Result<f64> {
        let tokens = self.tokens.take(tokens);
        self.in_sequence(|runner, sequence| runner.feed(sequence, &tokens, 1))
    }

    /// Fills `sequences` sequences with prompts of `prompt` tokens, then decodes `generate` tokens of all together.
    pub(super) fn batch(
        &mut self,
        sequences: usize,
        prompt: usize,
        generate: usize,
    ) -> anyhow::Result<BatchSeconds> {
        let ids = (0..sequences)
            .map(|_| Ok(self.engine.new_sequence()?))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let prompts: Vec<_> = ids.iter().map(|_| self.tokens.take(prompt)).collect();
        let steps: Vec<_> = (0..generate).map(|_| self.tokens.take(sequences)).collect();
        let start = Instant::now();
        for (id, prompt) in ids.iter().zip(&prompts) {
            self.feed(*id, prompt, PREFILL_STEP_TOKENS)?;
        }
        let prefill = start.elapsed();
        for step in &steps {
            self.step_together(&ids, step)?;
        }
        let decode = start.elapsed().saturating_sub(prefill);
        for id in ids {
            self.engine.free_sequence(id);
        }
        Ok(BatchSeconds { prefill: seconds(prefill), decode: seconds(decode) })
    }

    /// Tokens that mean nothing.
    pub(super) fn random(&mut self, count: usize) -> Vec<TokenId> {
        self.tokens.take(count)
    }

    /// Seconds until the first new token's logits after a prompt of `salt`'s tenant, and the tokens of it that were not
    /// computed again.
    pub(super) fn request(
        &mut self,
        salt: PrefixSalt,
        prompt: &[TokenId],
    ) -> anyhow::Result<(f64, usize)> {
        let start = Instant::now();
        let (sequence, reused) = self.engine.new_sequence_with_prefix(salt, prompt)?;
        let outcome = self.feed(sequence, &prompt[reused..], PREFILL_STEP_TOKENS);
        let elapsed = start.elapsed();
        self.engine.free_sequence(sequence);
        outcome.map(|()| (seconds(elapsed), reused))
    }

    /// The logits after each of `tokens`, which a new sequence holds from its start; `take` gets them step by step, and
    /// the place of the first row's token.
    pub(super) fn logits(
        &mut self,
        tokens: &[TokenId],
        step_tokens: usize,
        mut take: impl FnMut(usize, &[f32]),
    ) -> anyhow::Result<()> {
        self.in_sequence(|runner, sequence| {
            for (index, tokens) in tokens.chunks(step_tokens).enumerate() {
                runner.check_cancelled()?;
                let item = StepItem { sequence, tokens, logits: LogitsWanted::All };
                take(index * step_tokens, runner.engine.step(&[item])?.item(0));
            }
            Ok(())
        })
        .map(|_| ())
    }

    /// Runs `work` on a new sequence, and says how long it took.
    fn in_sequence(
        &mut self,
        work: impl FnOnce(&mut Self, SequenceId) -> anyhow::Result<()>,
    ) -> anyhow::Result<f64> {
        let sequence = self.engine.new_sequence()?;
        let start = Instant::now();
        let outcome = work(self, sequence);
        let elapsed = start.elapsed();
        self.engine.free_sequence(sequence);
        outcome.map(|()| seconds(elapsed))
    }

    fn feed(
        &mut self,
        sequence: SequenceId,
        tokens: &[TokenId],
        step_tokens: usize,
    ) -> anyhow::Result<()> {
        let pieces = tokens.chunks(step_tokens);
        let last = pieces.len().saturating_sub(1);
        for (index, tokens) in pieces.enumerate() {
            self.check_cancelled()?;
            // A decoded token is always asked for its logits, a piece of a prompt only at the end.
            let wanted = index == last || step_tokens == 1;
            let logits = if wanted { LogitsWanted::Last } else { LogitsWanted::None };
            self.engine.step(&[StepItem { sequence, tokens, logits }])?;
        }
        Ok(())
    }

    fn step_together(&mut self, ids: &[SequenceId], tokens: &[TokenId]) -> anyhow::Result<()> {
        self.check_cancelled()?;
        let items: Vec<_> = ids
            .iter()
            .zip(tokens.chunks(1))
            .map(|(id, tokens)| StepItem { sequence: *id, tokens, logits: LogitsWanted::Last })
            .collect();
        self.engine.step(&items)?;
        Ok(())
    }

    fn check_cancelled(&self) -> anyhow::Result<()> {
        if self.cancel.is_cancelled() { Err(Exit::Interrupted.into()) } else { Ok(()) }
    }
}

/// At least a nanosecond, so that a rate is finite.
fn seconds(elapsed: Duration) -> f64 {
    elapsed.max(Duration::from_nanos(1)).as_secs_f64()
}
