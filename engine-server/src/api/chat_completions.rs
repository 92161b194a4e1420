//! `POST /v1/chat/completions`.

use axum::{Extension, body::Body, extract::State, http::HeaderMap, response::Response};

use crate::{
    api::{
        body::read_json,
        chat_request::ChatRequest,
        context::RequestContext,
        error::ApiError,
        flow,
        generation::Delivery,
        openai::{
            ChatChoice, ChatChunkChoice, ChatDelta, ChatLogprobs, ChatMessage, Document, Head,
            Usage, finish_reason,
        },
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
    let request = ChatRequest::parse(fields, flow::random_seed()?)?;
    flow::check_model(&state, &request.model)?;
    let (object, usage_field) = match request.generation.delivery {
        Delivery::Whole => ("chat.completion", false),
        Delivery::Stream { include_usage } => ("chat.completion.chunk", include_usage),
    };
    let head = flow::head(&state, loaded, "chatcmpl", object);
    let wire = ChatWire { head, logprobs: request.top_logprobs.is_some(), usage_field };
    let order = Order {
        field: "messages",
        source: PromptSource::Chat(request.messages),
        generation: request.generation,
        top_logprobs: request.top_logprobs,
        structure: request.structure,
    };
    flow::answer(&state, context, order, wire).await
}

struct ChatWire {
    head: Head,
    logprobs: bool,
    /// Whether every event has the field `usage`.
    usage_field: bool,
}

impl ChatWire {
    fn logprobs(&self, tokens: &[TokenLogprob]) -> Option<ChatLogprobs> {
        self.logprobs.then(|| ChatLogprobs::new(tokens))
    }

    fn chunk(&self, choice: ChatChunkChoice) -> serde_json::Result<String> {
        let usage = self.usage_field.then_some(None);
        serde_json::to_string(&Document { head: &self.head, choices: vec![choice], usage })
    }
}

impl Wire for ChatWire {
    fn opening(&self, index: usize) -> Option<serde_json::Result<String>> {
        let delta = ChatDelta { role: Some("assistant"), content: Some(String::new()) };
        Some(self.chunk(ChatChunkChoice { index, delta, logprobs: None, finish_reason: None }))
    }

    fn output(&self, index: usize, output: &Output) -> serde_json::Result<String> {
        let delta = ChatDelta { role: None, content: Some(output.text.clone()) };
        let logprobs = self.logprobs(&output.logprobs);
        self.chunk(ChatChunkChoice { index, delta, logprobs, finish_reason: None })
    }

    fn finish(&self, index: usize, reason: FinishReason) -> serde_json::Result<String> {
        let finish_reason = Some(finish_reason(reason));
        self.chunk(ChatChunkChoice {
            index,
            delta: ChatDelta::default(),
            logprobs: None,
            finish_reason,
        })
    }

    fn usage(&self, usage: Usage) -> serde_json::Result<String> {
        let choices = Vec::<ChatChunkChoice>::new();
        serde_json::to_string(&Document { head: &self.head, choices, usage: Some(Some(usage)) })
    }

    fn whole(&self, answers: &[WholeAnswer], usage: Usage) -> serde_json::Result<String> {
        let choice = |(index, answer): (usize, &WholeAnswer)| ChatChoice {
            index,
            message: ChatMessage { role: "assistant", content: answer.text.clone(), refusal: None },
            logprobs: self.logprobs(&answer.logprobs),
            finish_reason: finish_reason(answer.reason),
        };
        let choices = answers.iter().enumerate().map(choice).collect();
        serde_json::to_string(&Document { head: &self.head, choices, usage: Some(Some(usage)) })
    }
}
