//! Generates in this process, one sequence, no server: prompt in, pieces of text out.
//!
//! The sequence is kept between turns of a conversation, so that a turn computes only what is new. It knows nothing of
//! terminals; whoever takes the pieces decides where they go.

use std::{
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use realm_engine::{
    engine::{Engine, EngineOptions, LogitsWanted, Model, ModelOptions, SequenceId, StepItem},
    sampler::{Sampler, SamplerParams},
    tokenizer::{StreamDecoder, TokenId},
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::exit::Exit;

/// Prompt tokens of one step; Ctrl-C is heard between steps.
const PREFILL_TOKENS: usize = 256;
/// The context when neither the user nor the model asks for less, in tokens.
const DEFAULT_CONTEXT_TOKENS: usize = 8192;

/// An open model and one sequence.
pub(super) struct Generator {
    model: Arc<Model>,
    engine: Engine,
    sequence: SequenceId,
    held: Vec<TokenId>,
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finish {
    /// The model said so.
    Stop,
    /// As many tokens as were asked for, or as fit.
    Length,
    /// Ctrl-C.
    Interrupted,
}

/// What one generation took.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that an earlier turn had computed.
    pub reused_tokens: usize,
    /// Tokens of the answer.
    pub answer_tokens: usize,
    /// Until the prompt was computed.
    pub prompt_seconds: f64,
    /// From there to the end.
    pub answer_seconds: f64,
}

impl Generator {
    /// Opens the model.
    pub(super) fn open(
        path: &Path,
        threads: NonZeroUsize,
        context: Option<usize>,
    ) -> anyhow::Result<Self> {
        let model = Model::open(path, &ModelOptions::default())
            .with_context(|| format!("cannot load the model {}", path.display()))?;
        let trained = model.info().context_length;
        let context = context.unwrap_or(trained.min(DEFAULT_CONTEXT_TOKENS));
        let mut engine = Engine::new(Arc::clone(&model), EngineOptions::new(threads, context, 1))?;
        let sequence = engine.new_sequence()?;
        Ok(Self { model, engine, sequence, held: Vec::new() })
    }

    /// The model.
    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// Generates after `prompt` and hands each piece of text to `take` as it comes.
    pub(super) fn generate(
        &mut self,
        prompt: &[TokenId],
        params: &SamplerParams,
        max_tokens: Option<usize>,
        cancel: &CancellationToken,
        take: &mut dyn FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<Report> {
        let room = self.room_after(prompt)?;
        let mut sampler = Sampler::new(params.clone())?;
        for token in prompt {
            sampler.accept(*token);
        }
        let reused_tokens = self.rewind(prompt)?;
        let start = Instant::now();
        let first = self.prefill(&prompt[reused_tokens..], &mut sampler, cancel)?;
        let prompt_time = start.elapsed();
        let limit = max_tokens.map_or(room, |max| max.min(room));
        let (finish, answer_tokens) = match first {
            Some(first) => self.decode(first, &mut sampler, limit, cancel, take)?,
            None => (Finish::Interrupted, 0),
        };
        Ok(Report {
            finish,
            prompt_tokens: prompt.len(),
            reused_tokens,
            answer_tokens,
            prompt_seconds: prompt_time.as_secs_f64(),
            answer_seconds: start.elapsed().saturating_sub(prompt_time).as_secs_f64(),
        })
    }

    /// Tokens that fit after the prompt.
    fn room_after(&self, prompt: &[TokenId]) -> anyhow::Result<usize> {
        let context = self.engine.context_length();
        if prompt.is_empty() {
            return Err(Exit::Usage("the prompt is empty".into()).into());
        }
        context.checked_sub(prompt.len()).filter(|room| *room > 0).ok_or_else(|| {
            let tokens = prompt.len();
            anyhow::anyhow!("the prompt has {tokens} tokens, and the context holds {context}: shorten it, or set --context")
        })
    }

    /// Keeps what the sequence holds if the prompt goes on from there; returns how much that is.
    fn rewind(&mut self, prompt: &[TokenId]) -> anyhow::Result<usize> {
        if prompt.len() > self.held.len() && prompt.starts_with(&self.held) {
            return Ok(self.held.len());
        }
        self.engine.free_sequence(self.sequence);
        self.sequence = self.engine.new_sequence()?;
        self.held.clear();
        Ok(0)
    }

    /// Computes the prompt and samples the first token; `None` when interrupted.
    fn prefill(
        &mut self,
        prompt: &[TokenId],
        sampler: &mut Sampler,
        cancel: &CancellationToken,
    ) -> anyhow::Result<Option<TokenId>> {
        let mut first = None;
        let pieces = prompt.chunks(PREFILL_TOKENS);
        let last = pieces.len().saturating_sub(1);
        for (index, piece) in pieces.enumerate() {
            if cancel.is_cancelled() {
                return Ok(None);
            }
            first = self.step(piece, index == last, sampler)?;
        }
        Ok(first)
    }

    fn decode(
        &mut self,
        first: TokenId,
        sampler: &mut Sampler,
        limit: usize,
        cancel: &CancellationToken,
        take: &mut dyn FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<(Finish, usize)> {
        let mut decoder = StreamDecoder::new();
        let (mut token, mut count) = (first, 0);
        let finish = loop {
            if self.model.tokenizer().is_end_of_generation(token) {
                break Finish::Stop;
            }
            if count == limit {
                break Finish::Length;
            }
            if cancel.is_cancelled() {
                break Finish::Interrupted;
            }
            count += 1;
            sampler.accept(token);
            let piece = decoder.push(self.model.tokenizer(), token);
            if !piece.is_empty() {
                take(&piece)?;
            }
            if count < limit {
                token = self.step(&[token], true, sampler)?.unwrap_or(token);
            }
        };
        let rest = decoder.finish();
        if !rest.is_empty() {
            take(&rest)?;
        }
        Ok((finish, count))
    }

    /// One step of the engine; samples after the last token if `sample`.
    fn step(
        &mut self,
        tokens: &[TokenId],
        sample: bool,
        sampler: &mut Sampler,
    ) -> anyhow::Result<Option<TokenId>> {
        let logits = if sample { LogitsWanted::Last } else { LogitsWanted::None };
        let item = StepItem { sequence: self.sequence, tokens, logits };
        let result = self.engine.step(&[item])?;
        let next = sample.then(|| sampler.sample(result.item(0)));
        self.held.extend_from_slice(tokens);
        Ok(next)
    }
}

impl Report {
    /// One line for people.
    pub(super) fn line(&self, threads: NonZeroUsize) -> String {
        let rate = |tokens: usize, seconds: f64| {
            tokens as f64 / seconds.max(Duration::from_nanos(1).as_secs_f64())
        };
        let fresh = self.prompt_tokens - self.reused_tokens;
        format!(
            "prompt: {fresh} tokens in {:.3} s ({:.1} tokens/s), {} reused; answer: {} tokens in {:.3} s ({:.1} tokens/s); {threads} threads",
            self.prompt_seconds,
            rate(fresh, self.prompt_seconds),
            self.reused_tokens,
            self.answer_tokens,
            self.answer_seconds,
            rate(self.answer_tokens, self.answer_seconds),
        )
    }
}
