//! One running sequence: where its prompt stands, what it has produced, and when it ends. Knows no engine and no thread:
//! a row of logits goes in, events go out through its channel.

use std::{collections::VecDeque, time::Duration};

use realm_engine::{
    engine::TokenId,
    sampler::{Sampler, SamplerError, log_probabilities, log_probability},
    speculation::{Choice, DraftSource, SequenceDrafts, Verified, verify},
    tokenizer::{StreamDecoder, Tokenizer},
};
use tokio::sync::mpsc;

use crate::scheduler::{
    asking::Place,
    batch::Need,
    event::{
        Alternative, Event, Failure, Finish, FinishReason, Output, SequenceRequest, TokenLogprob,
    },
    scoring::Scoring,
    speculation::Draft,
    steering::{Answer, Chosen, Steering},
    stop::{Filtered, StopFilter},
};

/// Events beside one for each token: the prompt's probabilities, what was held back at the end, and the last one.
const EXTRA_EVENTS: usize = 4;
/// Tokens that a sequence can produce at most, whatever was asked for; bounds its channel.
const MAX_OUTPUT_TOKENS: usize = 1 << 20;

/// The token that no draft has.
const NO_TOKEN: TokenId = TokenId::MAX;

/// A sequence from its admission to its last event.
#[derive(Debug)]
pub(super) struct Sequence {
    /// The prompt, then what was produced.
    tokens: Vec<TokenId>,
    /// Of the tokens, how many are in the KV cache.
    computed: usize,
    /// Prompt tokens that were in the KV cache before this sequence began.
    cached: usize,
    /// The same prompt was counted already, for another choice of the same request.
    repeated: bool,
    /// How often its pages were taken from it.
    preemptions: usize,
    /// The token that is not in the KV cache yet and the draft of those after it, when there is one.
    pending: Vec<TokenId>,
    /// Where the draft is from.
    source: Option<DraftSource>,
    /// What drafts are made from; `None` while speculation is off.
    drafts: Option<SequenceDrafts>,
    sampler: Sampler,
    steering: Steering,
    text: Text,
    produced: usize,
    /// Tokens that no event has reported yet.
    unreported: usize,
    max_tokens: usize,
    top_logprobs: Option<usize>,
    /// The row that the program has been asked about, where its probabilities are wanted.
    asked_row: Vec<f32>,
    /// Its prompt, while that is being scored.
    scoring: Option<Scoring>,
    /// Whether the probability of the token that ends it is reported, and what that is.
    reports_end: bool,
    ending: Option<TokenLogprob>,
    events: mpsc::Sender<Event>,
}

/// The text side of a sequence: characters, stop strings, and the probabilities that wait for their text.
#[derive(Debug)]
struct Text {
    decoder: StreamDecoder,
    filter: StopFilter,
    /// Bytes and characters decoded so far, shown or held back.
    bytes: usize,
    chars: usize,
    /// Probabilities whose text is not shown yet, with the place of their text in bytes.
    waiting: VecDeque<(usize, TokenLogprob)>,
}

impl Sequence {
    /// A sequence that has not begun, and where its events arrive. The channel holds all the events that it can ever
    /// have, so a slow reader never stalls a step. `repeated` when the prompt was counted for another choice already.
    pub(super) fn new(
        request: SequenceRequest,
        repeated: bool,
    ) -> Result<(Self, mpsc::Receiver<Event>), SamplerError> {
        let max_tokens = request.max_tokens.min(MAX_OUTPUT_TOKENS);
        let (events, receiver) = mpsc::channel(max_tokens + EXTRA_EVENTS);
        let sequence = Self {
            tokens: request.prompt.to_vec(),
            computed: 0,
            cached: 0,
            repeated,
            preemptions: 0,
            pending: Vec::new(),
            source: None,
            drafts: None,
            sampler: Sampler::new(request.sampling)?,
            steering: Steering::new(request.constraint, request.logit_hook),
            text: Text::new(request.stop),
            produced: 0,
            unreported: 0,
            max_tokens,
            top_logprobs: request.top_logprobs,
            asked_row: Vec::new(),
            scoring: request.scores.prompt.map(|prompt| Scoring::new(prompt, request.prompt.len())),
            reports_end: request.scores.end,
            ending: None,
            events,
        };
        Ok((sequence, receiver))
    }

    /// What it needs in the next step.
    pub(super) fn need(&self) -> Need {
        match self.tokens.len() - self.computed {
            1 if self.produced > 0 => Need::Decode,
            left => Need::Prefill(left),
        }
    }

    /// The same in a step that computes so many rows of a prompt that is being scored.
    pub(super) fn need_within(&self, rows: usize) -> Need {
        match (&self.scoring, self.need()) {
            (Some(scoring), Need::Prefill(left)) => scoring.need(self.computed, left, rows),
            (_, need) => need,
        }
    }

