//! What the client hears of an agent: the texts that it sends, cut before the first of the client's stop strings, and
//! then what its result adds to them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::executor::block_on;
use realm_sandbox::{Breach, plan::Reject, wire::InferenceFailure};
use tokio::sync::mpsc;

use super::event::{AgentEvent, Signals};
use crate::scheduler::{
    event::{Finish, FinishReason},
    stop::{Filtered, StopFilter},
};

/// The text of an answer as it grows.
#[derive(Debug)]
struct Voice {
    stop: Vec<String>,
    filter: StopFilter,
    /// All that the agent has sent, with what the filter holds back.
    sent: String,
    /// A stop string has ended the answer.
    stopped: bool,
}

/// What a result adds to what was sent.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    /// This follows.
    More(String),
    /// It is another text.
    Instead(String),
}

/// How a run ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// With the answer.
    Result(String),
    /// The program refuses the request.
    Refused(Reject),
    /// The program failed.
    Broken(Breach),
}

/// The way from an agent to its client.
#[derive(Debug)]
pub(super) struct Outlet {
    voice: Voice,
    sender: mpsc::Sender<AgentEvent>,
    signals: Signals,
}

impl Voice {
    fn new(stop: Vec<String>) -> Self {
        let filter = StopFilter::new(stop.clone());
        Self { stop, filter, sent: String::new(), stopped: false }
    }

    /// What may be shown after a text.
    fn say(&mut self, text: &str) -> String {
        self.sent.push_str(text);
        self.push(text)
    }

    fn push(&mut self, text: &str) -> String {
        match self.filter.push(text) {
            Filtered::Text(text) => text,
            Filtered::Stopped { text, .. } => {
                self.stopped = true;
                text
            }
        }
    }

    /// The end of the answer. A result that begins with what was sent goes on from there.
    fn end(&mut self, result: &str) -> Rest {
        let begun = result.strip_prefix(self.sent.as_str());
        if let Some(rest) = begun.or(result.is_empty().then_some("")) {
            return Rest::More(self.push_last(rest));
        }
        self.filter = StopFilter::new(self.stop.clone());
        Rest::Instead(self.push_last(result))
    }

    fn push_last(&mut self, text: &str) -> String {
        let shown = self.push(text);
        if self.stopped { shown } else { shown + &self.filter.finish() }
    }
}

impl Outlet {
    pub(super) fn new(
        sender: mpsc::Sender<AgentEvent>,
        signals: Signals,
        stop: Vec<String>,
    ) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { voice: Voice::new(stop), sender, signals }))
    }

    /// Sends text; waits while the client has not read what was sent before. After a stop string the answer is whole,
    /// with `finish` as its counts.
    pub(super) fn emit(&mut self, text: &str, finish: Finish) -> Result<(), InferenceFailure> {
        if self.signals.over.is_cancelled() {
            return Err(InferenceFailure::Cancelled);
        }
        let shown = self.voice.say(text);
        if !shown.is_empty() {
            self.send(AgentEvent::Text(shown))?;
        }
        if !self.voice.stopped {
            return Ok(());
        }
        self.send(AgentEvent::Ended(Finish { reason: FinishReason::Stop, ..finish }))?;
        self.signals.gone.cancel();
        Err(InferenceFailure::Cancelled)
    }

    /// Says the last word, if there is one left to say.
    pub(super) fn end(&mut self, ending: Ending, finish: Finish) {
        let stopped = self.voice.stopped;
        let said = match ending {
            _ if stopped => Ok(()),
            Ending::Refused(reject) => self.send_last(AgentEvent::Refused(reject)),
            Ending::Broken(breach) => self.send_last(AgentEvent::Broken(breach)),
            Ending::Result(result) => self.end_with(&result, finish),
        };
        if said.is_err() {
            tracing::debug!("nobody listened to an agent's last word");
        }
    }

    fn end_with(&mut self, result: &str, finish: Finish) -> Result<(), InferenceFailure> {
        match self.voice.end(result) {
            Rest::More(text) if text.is_empty() => {}
            Rest::More(text) => self.send_last(AgentEvent::Text(text))?,
            Rest::Instead(text) => self.send_last(AgentEvent::Instead(text))?,
        }
        let reason = if self.voice.stopped { FinishReason::Stop } else { finish.reason };
        self.send_last(AgentEvent::Ended(Finish { reason, ..finish }))
    }

    /// Sends while the run may last.
    fn send(&self, event: AgentEvent) -> Result<(), InferenceFailure> {
        let sending = async {
            tokio::select! {
                biased;
                () = self.signals.over.cancelled() => Err(InferenceFailure::Cancelled),
                sent = self.sender.send(event) => sent.map_err(|_| InferenceFailure::Cancelled),
            }
        };
        block_on(sending)
    }

    /// Sends while somebody listens: also the word that the time of the run is over.
    fn send_last(&self, event: AgentEvent) -> Result<(), InferenceFailure> {
        let sending = async {
            tokio::select! {
                biased;
                () = self.signals.gone.cancelled() => Err(InferenceFailure::Cancelled),
                sent = self.sender.send(event) => sent.map_err(|_| InferenceFailure::Cancelled),
            }
        };
        block_on(sending)
    }
}

/// Text is whole between any two statements that could panic.
pub(super) fn lock(outlet: &Mutex<Outlet>) -> MutexGuard<'_, Outlet> {
    outlet.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(stop: &[&str]) -> Voice {
        Voice::new(stop.iter().map(|&stop| stop.to_owned()).collect())
    }

    fn more(text: &str) -> Rest {
        Rest::More(text.to_owned())
    }

    #[test]
    fn a_result_goes_on_from_what_was_sent_or_stands_for_it() {
        let cases = [
            ("", "whole", more("whole")),
            ("be", "begun", more("gun")),
            ("all", "all", more("")),
            ("all", "", more("")),
            ("one", "other", Rest::Instead("other".to_owned())),
        ];
        for (sent, result, wanted) in cases {
            let mut voice = voice(&[]);
            assert_eq!(voice.say(sent), sent);
            assert_eq!(voice.end(result), wanted, "{sent:?} then {result:?}");
        }
    }

    #[test]
    fn the_clients_stop_strings_end_the_answer_wherever_they_fall() {
        let mut across = voice(&["END"]);
        assert_eq!(across.say("text E"), "text ");
        assert!(!across.stopped);
        assert_eq!(across.say("ND more"), "");
        assert!(across.stopped);

        let mut last = voice(&["END"]);
        assert_eq!(last.say("text EN"), "text ");
        assert_eq!(last.end(""), more("EN"), "no stop string after all");

        let mut result = voice(&["END"]);
        assert_eq!(result.say("a E"), "a ");
        assert_eq!(result.end("a END b"), more(""));
        assert!(result.stopped);

        let mut other = voice(&["END"]);
        assert_eq!(other.say("a"), "a");
        assert_eq!(other.end("b END c"), Rest::Instead("b ".to_owned()));
    }
}
