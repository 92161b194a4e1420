//! The way of an answer's text from the model to the client: the guest decides on tokens when it is due, the host
//! redacts what is left, and the whole answer is shown at its end.

use crate::{
    answer::Action,
    breach::{Breach, BreachKind, Hook},
    native::{Redactor, Waker},
    plan::{Plan, Reject},
    shared_run::SharedRun,
    wire::{Batch, Finish, Usage},
};

/// Bytes that a guest may hold back.
pub const MAX_HELD_BYTES: usize = 64 << 10;

/// One answer's way.
#[derive(Debug)]
pub struct Filter {
    run: SharedRun,
    redactor: Option<Redactor>,
    waker: Option<Waker>,
    /// Whether `on-tokens` is called.
    tokens: bool,
    /// Tokens between two calls; 0 calls on a wake trigger only.
    every: usize,
    /// The text so far, when `on-response` shall see it.
    whole: Option<String>,
    waiting: Waiting,
    /// Calls of `on-tokens`, when somebody watches.
    asked: Option<Vec<Asked>>,
}

/// One call of `on-tokens`, for whoever watches a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What the guest was shown.
    pub batch: Batch,
    /// What it decided.
    pub action: Action,
}

/// What the guest has not let go yet.
#[derive(Debug, Default)]
struct Waiting {
    first: u32,
    tokens: Vec<u32>,
    text: String,
    /// Tokens since the last call.
    fresh: usize,
}

/// What may be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passed {
    /// Text.
    pub text: String,
    /// The answer ends after it.
    pub end: Option<Finish>,
}

/// The end of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The rest of the text.
    pub text: String,
    /// What the program makes of the whole answer.
    pub verdict: Result<Option<String>, Reject>,
}

impl Filter {
    /// The filter of one answer under a plan; none when the plan leaves answers as they are.
    pub fn new(run: impl Into<SharedRun>, plan: &Plan) -> Option<Self> {
        let tokens = plan.tokens && (plan.every > 0 || plan.wake.is_some());
        if !tokens && !plan.response && plan.redact.is_none() {
            return None;
        }
        Some(Self {
            run: run.into(),
            redactor: plan.redact.as_ref().map(Redactor::new),
            waker: plan.wake.as_ref().filter(|_| tokens).map(Waker::new),
            tokens,
            every: plan.every as usize,
            whole: plan.response.then(String::new),
            waiting: Waiting::default(),
            asked: None,
        })
    }

    /// The same filter, which keeps the calls of `on-tokens` until [`Self::take_asked`].
    #[must_use]
    pub fn watched(self) -> Self {
        Self { asked: Some(Vec::new()), ..self }
    }

    /// The calls of `on-tokens` since the last look.
    pub fn take_asked(&mut self) -> Vec<Asked> {
        self.asked.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Whether taking text may call the guest, which takes up to its deadline.
    pub fn calls_guest(&self) -> bool {
        self.tokens && !self.run.lock().is_skipped()
    }

    /// Whether the end calls the guest.
    pub fn ends_in_guest(&self) -> bool {
        self.calls_guest() || self.whole.is_some()
    }

    /// Takes tokens and their text.
    pub fn push(&mut self, tokens: &[u32], text: &str) -> Result<Passed, Breach> {
        self.waiting.add(tokens, text);
        let woke = self.waker.as_mut().and_then(|waker| waker.push(text, false));
        if !self.tokens {
            return Ok(self.send(None));
        }
        let due = self.every > 0 && self.waiting.fresh >= self.every;
        if due || woke.is_some() {
            return self.ask(woke);
        }
        // Without a rhythm only what may be part of a trigger waits.
        if self.every == 0 && !self.waker.as_ref().is_some_and(Waker::is_open) {
            return Ok(self.send(None));
        }
        Ok(Passed::default())
    }

    /// The model has ended the answer.
    pub fn finish(&mut self, why: Finish, usage: Usage) -> Result<Ended, Breach> {
        let woke = self.waker.as_mut().and_then(|waker| waker.push("", true));
        let due = self.every > 0 && !self.waiting.text.is_empty();
        let mut text = String::new();
        if self.tokens && (due || woke.is_some()) {
            text = self.ask(woke)?.text;
        }
        text += &self.send(None).text;
        if let Some(redactor) = &mut self.redactor {
            let rest = redactor.finish();
            self.whole.iter_mut().for_each(|whole| whole.push_str(&rest));
            text += &rest;
        }
        let verdict = match self.whole.take() {
            Some(whole) => self.run.lock().on_response(whole, why, usage)?,
            None => Ok(None),
        };
        Ok(Ended { text, verdict })
    }

    fn ask(&mut self, woke: Option<u32>) -> Result<Passed, Breach> {
        self.waiting.fresh = 0;
        let batch = self.waiting.batch(woke);
        let shown = self.asked.is_some().then(|| batch.clone());
        let action = self.run.lock().on_tokens(batch)?;
        if let (Some(asked), Some(batch)) = (&mut self.asked, shown) {
            asked.push(Asked { batch, action: action.clone() });
        }
        match action {
            Action::Pass => Ok(self.send(None)),
            Action::Replace(text) => Ok(self.send(Some(text))),
            Action::Hold if self.waiting.text.len() > MAX_HELD_BYTES => {
                Err(refused(format!("hold keeps more than {MAX_HELD_BYTES} bytes back")))
            }
            Action::Hold => Ok(Passed::default()),
            Action::Stop(why) => {
                self.waiting.take();
                Ok(Passed { text: self.rest(), end: Some(why) })
            }
            Action::Inject(_) => Err(refused("this host does not execute inject")),
            Action::Rewind(_) => Err(refused("this host does not execute rewind")),
        }
    }

    /// Lets go what waits, or what stands for it.
    fn send(&mut self, instead: Option<String>) -> Passed {
        let waited = self.waiting.take();
        let text = instead.unwrap_or(waited);
        let text = match &mut self.redactor {
            Some(redactor) => redactor.push(&text),
            None => text,
        };
        self.whole.iter_mut().for_each(|whole| whole.push_str(&text));
        Passed { text, end: None }
    }

    /// What the redactor still has of text that was let go before.
    fn rest(&mut self) -> String {
        self.redactor.as_mut().map(Redactor::finish).unwrap_or_default()
    }
}

impl Waiting {
    fn add(&mut self, tokens: &[u32], text: &str) {
        self.tokens.extend_from_slice(tokens);
        self.text.push_str(text);
        self.fresh += tokens.len();
    }

    fn batch(&self, woke: Option<u32>) -> Batch {
        Batch { first: self.first, tokens: self.tokens.clone(), text: self.text.clone(), woke }
    }

    fn take(&mut self) -> String {
        self.first += self.tokens.len() as u32;
        self.tokens.clear();
        self.fresh = 0;
        std::mem::take(&mut self.text)
    }
}

fn refused(reason: impl Into<String>) -> Breach {
    Breach::plain(Hook::OnTokens, BreachKind::Answer, reason)
}
