//! The model as one agent reaches it. A context is a list of tokens: to fork is to copy the list, and what contexts have
//! in common is computed once, because the scheduler finds again what the tenant has computed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use realm_engine::{
    chat_template::Turn, engine::TokenId, sampler::SamplerParams, tokenizer::SpecialTokens,
};
use realm_sandbox::{
    host::{Inference, Span, SpanRequest},
    wire::{self, Candidate, InferenceFailure, Message, Sampling},
};

use super::{
    event::{Clock, Signals},
    order::Workshop,
    purse::{self, Purse},
    span::{Heard, listen, not_taken},
    voice::{self, Outlet},
};
use crate::{
    constraint::Constraint,
    program::grammar,
    scheduler::event::{Alternative, PromptScores, Scores, SequenceRequest},
    tenant::Tenant,
};

/// Constraints that an agent may use in one request; each is compiled once.
const MAX_CONSTRAINTS: usize = 16;
/// Makes a token certain to be chosen.
const CERTAIN: f32 = 100.0;

type Answer<T> = Result<T, InferenceFailure>;

/// What a session is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) workshop: Workshop,
    pub(super) tenant: Arc<Tenant>,
    /// Tokens that a context may have.
    pub(super) context_length: usize,
    /// How tokens are chosen where the agent does not say.
    pub(super) sampling: SamplerParams,
    pub(super) purse: Arc<Mutex<Purse>>,
    pub(super) outlet: Arc<Mutex<Outlet>>,
    pub(super) signals: Signals,
}

/// The model, for one agent.
#[derive(Debug)]
pub(super) struct Session {
    parts: Parts,
    contexts: HashMap<u64, Vec<TokenId>>,
    /// Contexts that were opened so far; the next one's number.
    opened: u64,
    /// Spans that were generated so far; each has a seed of its own.
    spans: u64,
    compiled: Vec<(wire::Constraint, Constraint)>,
    /// Until the first call.
    clock: Option<Clock>,
}

impl Session {
    pub(super) fn new(parts: Parts, clock: Clock) -> Self {
        let clock = Some(clock);
        Self { parts, clock, contexts: HashMap::new(), opened: 0, spans: 0, compiled: Vec::new() }
    }

    /// Lets the time of the run begin; before anything that may wait.
    fn begin(&mut self) {
        if let Some(clock) = self.clock.take() {
            clock.start();
        }
    }

    fn add(&mut self, tokens: Vec<TokenId>) -> u64 {
        let number = self.opened;
        self.opened += 1;
        self.contexts.insert(number, tokens);
        number
    }

    fn tokens(&self, context: u64) -> Answer<&Vec<TokenId>> {
        self.contexts.get(&context).ok_or(InferenceFailure::UnknownHandle)
    }

    fn tokens_mut(&mut self, context: u64) -> Answer<&mut Vec<TokenId>> {
        self.contexts.get_mut(&context).ok_or(InferenceFailure::UnknownHandle)
    }

    /// How the next span's tokens are chosen. The first span has the request's seed.
    fn sampling(&mut self, wanted: &Sampling) -> SamplerParams {
        let mut sampling = self.parts.sampling.clone();
        sampling.temperature = wanted.temperature.unwrap_or(sampling.temperature);
        sampling.top_p = wanted.top_p.unwrap_or(sampling.top_p);
        sampling.top_k = wanted.top_k.unwrap_or(sampling.top_k);
        sampling.min_p = wanted.min_p.unwrap_or(sampling.min_p);
        sampling.seed = sampling.seed.map(|seed| seed.wrapping_add(self.spans));
        self.spans += 1;
        sampling
    }

