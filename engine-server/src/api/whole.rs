//! Answers as one document.

use axum::{
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};

use crate::{
    api::{
        answers::{Answer, Answers},
        error::ApiError,
        wire::{WholeAnswer, Wire},
    },
    scheduler::event::FinishReason,
};

/// Waits for all answers and writes them.
pub(super) async fn respond(
    wire: impl Wire,
    mut answers: Answers,
    prompt_tokens: usize,
) -> Result<Response, ApiError> {
    let empty = WholeAnswer {
        text: String::new(),
        scored: Vec::new(),
        logprobs: Vec::new(),
        reason: FinishReason::Stop,
    };
    let mut whole = vec![empty; answers.count()];
    while let Some(next) = answers.next().await {
        match next? {
            (index, Answer::Output(output)) => {
                whole[index].text.push_str(&output.text);
                whole[index].logprobs.extend(output.logprobs);
            }
            (index, Answer::Scored(scored)) => whole[index].scored = scored,
            (index, Answer::Replaced(text)) => whole[index].text = text,
            (index, Answer::Finished(finish)) => whole[index].reason = finish.reason,
        }
    }
    let usage = answers.usage(prompt_tokens);
    let json = wire.whole(&whole, usage).map_err(|error| {
        tracing::error!(%error, "an answer cannot be written as JSON");
        ApiError::internal("the answer cannot be written as JSON")
    })?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}
