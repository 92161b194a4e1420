//! `POST /v1/responses`.

use axum::{Extension, body::Body, extract::State, http::HeaderMap, response::Response};
use serde_json::{Map, Value, json};

use crate::{
    api::{
        body::read_json,
        completion_request::Extras,
        context::RequestContext,
        error::ApiError,
        flow,
        openai::{Head, Usage},
        prepare::{Order, PromptSource},
        response_document::{
            Fixed, ResponseDocument, ResponseEvent, ended, message, part, text_form, usage,
        },
        response_request::ResponseRequest,
        wire::{WholeAnswer, Wire},
    },
    scheduler::event::{FinishReason, Output},
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
    let request = ResponseRequest::parse(fields, flow::random_seed()?)?;
    flow::check_model(&state, &request.model)?;
    let head = flow::head(&state, loaded, "resp", "response");
    let wire = ResponseWire::new(head, &request);
    let order = Order {
        field: "input",
        source: PromptSource::Chat { turns: request.turns, tools: None },
        generation: request.generation,
        top_logprobs: None,
        structure: request.structure,
        extras: Extras::default(),
    };
    flow::answer(&state, context, order, wire).await
}

struct ResponseWire {
    /// As it is before the answer.
    document: ResponseDocument,
    /// Identity of the answer's message.
    message_id: String,
    /// Events so far.
    events: usize,
    /// The text so far.
    text: String,
    reason: FinishReason,
}

impl ResponseWire {
    fn new(head: Head, request: &ResponseRequest) -> Self {
        let sampling = &request.generation.sampling;
        let document = ResponseDocument {
            id: head.id,
            object: head.object,
            created_at: head.created,
            status: "in_progress",
            error: None,
            incomplete_details: None,
            instructions: request.told.instructions.clone(),
            max_output_tokens: request.generation.max_tokens,
            model: head.model,
            output: Vec::new(),
            usage: None,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            text: text_form(&request.told),
            metadata: request.told.metadata.clone(),
            fixed: Fixed::default(),
        };
        let message_id = format!("msg-{}", uuid::Uuid::now_v7().simple());
        Self { document, message_id, events: 0, text: String::new(), reason: FinishReason::Stop }
    }

    /// The response with its whole answer.
    fn finished(&self, text: &str, reason: FinishReason, counts: Usage) -> ResponseDocument {
        let (status, incomplete_details) = ended(reason);
        ResponseDocument {
            status,
            incomplete_details,
            output: vec![message(&self.message_id, status, Some(text))],
            usage: Some(usage(counts)),
            ..self.document.clone()
        }
    }

    fn event(&mut self, kind: &'static str, body: Value) -> serde_json::Result<String> {
        let sequence_number = self.events;
        self.events += 1;
        write(kind, sequence_number, body)
    }

    /// An event about the message's only part.
    fn of_part(&mut self, kind: &'static str, more: Value) -> serde_json::Result<String> {
        let mut body = json!({"item_id": self.message_id, "output_index": 0, "content_index": 0});
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        self.event(kind, body)
    }
}

fn write(kind: &'static str, sequence_number: usize, body: Value) -> serde_json::Result<String> {
    let body = match body {
        Value::Object(body) => body,
        _ => Map::new(),
    };
    serde_json::to_string(&ResponseEvent { kind, sequence_number, body: &body })
}

impl Wire for ResponseWire {
    fn says_done(&self) -> bool {
        false
    }

    /// Each event begins with its kind; an error has none.
    fn kind<'e>(&self, event: &'e str) -> Option<&'e str> {
        event.strip_prefix("{\"type\":\"")?.split('"').next()
    }

    fn opening(&mut self, _index: usize) -> serde_json::Result<Vec<String>> {
        let response = serde_json::to_value(&self.document)?;
        let item = message(&self.message_id, "in_progress", None);
        Ok(vec![
            self.event("response.created", json!({"response": response}))?,
            self.event("response.in_progress", json!({"response": response}))?,
            self.event("response.output_item.added", json!({"output_index": 0, "item": item}))?,
            self.of_part("response.content_part.added", json!({"part": part("")}))?,
        ])
    }

    fn output(&mut self, _index: usize, output: &Output) -> serde_json::Result<Vec<String>> {
        self.text.push_str(&output.text);
        let body = json!({"delta": output.text, "logprobs": []});
        Ok(vec![self.of_part("response.output_text.delta", body)?])
    }

    fn finish(&mut self, _index: usize, reason: FinishReason) -> serde_json::Result<Vec<String>> {
        self.reason = reason;
        let text = std::mem::take(&mut self.text);
        let item = message(&self.message_id, ended(reason).0, Some(&text));
        let done = json!({"text": text, "logprobs": []});
        let events = vec![
            self.of_part("response.output_text.done", done)?,
            self.of_part("response.content_part.done", json!({"part": part(&text)}))?,
            self.event("response.output_item.done", json!({"output_index": 0, "item": item}))?,
        ];
        self.text = text;
        Ok(events)
    }

    fn usage(&self, usage: Usage) -> serde_json::Result<String> {
        let response = serde_json::to_value(self.finished(&self.text, self.reason, usage))?;
        let complete = ended(self.reason).1.is_none();
        let kind = if complete { "response.completed" } else { "response.incomplete" };
        write(kind, self.events, json!({"response": response}))
    }

    fn whole(&self, answers: &[WholeAnswer], usage: Usage) -> serde_json::Result<String> {
        let (text, reason) = match answers.first() {
            Some(answer) => (answer.text.as_str(), answer.reason),
            None => ("", FinishReason::Stop),
        };
        serde_json::to_string(&self.finished(text, reason, usage))
    }
}
