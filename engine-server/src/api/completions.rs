//! `POST /v1/completions`.

use axum::{Extension, body::Body, extract::State, http::HeaderMap, response::Response};

use crate::{
    api::{
        body::read_json,
        completion_request::CompletionRequest,
        context::RequestContext,
        error::ApiError,
        flow,
        generation::Delivery,
        openai::{CompletionChoice, CompletionLogprobs, Document, Head, Usage, finish_reason},
        prepare::{Order, PromptSource},
        wire::{WholeAnswer, Wire},
    },
    scheduler::event::{FinishReason, Output, TokenLogprob},
    state::AppState,
};

/// The handler.
pub(super) async fn handle(
    State(state): State<AppState>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    flow::enter(&state, &context, &headers)?;
    let loaded = flow::ready(&state)?;
    let fields = read_json(&headers, body, state.limits()).await?;
    let request = CompletionRequest::parse(fields, flow::random_seed()?)?;
    flow::check_model(&state, &request.model)?;
    let usage_field = request.generation.delivery == Delivery::Stream { include_usage: true };
    let head = flow::head(&state, loaded, "cmpl", "text_completion");
    let wire = CompletionWire { head, logprobs: request.top_logprobs.is_some(), usage_field };
    let order = Order {
        field: "prompt",
        source: PromptSource::Prompts(request.prompts),
        generation: request.generation,
        top_logprobs: request.top_logprobs,
        structure: request.structure,
    };
    flow::answer(&state, context, order, wire).await
}

struct CompletionWire {
    head: Head,
    logprobs: bool,
    /// Whether every event has the field `usage`.
    usage_field: bool,
}

impl CompletionWire {
    fn choice(
        &self,
        index: usize,
        text: &str,
        tokens: &[TokenLogprob],
        reason: Option<FinishReason>,
    ) -> CompletionChoice {
        CompletionChoice {
            index,
            text: text.to_owned(),
            logprobs: self.logprobs.then(|| CompletionLogprobs::new(tokens)),
            finish_reason: reason.map(finish_reason),
        }
    }

    fn chunk(&self, choice: CompletionChoice) -> serde_json::Result<String> {
        let usage = self.usage_field.then_some(None);
        serde_json::to_string(&Document { head: &self.head, choices: vec![choice], usage })
    }
}

impl Wire for CompletionWire {
    fn opening(&self, _index: usize) -> Option<serde_json::Result<String>> {
        None
    }

    fn output(&mut self, index: usize, output: &Output) -> serde_json::Result<Vec<String>> {
        Ok(vec![self.chunk(self.choice(index, &output.text, &output.logprobs, None))?])
    }

    fn finish(&mut self, index: usize, reason: FinishReason) -> serde_json::Result<Vec<String>> {
        Ok(vec![self.chunk(self.choice(index, "", &[], Some(reason)))?])
    }

    fn usage(&self, usage: Usage) -> serde_json::Result<String> {
        let choices = Vec::<CompletionChoice>::new();
        serde_json::to_string(&Document { head: &self.head, choices, usage: Some(Some(usage)) })
    }

    fn whole(&self, answers: &[WholeAnswer], usage: Usage) -> serde_json::Result<String> {
        let choice = |(index, answer): (usize, &WholeAnswer)| {
            self.choice(index, &answer.text, &answer.logprobs, Some(answer.reason))
        };
        let choices = answers.iter().enumerate().map(choice).collect();
        serde_json::to_string(&Document { head: &self.head, choices, usage: Some(Some(usage)) })
    }
}