    fn compiled(&mut self, wanted: wire::Constraint) -> Answer<Constraint> {
        if let Some((_, known)) = self.compiled.iter().find(|(known, _)| *known == wanted) {
            return Ok(known.clone());
        }
        if self.compiled.len() >= MAX_CONSTRAINTS {
            return Err(InferenceFailure::Budget);
        }
        let refused = |error: &dyn std::error::Error| {
            tracing::debug!(target: "realm::program", tenant = %self.parts.tenant.id, %error, "a span's constraint");
            InferenceFailure::Refused
        };
        let grammar = grammar(&wanted).map_err(|error| refused(&error))?;
        let constraints = &self.parts.workshop.constraints;
        let compiled = constraints.compile(&grammar, None).map_err(|error| refused(&error))?;
        self.compiled.push((wanted, compiled.clone()));
        Ok(compiled)
    }

    /// Tokens that the context may still get.
    fn room(&self, context: u64) -> Answer<usize> {
        match self.parts.context_length.saturating_sub(self.tokens(context)?.len()) {
            0 => Err(InferenceFailure::TooLong),
            room => Ok(room),
        }
    }

    /// Runs one sequence from the context on, which stays as it is.
    fn sequence(&self, context: u64, request: SequenceRequest) -> Answer<Heard> {
        let left = purse::lock(&self.parts.purse).span()?;
        let max_tokens = request.max_tokens.min(left).min(self.room(context)?);
        let prompt = self.tokens(context)?.as_slice().into();
        self.run(SequenceRequest { prompt, max_tokens, ..request })
    }

    fn run(&self, request: SequenceRequest) -> Answer<Heard> {
        let over = &self.parts.signals.over;
        if over.is_cancelled() {
            return Err(InferenceFailure::Cancelled);
        }
        let submitted = self.parts.workshop.scheduler.submit(&self.parts.tenant, vec![request]);
        let mut receivers = submitted.map_err(|error| not_taken(&error))?;
        let events = receivers.pop().ok_or(InferenceFailure::Unavailable)?;
        let spend = |tokens| purse::lock(&self.parts.purse).spend(tokens);
        let heard = listen(events, over, spend)?;
        purse::lock(&self.parts.purse).found(heard.finish.cached_tokens);
        Ok(heard)
    }

    /// A token that has a text whatever stands before it.
    fn plain_token(&self) -> Option<TokenId> {
        let tokenizer = self.parts.workshop.model.tokenizer();
        tokenizer.encode("a", SpecialTokens::AsText).last().copied()
    }
}

impl Inference for Session {
    fn open(&mut self) -> Answer<u64> {
        self.begin();
        Ok(self.add(Vec::new()))
    }

    fn encode(&self, context: u64, text: &str) -> Vec<u32> {
        let tokenizer = self.parts.workshop.model.tokenizer();
        let begins = self.contexts.get(&context).is_some_and(Vec::is_empty);
        let bos = tokenizer.bos().filter(|_| begins && tokenizer.add_bos());
        bos.into_iter().chain(tokenizer.encode(text, SpecialTokens::AsText)).collect()
    }

    fn render(&self, messages: &[Message]) -> Answer<Vec<u32>> {
        let model = &self.parts.workshop.model;
        let template = model.chat_template().ok_or(InferenceFailure::Refused)?;
        let turn = |message: &Message| Turn {
            role: message.role.clone(),
            content: Some(message.content.clone()),
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
        };
        let turns: Vec<Turn> = messages.iter().map(turn).collect();
        let text = template.render_turns(&turns, &[], true);
        let text = text.map_err(|_| InferenceFailure::Refused)?;
        // The template writes its own special tokens, the beginning of the sequence included.
        Ok(model.tokenizer().encode(&text, SpecialTokens::Parse))
    }

    fn append(&mut self, context: u64, tokens: &[u32]) -> Answer<u32> {
        let most = self.parts.context_length;
        if self.tokens(context)?.len() + tokens.len() > most {
            return Err(InferenceFailure::TooLong);
        }
        purse::lock(&self.parts.purse).read(tokens.len())?;
        let held = self.tokens_mut(context)?;
        held.extend_from_slice(tokens);
        Ok(count(held.len()))
    }

