//! A recorded answer on its way through a program, as in the server: `on-request` before it, then the filter of its plan.
//! Stop strings, bias and constraints shape what a model makes; a recording stays as it is.

use std::{collections::BTreeMap, sync::Arc};

use realm_sandbox::{
    Breach, Hook, Program, Run,
    filter::Filter,
    plan::Plan,
    wire::{Finish, Prompt, Request, Step, Usage},
};
use serde::Serialize;
use serde_json::Value;

use super::{
    decisions::{of_logits, of_request, of_response, of_tokens},
    recording::{Recorded, Recording},
    samples::{Samples, Summary},
};

/// Seed of every run: runs differ only in their times.
const SEED: u64 = 7;
/// Difference between the logits of candidates that follow one another.
const LOGIT_STEP: f32 = 0.5;

/// One decision of a hook.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Event {
    /// The hook.
    pub(super) hook: &'static str,
    /// Index of the first token that it was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<u32>,
    /// The text that it was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shown: Option<String>,
    /// What it decided.
    pub(super) decision: Value,
}

/// What came of one run.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Decisions, in their order.
    pub(super) events: Vec<Event>,
    /// What a client gets as a stream; none when the request was refused.
    pub(super) answer: Option<String>,
    /// Why it ended.
    pub(super) finish: Option<Finish>,
}

/// Runs of one program on one recording.
#[derive(Debug)]
pub(super) struct Replay<'a> {
    program: &'a Arc<Program>,
    recording: &'a Recording,
    prompt: Prompt,
    headers: Vec<(String, String)>,
    samples: BTreeMap<Hook, Samples>,
    seen: BTreeMap<Hook, (u64, std::time::Duration)>,
}

impl<'a> Replay<'a> {
    /// Replays that recording, as the answer to that prompt.
    pub(super) fn new(
        program: &'a Arc<Program>,
        recording: &'a Recording,
        prompt: Prompt,
        headers: Vec<(String, String)>,
    ) -> Self {
        let (samples, seen) = (BTreeMap::new(), BTreeMap::new());
        Self { program, recording, prompt, headers, samples, seen }
    }

    /// The times of each hook so far.
    pub(super) fn summaries(&self) -> BTreeMap<&'static str, Summary> {
        let told = |(hook, samples): (&Hook, &Samples)| Some((hook.name(), samples.summary()?));
        self.samples.iter().filter_map(told).collect()
    }

    /// Runs once, in a fresh instance.
    pub(super) fn run(&mut self) -> Result<Outcome, Breach> {
        let mut outcome = Outcome::default();
        let mut run = self.program.begin(SEED)?;
        self.note();
        let verdict = run.on_request(self.request(), self.prompt.clone())?;
        self.note();
        outcome.note(Hook::OnRequest, None, None, of_request(&verdict));
        let Ok(plan) = verdict else { return Ok(outcome) };
        if plan.logits && self.program.has(Hook::OnLogits) {
            self.sample(&mut run, &plan, &mut outcome)?;
        }
        self.answer(run, &plan, &mut outcome)?;
        Ok(outcome)
    }

    fn request(&self) -> Request {
        Request {
            id: "req-test".to_owned(),
            model: "recording".to_owned(),
            tenant: "test".to_owned(),
            endpoint: match self.prompt {
                Prompt::Chat(_) => "chat",
                _ => "completions",
            }
            .to_owned(),
            headers: self.headers.clone(),
            max_tokens: self.recording.tokens.len() as u32,
            seed: SEED,
        }
    }

    /// Asks `on-logits` for each token: the recorded one is the likeliest, others follow by their numbers.
    fn sample(&mut self, run: &mut Run, plan: &Plan, outcome: &mut Outcome) -> Result<(), Breach> {
        let mut last = 0;
        for (position, Recorded { id, .. }) in (0..).zip(&self.recording.tokens) {
            let ids: Vec<u32> =
                (0..plan.top).map(|offset| (id + offset) % (id + plan.top)).collect();
            let logits = (0..plan.top).map(|rank| -LOGIT_STEP * rank as f32).collect();
            let step = Step { position, last, entropy: 1.0 };
            let decision = run.on_logits(step, ids, logits)?;
            self.note();
            outcome.note(Hook::OnLogits, Some(position), None, of_logits(&decision));
            last = *id;
        }
        Ok(())
    }

    /// Sends the recording through the plan's filter.
    fn answer(&mut self, run: Run, plan: &Plan, outcome: &mut Outcome) -> Result<(), Breach> {
        let most = plan.max_tokens.map_or(usize::MAX, |most| most as usize);
        let tokens = || self.recording.tokens.iter().take(most);
        let whole = || tokens().map(|token| token.text.as_str()).collect::<String>();
        let Some(filter) = Filter::new(run, plan) else {
            outcome.answer = Some(whole());
            return Ok(());
        };
        let (mut filter, mut answer, mut ended) = (filter.watched(), String::new(), None);
        for Recorded { id, text } in tokens() {
            let passed = filter.push(&[*id], text)?;
            self.note();
            outcome.note_asked(&mut filter);
            answer += &passed.text;
            ended = passed.end;
            if ended.is_some() {
                break;
            }
        }
        // An answer that the program ends is not shown to it again.
        if ended.is_none() {
            let usage = Usage { completion_tokens: tokens().count() as u32, ..Usage::default() };
            let end = filter.finish(Finish::Stop, usage)?;
            self.note();
            outcome.note_asked(&mut filter);
            answer += &end.text;
            if plan.response && self.program.has(Hook::OnResponse) {
                outcome.note(Hook::OnResponse, None, None, of_response(&end.verdict));
            }
        }
        outcome.finish = ended.or(Some(Finish::Stop));
        outcome.answer = Some(answer);
        Ok(())
    }

    /// Takes over what the program counted since the last look: calls, and their time as the server accounts it.
    fn note(&mut self) {
        for (hook, counter) in self.program.counters().hooks {
            let seen = self.seen.entry(hook).or_default();
            if counter.calls > seen.0 {
                let calls = (counter.calls - seen.0) as u32;
                let time = counter.time.saturating_sub(seen.1) / calls;
                self.samples.entry(hook).or_default().add(time);
                *seen = (counter.calls, counter.time);
            }
        }
    }
}

impl Outcome {
    fn note(&mut self, hook: Hook, token: Option<u32>, shown: Option<String>, decision: Value) {
        self.events.push(Event { hook: hook.name(), token, shown, decision });
    }

    fn note_asked(&mut self, filter: &mut Filter) {
        for asked in filter.take_asked() {
            let (first, text) = (asked.batch.first, asked.batch.text);
            self.note(Hook::OnTokens, Some(first), Some(text), of_tokens(&asked.action));
        }
    }
}
