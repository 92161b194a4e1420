//! One sequence of an agent, from the scheduler's line to its last token. The agent's thread waits here.

use futures::executor::block_on;
use realm_engine::engine::TokenId;
use realm_sandbox::wire::InferenceFailure;
use tokio_util::sync::CancellationToken;

use crate::scheduler::{
    EventReceiver,
    event::{Event, Failure, Finish, ScoredToken, SubmitError, TokenLogprob},
};

/// What a sequence has said.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) text: String,
    pub(super) tokens: Vec<TokenId>,
    pub(super) logprobs: Vec<TokenLogprob>,
    /// Probabilities of the prompt's tokens.
    pub(super) scored: Vec<ScoredToken>,
    pub(super) finish: Finish,
}

/// Listens until the sequence ends, or until nothing is to be waited for any more, which ends it. `spend` is told of
/// all tokens, also of those that nobody wants any more.
pub(super) fn listen(
    mut events: EventReceiver,
    over: &CancellationToken,
    mut spend: impl FnMut(usize),
) -> Result<Heard, InferenceFailure> {
    let (mut text, mut tokens, mut logprobs) = (String::new(), Vec::new(), Vec::new());
    let mut scored = Vec::new();
    loop {
        let next = block_on(async {
            tokio::select! {
                biased;
                () = over.cancelled() => None,
                event = events.recv() => Some(event),
            }
        });
        match next {
            None => {
                while let Ok(event) = events.try_recv() {
                    spend(tokens_of(&event));
                }
                return Err(InferenceFailure::Cancelled);
            }
            // The scheduler's thread is gone.
            Some(None) => return Err(InferenceFailure::Unavailable),
            Some(Some(Event::Failed(failure))) => return Err(failed(&failure)),
            Some(Some(Event::Finished(finish))) => {
                return Ok(Heard { text, tokens, logprobs, scored, finish });
            }
            Some(Some(Event::Scored(found))) => scored = found,
            Some(Some(Event::Output(output))) => {
                spend(output.tokens);
                text.push_str(&output.text);
                tokens.extend(output.ids);
                logprobs.extend(output.logprobs);
            }
        }
    }
}

fn tokens_of(event: &Event) -> usize {
    match event {
        Event::Output(output) => output.tokens,
        Event::Scored(_) | Event::Finished(_) | Event::Failed(_) => 0,
    }
}

fn failed(failure: &Failure) -> InferenceFailure {
    match failure {
        Failure::TooLarge { .. } => InferenceFailure::TooLong,
        Failure::Constraint(_) | Failure::Program(_) => InferenceFailure::Refused,
        Failure::Engine | Failure::Stopping => InferenceFailure::Unavailable,
    }
}

/// Why a sequence was not taken, in an agent's words.
pub(super) fn not_taken(error: &SubmitError) -> InferenceFailure {
    match error {
        SubmitError::Sampling(_) | SubmitError::EmptyPrompt => InferenceFailure::Refused,
        SubmitError::KvBudget { .. } => InferenceFailure::TooLong,
        SubmitError::Full(_) | SubmitError::Ended => InferenceFailure::Unavailable,
    }
}