    /// Whether its prompt is being scored.
    pub(super) fn is_scored(&self) -> bool {
        self.scoring.is_some()
    }

    /// Whether the rows after all tokens of the next share are wanted, not just after its last.
    pub(super) fn wants_rows(&self) -> bool {
        self.scoring.as_ref().is_some_and(|scoring| scoring.wants_rows(self.computed))
    }

    /// The beginning of the tokens that may be taken from the KV cache where others have computed it.
    pub(super) fn reusable(&self) -> &[TokenId] {
        let end = self.scoring.as_ref().map_or(usize::MAX, Scoring::reusable);
        &self.tokens[..end.min(self.tokens.len())]
    }

    /// Takes the rows that score the prompt out of those of a share; what is left of them chooses the next token.
    pub(super) fn score<'r>(
        &mut self,
        rows: &'r [f32],
        vocab_size: usize,
        tokenizer: &Tokenizer,
    ) -> &'r [f32] {
        let Some(scoring) = &mut self.scoring else { return rows };
        let taken = scoring.take(&self.tokens, rows, vocab_size, tokenizer);
        if let Some(scored) = scoring.finished() {
            self.scoring = None;
            self.send(Event::Scored(scored));
        }
        rows.get(taken * vocab_size..).unwrap_or_default()
    }

    /// Prompt and answer so far.
    pub(super) fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// Of the tokens, how many are in the KV cache.
    pub(super) fn computed(&self) -> usize {
        self.computed
    }

    /// The tokens that a share of `count` stands for, and whether logits are wanted after them.
    pub(super) fn next_tokens(&self, count: usize) -> (&[TokenId], bool) {
        if !self.pending.is_empty() {
            return (&self.pending, true);
        }
        let end = (self.computed + count).min(self.tokens.len());
        (&self.tokens[self.computed..end], end == self.tokens.len())
    }

    /// Notes that a share of `count` tokens is in the KV cache.
    pub(super) fn advance(&mut self, count: usize) {
        self.computed = (self.computed + count).min(self.tokens.len());
    }

    /// Notes that the first `held` tokens are in the KV cache because others have computed them. Returns how many of the
    /// request's prompt tokens that saves, for the request's token counts.
    pub(super) fn reused(&mut self, held: usize) -> usize {
        let saved = held.saturating_sub(self.computed);
        self.computed += saved;
        if self.repeated || self.produced > 0 || self.preemptions > 0 {
            return 0;
        }
        self.cached += saved;
        saved
    }

    /// Notes that its pages were taken from it: everything is to be computed again, nothing that was said is lost.
    pub(super) fn preempt(&mut self) {
        self.computed = 0;
        self.pending.clear();
        self.preemptions += 1;
    }

    /// Whether its pages were taken from it.
    pub(super) fn was_preempted(&self) -> bool {
        self.preemptions > 0
    }

    /// Has drafts made for the sequence from now on, unless a program has a say in each of its tokens.
    pub(super) fn speculate(&mut self) {
        if self.steering.asks() {
            return;
        }
        let tokens = &self.tokens;
        self.drafts.get_or_insert_with(|| {
            let mut drafts = SequenceDrafts::new();
            drafts.extend(tokens);
            drafts
        });
    }

    /// What drafts are made from, and how many tokens one may have: the last token that may be produced needs no guess.
    pub(super) fn drafts(&mut self) -> Option<(&mut SequenceDrafts, usize)> {
        let most = self.max_tokens.saturating_sub(self.produced + 1);
        self.drafts.as_mut().map(|drafts| (drafts, most))
    }

    /// Takes a draft into the next step, or none.
    pub(super) fn take_draft(&mut self, draft: Option<Draft>) {
        self.pending.clear();
        self.source = draft.as_ref().map(|draft| draft.source);
        if let (Some(mut draft), Some(&last)) = (draft, self.tokens.last()) {
            draft.tokens.truncate(self.steering.possible(&draft.tokens));
            if !draft.tokens.is_empty() {
                self.pending.push(last);
                self.pending.extend(draft.tokens);
            }
        }
    }

    /// Chooses the next tokens: one from each row of logits, as far as the draft was right, and those that are certain
    /// to follow. `room` is what the context can take after the first.
    pub(super) fn choose(
        &mut self,
        rows: &[f32],
        vocab_size: usize,
        tokenizer: &Tokenizer,
        room: usize,
    ) -> Verified {
        if self.max_tokens == 0 {
            return Verified { chosen: 0, accepted: 0, over: self.end(FinishReason::Length) };
        }
        let pending = std::mem::take(&mut self.pending);
        let draft = pending.get(1..).unwrap_or_default();
        let (held, mut room) = (self.tokens.len(), room);
        let mut verified = verify(draft, rows, vocab_size, |row| {
            let choice = self.choose_one(row, tokenizer, room);
            room = room.saturating_sub(1);
            choice
        });
        if let (Some(source), Some(drafts)) = (self.source.take(), &mut self.drafts) {
            drafts.record(source, draft.len(), verified.accepted);
        }
        // What was accepted is in the KV cache; the last token of the rows never is, nor what was certain after it.
        self.computed = (held + verified.chosen).saturating_sub(1);
        verified.over = verified.over || self.say_certain(tokenizer, room);
        verified
    }

    /// Says the tokens that are certain without a row of logits each; the next step computes them together, like a
    /// prompt. Who wants probabilities gets the model's own, so then each of them waits for its row.
    fn say_certain(&mut self, tokenizer: &Tokenizer, mut room: usize) -> bool {
        if self.top_logprobs.is_some() {
            return false;
        }
        while let Some(token) = self.steering.next_certain() {
            if self.say(token, None, tokenizer, room) {
                return true;
            }
            room = room.saturating_sub(1);
        }
        false
    }

    fn choose_one(&mut self, logits: &[f32], tokenizer: &Tokenizer, room: usize) -> Choice {
        let last = self.tokens.last().copied().unwrap_or_default();
        let place = Place { position: self.produced, last };
        match self.steering.choose(&mut self.sampler, logits, place) {
            Ok(Chosen::Token(token)) => {
                Choice { token, over: self.say(token, Some(logits), tokenizer, room) }
            }
            Ok(Chosen::Asked) => {
                if self.top_logprobs.is_some() {
                    logits.clone_into(&mut self.asked_row);
                }
                Choice { token: NO_TOKEN, over: false }
            }
            Err(error) => {
                self.send(Event::Failed(Failure::Constraint(error)));
                Choice { token: NO_TOKEN, over: true }
            }
        }
    }

    /// Takes the answer of the program, when it has come. `Some(true)` when the sequence is over. `room` is what the
    /// context can take after the token that it chooses.
    pub(super) fn take_answer(&mut self, tokenizer: &Tokenizer, room: usize) -> Option<bool> {
        let over = match self.steering.take_answer(&mut self.sampler)? {
            Ok(Answer::Token(token)) => {
                let row = std::mem::take(&mut self.asked_row);
                let logits = (!row.is_empty()).then_some(row.as_slice());
                self.say(token, logits, tokenizer, room)
                    || self.say_certain(tokenizer, room.saturating_sub(1))
            }
            Ok(Answer::End(reason)) => self.finish(reason),
            Err(failure) => {
                self.send(Event::Failed(failure));
                true
            }
        };
        Some(over)
    }

    /// Whether a program has a say in each of its tokens.
    pub(super) fn asks(&self) -> bool {
        self.steering.asks()
    }

    /// Whether its program has been asked and its answer was not taken yet: it cannot go on.
    pub(super) fn is_asking(&self) -> bool {
        self.steering.is_asking()
    }

    /// Whether the answer that it awaits has come.
    pub(super) fn has_answer(&self) -> bool {
        self.steering.has_answer()
    }

    /// Whether it awaits an answer that took no longer than `patience` the last time.
    pub(super) fn is_asking_a_quick_one(&self, patience: Duration) -> bool {
        self.steering.is_asking_a_quick_one(patience)
    }

    /// Takes a token into the text. `true` when the sequence is over.
    fn say(
        &mut self,
        token: TokenId,
        logits: Option<&[f32]>,
        tokenizer: &Tokenizer,
        room: usize,
    ) -> bool {
        self.sampler.accept(token);
        if self.produced == 0 {
            self.text.decoder = StreamDecoder::after(tokenizer, &self.tokens);
        }
        self.tokens.push(token);
        if let Some(drafts) = &mut self.drafts {
            drafts.extend(&[token]);
        }
        self.follow(token, logits, tokenizer, room)
    }

    /// Says what follows from a token. `true` when the sequence is over.
    fn follow(
        &mut self,
        token: TokenId,
        logits: Option<&[f32]>,
        tokenizer: &Tokenizer,
        room: usize,
    ) -> bool {
        self.produced += 1;
        self.unreported += 1;
        if tokenizer.is_end_of_generation(token) {
            self.note_end(token, logits, tokenizer);
            return self.finish(FinishReason::Stop);
        }
        if let (Some(top), Some(logits)) = (self.top_logprobs, logits) {
            self.text.wait(token_logprob(logits, token, top, tokenizer));
        }
        match self.text.push(token, tokenizer, &self.steering) {
            Filtered::Stopped { text, end } => {
                self.text.forget_after(end);
                self.send_output(text);
                return self.end(FinishReason::Stop);
            }
            Filtered::Text(text) => self.send_output(text),
        }
        if self.steering.is_over() {
            return self.finish(FinishReason::Stop);
        }
        if self.produced >= self.max_tokens || room == 0 {
            self.finish(FinishReason::Length)
        } else {
            false
        }
    }

    /// Keeps the probability of the token that ends the sequence, when it is asked for.
    fn note_end(&mut self, token: TokenId, logits: Option<&[f32]>, tokenizer: &Tokenizer) {
        let logits = logits.filter(|_| self.reports_end);
        self.ending = self.top_logprobs.zip(logits).map(|(top, logits)| {
            let entry = token_logprob(logits, token, top, tokenizer);
            TokenLogprob { text_offset: self.text.chars, ..entry }
        });
    }

    /// Whether nobody listens any more.
    pub(super) fn is_abandoned(&self) -> bool {
        self.events.is_closed()
    }

    /// Sends the last event of a sequence that is ended from outside.
    pub(super) fn fail(self, failure: Failure) {
        self.send(Event::Failed(failure));
    }

    /// Shows what was held back, then ends.
    fn finish(&mut self, reason: FinishReason) -> bool {
        let rest = self.text.finish();
        self.send_output(rest);
        self.end(reason)
    }

    fn end(&mut self, reason: FinishReason) -> bool {
        let logprobs: Vec<TokenLogprob> = self.ending.take().into_iter().collect();
        if self.unreported > 0 || !logprobs.is_empty() {
            let ids = self.unreported_ids();
            let tokens = std::mem::take(&mut self.unreported);
            self.send(Event::Output(Output { tokens, ids, logprobs, ..Output::default() }));
        }
        self.send(Event::Finished(Finish {
            reason,
            completion_tokens: self.produced,
            cached_tokens: self.cached,
        }));
        true
    }

    fn send_output(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        let logprobs = self.text.shown_logprobs();
        let ids = self.unreported_ids();
        let tokens = std::mem::take(&mut self.unreported);
        self.send(Event::Output(Output { text, tokens, ids, logprobs }));
    }

    /// The tokens that no event has told yet.
    fn unreported_ids(&self) -> Vec<TokenId> {
        self.tokens[self.tokens.len().saturating_sub(self.unreported)..].to_vec()
    }

    /// The channel has room for every event; a closed one is noticed by [`Self::is_abandoned`] before the next step.
    fn send(&self, event: Event) {
        let _ = self.events.try_send(event);
    }
}

