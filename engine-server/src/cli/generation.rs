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
    engine::{
        Engine, EngineOptions, LogitsWanted, Model, ModelOptions, PackedIn, SequenceId, StepItem,
    },
    sampler::{Sampler, SamplerParams},
    speculation::{Choice, DraftModel, SequenceDrafts, Verified, verify},
    tokenizer::{StreamDecoder, TokenId, Tokenizer},
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use crate::scheduler::speculation::{Decoding, Draft, Narrow, Speculator};

/// Prompt tokens of one step; Ctrl-C is heard between steps.
const PREFILL_TOKENS: usize = 256;
/// The context when neither the user nor the model asks for less, in tokens.
const DEFAULT_CONTEXT_TOKENS: usize = 8192;

/// Names the one sequence to the draft model.
const KEY: u64 = 0;

/// An open model and one sequence.
pub(super) struct Generator {
    model: Arc<Model>,
    engine: Engine,
    sequence: SequenceId,
    held: Vec<TokenId>,
    speculator: Speculator,
    draft_model: Option<DraftModel>,
}

/// How tokens are guessed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speculating<'p> {
    /// Tokens of a draft at most; 0 guesses none.
    pub most: usize,
    /// The file of a model that guesses.
    pub draft_model: Option<&'p Path>,
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
    /// Tokens that were guessed.
    pub drafted_tokens: usize,
    /// Those of them that are in the answer.
    pub accepted_tokens: usize,
    /// Until the prompt was computed.
    pub prompt_seconds: f64,
    /// From there to the end.
    pub answer_seconds: f64,
}

