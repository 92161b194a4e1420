//! Answers as server-sent events, in OpenAI's order: for each answer an opening, pieces and a finish; then token counts
//! when asked for; then `[DONE]`. An error is an event of its own, after which the stream ends without `[DONE]`.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    http::HeaderName,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream;

use crate::api::{
    answers::{Answer, Answers, Broken},
    context::RequestContext,
    error::ApiError,
    wire::Wire,
};

const DONE: &str = "[DONE]";

/// How the events are sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamOptions {
    /// Whether token counts come before the end.
    pub include_usage: bool,
    /// Tokens of all prompts.
    pub prompt_tokens: usize,
    /// Pause after which a comment keeps the stream open.
    pub keep_alive: Duration,
}

/// Sends the answers as they come.
pub(super) fn respond(
    mut wire: impl Wire,
    answers: Answers,
    options: StreamOptions,
    context: RequestContext,
) -> Response {
    let pending =
        (0..answers.count()).map(|index| wire.opening(index)).collect::<Result<Vec<_>, _>>();
    let events =
        EventStream { wire, answers, options, context, pending: VecDeque::new(), ended: false };
    let events = match pending {
        Ok(pending) => EventStream { pending: pending.into_iter().flatten().collect(), ..events },
        Err(error) => events.broken(&error),
    };
    let events = stream::unfold(events, |mut events| async move {
        let data = events.next().await?;
        let event = match events.wire.kind(&data) {
            Some(kind) => Event::default().event(kind),
            None => Event::default(),
        };
        Some((Ok::<_, Infallible>(event.data(data)), events))
    });
    let keep_alive = KeepAlive::new().interval(options.keep_alive);
    // Proxies such as nginx would otherwise hold the events back.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    (unbuffered, Sse::new(events).keep_alive(keep_alive)).into_response()
}

struct EventStream<W> {
    wire: W,
    answers: Answers,
    options: StreamOptions,
    context: RequestContext,
    /// Events that are ready to go.
    pending: VecDeque<String>,
    /// Nothing comes after what is pending.
    ended: bool,
}

impl<W: Wire> EventStream<W> {
    async fn next(&mut self) -> Option<String> {
        while self.pending.is_empty() && !self.ended {
            let happened = self.answers.next().await;
            if let Err(error) = self.take(happened) {
                self.fail(&cannot_write(&error));
            }
        }
        self.pending.pop_front()
    }

    fn take(
        &mut self,
        happened: Option<Result<(usize, Answer), Broken>>,
    ) -> serde_json::Result<()> {
        match happened {
            // The tokens at the end of an answer may have no text of their own.
            Some(Ok((_, Answer::Output(output))))
                if output.text.is_empty() && output.logprobs.is_empty() => {}
            Some(Ok((index, Answer::Scored(scored)))) => {
                self.pending.extend(self.wire.scored(index, &scored)?);
            }
            Some(Ok((index, Answer::Output(output)))) => {
                self.pending.extend(self.wire.output(index, &output)?);
            }
            // What was sent is sent.
            Some(Ok((_, Answer::Replaced(_)))) => {}
            Some(Ok((index, Answer::Finished(finish)))) => {
                self.pending.extend(self.wire.finish(index, finish.reason)?);
            }
            Some(Err(broken)) => self.fail(&ApiError::from(broken)),
            None => self.end()?,
        }
        Ok(())
    }

    fn end(&mut self) -> serde_json::Result<()> {
        if self.options.include_usage {
            let usage = self.answers.usage(self.options.prompt_tokens);
            self.pending.push_back(self.wire.usage(usage)?);
        }
        if self.wire.says_done() {
            self.pending.push_back(DONE.to_owned());
        }
        self.ended = true;
        Ok(())
    }

    fn fail(&mut self, error: &ApiError) {
        self.context.set_outcome(error.status());
        self.ended = true;
        match serde_json::to_string(&error.document()) {
            Ok(document) => self.pending.push_back(document),
            Err(error) => tracing::error!(%error, "an error cannot be written as JSON"),
        }
    }

    fn broken(mut self, error: &serde_json::Error) -> Self {
        self.fail(&cannot_write(error));
        self
    }
}

fn cannot_write(error: &serde_json::Error) -> ApiError {
    tracing::error!(%error, "an event cannot be written as JSON");
    ApiError::internal("the answer cannot be written as JSON")
}