impl Text {
    fn new(stop: Vec<String>) -> Self {
        Self {
            decoder: StreamDecoder::new(),
            filter: StopFilter::new(stop),
            bytes: 0,
            chars: 0,
            waiting: VecDeque::new(),
        }
    }

    fn push(&mut self, token: TokenId, tokenizer: &Tokenizer, steering: &Steering) -> Filtered {
        // A control token that does not end the text (for example the start of a turn) is no text.
        let text = if tokenizer.is_special(token) && !steering.shows(token) {
            String::new()
        } else if steering.shows_raw_bytes() {
            self.decoder.push_bytes(tokenizer.token_bytes(token).unwrap_or_default())
        } else {
            self.decoder.push(tokenizer, token)
        };
        self.count(&text);
        self.filter.push(&text)
    }

    /// Everything that is left; a stop string at the very end still hides its text.
    fn finish(&mut self) -> String {
        let tail = self.decoder.finish();
        self.count(&tail);
        match self.filter.push(&tail) {
            Filtered::Stopped { text, end } => {
                self.forget_after(end);
                text
            }
            Filtered::Text(text) => text + &self.filter.finish(),
        }
    }

    fn wait(&mut self, mut entry: TokenLogprob) {
        entry.text_offset = self.chars;
        self.waiting.push_back((self.bytes, entry));
    }

    /// Probabilities of the text that is shown by now.
    fn shown_logprobs(&mut self) -> Vec<TokenLogprob> {
        let shown = self.filter.emitted();
        let count = self.waiting.iter().take_while(|(start, _)| *start < shown).count();
        self.waiting.drain(..count).map(|(_, entry)| entry).collect()
    }

    fn forget_after(&mut self, end: usize) {
        self.waiting.retain(|(start, _)| *start < end);
    }

    fn count(&mut self, text: &str) {
        self.bytes += text.len();
        self.chars += text.chars().count();
    }
}

fn token_logprob(
    logits: &[f32],
    token: TokenId,
    top: usize,
    tokenizer: &Tokenizer,
) -> TokenLogprob {
    let alternative = |token: TokenId, logprob: f32| Alternative {
        token,
        bytes: tokenizer.token_bytes(token).unwrap_or_default().to_vec(),
        logprob,
    };
    let logprob = log_probability(logits, token).unwrap_or(f32::NEG_INFINITY);
    let top = log_probabilities(logits, top);
    let top =
        top.into_iter().map(|entry| alternative(entry.token, entry.log_probability)).collect();
    TokenLogprob { chosen: alternative(token, logprob), text_offset: 0, top }
}