    fn fork(&mut self, context: u64) -> Answer<u64> {
        let tokens = self.tokens(context)?.clone();
        Ok(self.add(tokens))
    }

    fn truncate(&mut self, context: u64, length: u32) -> Answer<()> {
        self.tokens_mut(context)?.truncate(length as usize);
        Ok(())
    }

    fn length(&self, context: u64) -> u32 {
        self.contexts.get(&context).map_or(0, |tokens| count(tokens.len()))
    }

    fn generate(&mut self, context: u64, how: SpanRequest) -> Answer<Span> {
        self.room(context)?;
        let constraint = how.constraint.map(|wanted| self.compiled(wanted)).transpose()?;
        let request = SequenceRequest {
            max_tokens: how.max_tokens as usize,
            sampling: self.sampling(&how.sampling),
            stop: how.stop,
            constraint,
            ..empty_request()
        };
        let Heard { text, tokens, finish, .. } = self.sequence(context, request)?;
        self.tokens_mut(context)?.extend_from_slice(&tokens);
        Ok(Span { text, tokens, why: finish.reason.into() })
    }

    /// The scheduler tells a row's probabilities with the text of the token that was chosen from it, so a token that
    /// surely has a text is made to be chosen; probabilities are those before any such wish.
    fn top(&mut self, context: u64, how_many: u32) -> Answer<Vec<Candidate>> {
        let token = self.plain_token().ok_or(InferenceFailure::Unavailable)?;
        let sampling = SamplerParams {
            temperature: 0.0,
            logit_bias: vec![(token, CERTAIN)],
            ..SamplerParams::default()
        };
        let top_logprobs = Some(how_many as usize);
        let request = SequenceRequest { sampling, top_logprobs, ..empty_request() };
        let mut heard = self.sequence(context, request)?;
        let row = heard.logprobs.pop().ok_or(InferenceFailure::Unavailable)?;
        let candidate =
            |entry: &Alternative| Candidate { token: entry.token, logit: entry.logprob };
        Ok(row.top.iter().map(candidate).collect())
    }

    /// Reads the continuation once more than the context, which stays as it is; so its tokens are paid as read.
    fn score(&mut self, context: u64, tokens: &[u32]) -> Answer<f32> {
        let held = self.tokens(context)?;
        // What stands first has nothing that it could be likely after.
        let from = held.len();
        if from == 0 {
            return Err(InferenceFailure::Refused);
        }
        if from + tokens.len() > self.parts.context_length {
            return Err(InferenceFailure::TooLong);
        }
        if tokens.is_empty() {
            return Ok(0.0);
        }
        purse::lock(&self.parts.purse).read(tokens.len())?;
        let prompt = [held, tokens].concat().into();
        let scores = Scores { prompt: Some(PromptScores { top: 0, from }), end: false };
        let request = SequenceRequest { prompt, max_tokens: 0, scores, ..empty_request() };
        let Heard { scored, .. } = self.run(request)?;
        Ok(scored.iter().map(|token| token.chosen.logprob).sum())
    }

    fn close(&mut self, context: u64) {
        self.contexts.remove(&context);
    }

    fn emit(&mut self, text: &str) -> Answer<()> {
        self.begin();
        let finish = purse::lock(&self.parts.purse).finish();
        voice::lock(&self.parts.outlet).emit(text, finish)
    }

    fn cancelled(&self) -> bool {
        self.parts.signals.gone.is_cancelled()
    }
}

/// A sequence of one token, to be told what differs.
fn empty_request() -> SequenceRequest {
    SequenceRequest {
        prompt: Arc::from([]),
        max_tokens: 1,
        sampling: SamplerParams::default(),
        stop: Vec::new(),
        top_logprobs: None,
        constraint: None,
        logit_hook: None,
        scores: Scores::default(),
    }
}

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