impl Generator {
    /// Opens the model, and the draft model if there is one.
    pub(super) fn open(
        path: &Path,
        packed: &PackedIn,
        threads: NonZeroUsize,
        context: Option<usize>,
        speculating: Speculating<'_>,
    ) -> anyhow::Result<Self> {
        let model = open_model(path, packed)?;
        let trained = model.info().context_length;
        let context = context.unwrap_or(trained.min(DEFAULT_CONTEXT_TOKENS));
        let mut engine = Engine::new(Arc::clone(&model), EngineOptions::new(threads, context, 1))?;
        let sequence = engine.new_sequence()?;
        let draft_model = match speculating.draft_model {
            Some(path) => Some(open_draft_model(path, packed, threads, context, &model)?),
            None => None,
        };
        let speculator = Speculator::new(speculating.most);
        Ok(Self { model, engine, sequence, held: Vec::new(), speculator, draft_model })
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
        let model = Arc::clone(&self.model);
        let mut answer = Answer {
            tokenizer: model.tokenizer(),
            sampler: &mut sampler,
            decoder: StreamDecoder::new(),
            drafts: SequenceDrafts::new(),
            count: 0,
            limit: max_tokens.map_or(room, |max| max.min(room)),
            cancel,
            take,
            end: None,
        };
        answer.drafts.extend(prompt);
        let mut guessed = Guessed::default();
        let finish = match first {
            Some(first) => self.decode(first, &mut answer, &mut guessed)?,
            None => Finish::Interrupted,
        };
        Ok(Report {
            finish,
            prompt_tokens: prompt.len(),
            reused_tokens,
            answer_tokens: answer.count,
            drafted_tokens: guessed.drafted,
            accepted_tokens: guessed.accepted,
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
        if let Some(model) = &mut self.draft_model {
            model.forget(KEY);
        }
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
        answer: &mut Answer<'_>,
        guessed: &mut Guessed,
    ) -> anyhow::Result<Finish> {
        let mut token = first;
        let mut over = answer.note(token);
        while !over {
            let draft = self.draft(answer);
            let (next, verified) = self.advance(token, draft.as_ref(), answer)?;
            if let Some(draft) = draft {
                answer.drafts.record(draft.source, draft.tokens.len(), verified.accepted);
                guessed.drafted += draft.tokens.len();
                guessed.accepted += verified.accepted;
            }
            token = next;
            over = verified.over;
        }
        answer.finish()
    }

    /// Guesses the next tokens, if that pays.
    fn draft(&mut self, answer: &mut Answer<'_>) -> Option<Draft> {
        if self.speculator.is_off() {
            return None;
        }
        let room = self.engine.context_length().saturating_sub(self.held.len() + 1);
        let most = answer.limit.saturating_sub(answer.count + 1).min(room);
        let sequence = Decoding { key: KEY, drafts: &mut answer.drafts, most };
        let step = Narrow { tokens: 1, spare: most, shared: false };
        let mut drafts = self.speculator.draft(&mut [sequence], step, self.draft_model.as_mut());
        drafts.pop().flatten()
    }

    /// One step after the prompt: the token, the draft behind it, and what the sampler makes of both. Returns the last
    /// token that was chosen.
    fn advance(
        &mut self,
        token: TokenId,
        draft: Option<&Draft>,
        answer: &mut Answer<'_>,
    ) -> anyhow::Result<(TokenId, Verified)> {
        let draft = draft.map_or(&[][..], |draft| &draft.tokens);
        let tokens = [&[token], draft].concat();
        let item = StepItem { sequence: self.sequence, tokens: &tokens, logits: LogitsWanted::All };
        let started = Instant::now();
        let rows = self.engine.step(&[item])?;
        self.speculator.observe(tokens.len(), started.elapsed());
        let mut last = token;
        let vocab_size = self.model.info().vocab_size;
        let verified = verify(draft, rows.item(0), vocab_size, |row| {
            last = answer.sampler.sample(row);
            Choice { token: last, over: answer.note(last) }
        });
        self.held.extend_from_slice(&tokens[..verified.chosen]);
        self.engine.truncate(self.sequence, self.held.len())?;
        Ok((last, verified))
    }

    /// One step of the prompt; samples after the last token if `sample`.
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

/// Guesses of one answer.
#[derive(Debug, Default)]
struct Guessed {
    drafted: usize,
    accepted: usize,
}

/// An answer while it grows.
struct Answer<'a> {
    tokenizer: &'a Tokenizer,
    sampler: &'a mut Sampler,
    decoder: StreamDecoder,
    drafts: SequenceDrafts,
    count: usize,
    limit: usize,
    cancel: &'a CancellationToken,
    take: &'a mut dyn FnMut(&str) -> anyhow::Result<()>,
    end: Option<anyhow::Result<Finish>>,
}

impl Answer<'_> {
    /// Takes the next token; `true` when it ends the answer.
    fn note(&mut self, token: TokenId) -> bool {
        self.end = self.follow(token).transpose();
        self.end.is_some()
    }

    fn follow(&mut self, token: TokenId) -> anyhow::Result<Option<Finish>> {
        if self.tokenizer.is_end_of_generation(token) {
            return Ok(Some(Finish::Stop));
        }
        if self.count == self.limit {
            return Ok(Some(Finish::Length));
        }
        if self.cancel.is_cancelled() {
            return Ok(Some(Finish::Interrupted));
        }
        self.count += 1;
        self.sampler.accept(token);
        self.drafts.extend(&[token]);
        let piece = self.decoder.push(self.tokenizer, token);
        if !piece.is_empty() {
            (self.take)(&piece)?;
        }
        Ok((self.count == self.limit).then_some(Finish::Length))
    }

    /// Gives out what the decoder held back.
    fn finish(&mut self) -> anyhow::Result<Finish> {
        let finish = self.end.take().unwrap_or(Ok(Finish::Length))?;
        let rest = self.decoder.finish();
        if !rest.is_empty() {
            (self.take)(&rest)?;
        }
        Ok(finish)
    }
}

fn open_model(path: &Path, packed: &PackedIn) -> anyhow::Result<Arc<Model>> {
    let options = ModelOptions { packed: packed.clone(), ..ModelOptions::default() };
    Model::open(path, &options).with_context(|| format!("cannot load the model {}", path.display()))
}

fn open_draft_model(
    path: &Path,
    packed: &PackedIn,
    threads: NonZeroUsize,
    context: usize,
    target: &Model,
) -> anyhow::Result<DraftModel> {
    let model = open_model(path, packed)?;
    let context = context.min(model.info().context_length);
    let engine = Engine::new(model, EngineOptions::new(threads, context, 1))?;
    DraftModel::new(engine, target)
        .with_context(|| format!("cannot use {} as draft model", path.display()))
}

impl Report {
    /// One line for people.
    pub(super) fn line(&self, threads: NonZeroUsize) -> String {
        let rate = |tokens: usize, seconds: f64| {
            tokens as f64 / seconds.max(Duration::from_nanos(1).as_secs_f64())
        };
        let fresh = self.prompt_tokens - self.reused_tokens;
        format!(
            "prompt: {fresh} tokens in {:.3} s ({:.1} tokens/s), {} reused; answer: {} tokens in {:.3} s ({:.1} tokens/s), {} of {} guesses right; {threads} threads",
            self.prompt_seconds,
            rate(fresh, self.prompt_seconds),
            self.reused_tokens,
            self.answer_tokens,
            self.answer_seconds,
            rate(self.answer_tokens, self.answer_seconds),
            self.accepted_tokens,
            self.drafted_tokens,
        )
    }
}
