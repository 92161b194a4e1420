//! The documents of a chat: text, calls of tools, probabilities; whole or in pieces.

use crate::{
    api::{
        openai::{
            ChatChoice, ChatChunkChoice, ChatDelta, ChatLogprobs, ChatMessage, Document,
            FunctionCall, Head, ToolCall, ToolCallDelta, Usage, finish_reason,
        },
        tools::{Piece, ToolParser, ToolSyntax},
        wire::{WholeAnswer, Wire},
    },
    scheduler::event::{FinishReason, Output, TokenLogprob},
};

/// Always the kind of a tool.
const FUNCTION: &str = "function";

/// The documents of one chat.
pub(super) struct ChatWire {
    head: Head,
    logprobs: bool,
    /// Whether every event has the field `usage`.
    usage_field: bool,
    syntax: Option<ToolSyntax>,
    /// One for each answer that may call tools.
    streams: Vec<ToolStream>,
}

/// An answer on a stream that may call tools.
struct ToolStream {
    parser: ToolParser,
    /// Probabilities of what the parser has not decided yet.
    logprobs: Vec<TokenLogprob>,
}

impl ChatWire {
    /// `logprobs`: whether probabilities were asked for; `usage_field`: whether every event has the field `usage`.
    pub(super) fn new(head: Head, logprobs: bool, usage_field: bool) -> Self {
        Self { head, logprobs, usage_field, syntax: None, streams: Vec::new() }
    }

    fn logprobs(&self, tokens: &[TokenLogprob]) -> Option<ChatLogprobs> {
        self.logprobs.then(|| ChatLogprobs::new(tokens))
    }

    fn chunk(&self, choice: ChatChunkChoice) -> serde_json::Result<String> {
        let usage = self.usage_field.then_some(None);
        serde_json::to_string(&Document { head: &self.head, choices: vec![choice], usage })
    }

    /// The event of something new.
    fn event(
        &self,
        index: usize,
        delta: ChatDelta,
        tokens: &[TokenLogprob],
    ) -> serde_json::Result<String> {
        let logprobs = self.logprobs(tokens);
        self.chunk(ChatChunkChoice { index, delta, logprobs, finish_reason: None })
    }

    /// The events of what a parser has decided; the first of them carries the probabilities.
    fn events(&mut self, index: usize, pieces: Vec<Piece>) -> serde_json::Result<Vec<String>> {
        let Some(syntax) = self.syntax else { return Ok(Vec::new()) };
        let mut events = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let tokens =
                self.streams.get_mut(index).map(|stream| std::mem::take(&mut stream.logprobs));
            events.push(self.event(index, delta(piece, syntax), &tokens.unwrap_or_default())?);
        }
        Ok(events)
    }

    /// An answer as a message.
    fn message(&self, text: &str) -> (ChatMessage, bool) {
        let mut message =
            ChatMessage { role: "assistant", content: None, refusal: None, tool_calls: Vec::new() };
        let Some(syntax) = self.syntax else {
            return (ChatMessage { content: Some(text.to_owned()), ..message }, false);
        };
        let mut parser = ToolParser::new(syntax);
        let mut content = String::new();
        let pieces = parser.push(text);
        for piece in pieces.into_iter().chain(parser.finish()) {
            match piece {
                Piece::Text(text) => content.push_str(&text),
                Piece::Call { name, .. } => {
                    let function = FunctionCall { name: Some(name), arguments: String::new() };
                    let id = syntax.call_id();
                    message.tool_calls.push(ToolCall { id, kind: FUNCTION, function });
                }
                Piece::Arguments { json, .. } => {
                    if let Some(call) = message.tool_calls.last_mut() {
                        call.function.arguments.push_str(&json);
                    }
                }
            }
        }
        let calls = parser.has_calls();
        message.content = (!calls || !content.is_empty()).then_some(content);
        (message, calls)
    }
}

/// OpenAI's order of a call: its place, id, kind and name first, then pieces of arguments.
fn delta(piece: Piece, syntax: ToolSyntax) -> ChatDelta {
    let call = match piece {
        Piece::Text(text) => return ChatDelta { content: Some(text), ..ChatDelta::default() },
        Piece::Call { index, name } => ToolCallDelta {
            index,
            id: Some(syntax.call_id()),
            kind: Some(FUNCTION),
            function: FunctionCall { name: Some(name), arguments: String::new() },
        },
        Piece::Arguments { index, json } => ToolCallDelta {
            index,
            id: None,
            kind: None,
            function: FunctionCall { name: None, arguments: json },
        },
    };
    ChatDelta { tool_calls: vec![call], ..ChatDelta::default() }
}

/// An answer that ends by itself after a call has ended for the call.
fn reason(reason: FinishReason, calls: bool) -> &'static str {
    match reason {
        FinishReason::Stop if calls => "tool_calls",
        other => finish_reason(other),
    }
}

impl Wire for ChatWire {
    fn expect(&mut self, answers: usize, syntax: Option<ToolSyntax>) {
        self.syntax = syntax;
        let stream = |syntax| ToolStream { parser: ToolParser::new(syntax), logprobs: Vec::new() };
        self.streams = syntax
            .into_iter()
            .flat_map(|syntax| (0..answers).map(move |_| stream(syntax)))
            .collect();
    }

    fn opening(&mut self, index: usize) -> serde_json::Result<Vec<String>> {
        let delta = ChatDelta {
            role: Some("assistant"),
            content: Some(String::new()),
            tool_calls: Vec::new(),
        };
        let choice = ChatChunkChoice { index, delta, logprobs: None, finish_reason: None };
        Ok(vec![self.chunk(choice)?])
    }

    fn output(&mut self, index: usize, output: &Output) -> serde_json::Result<Vec<String>> {
        let Some(stream) = self.streams.get_mut(index) else {
            let delta = ChatDelta { content: Some(output.text.clone()), ..ChatDelta::default() };
            return Ok(vec![self.event(index, delta, &output.logprobs)?]);
        };
        stream.logprobs.extend(output.logprobs.iter().cloned());
        let pieces = stream.parser.push(&output.text);
        self.events(index, pieces)
    }

    fn finish(&mut self, index: usize, end: FinishReason) -> serde_json::Result<Vec<String>> {
        let rest = self.streams.get_mut(index).and_then(|stream| stream.parser.finish());
        let mut events = self.events(index, rest.into_iter().collect())?;
        let stream = self.streams.get_mut(index);
        let (calls, tokens) = stream.map_or((false, Vec::new()), |stream| {
            (stream.parser.has_calls(), std::mem::take(&mut stream.logprobs))
        });
        // Of what no event has carried, the marks around a call.
        let logprobs = if tokens.is_empty() { None } else { self.logprobs(&tokens) };
        events.push(self.chunk(ChatChunkChoice {
            index,
            delta: ChatDelta::default(),
            logprobs,
            finish_reason: Some(reason(end, calls)),
        })?);
        Ok(events)
    }

    fn usage(&self, usage: Usage) -> serde_json::Result<String> {
        let choices = Vec::<ChatChunkChoice>::new();
        serde_json::to_string(&Document { head: &self.head, choices, usage: Some(Some(usage)) })
    }

    fn whole(&self, answers: &[WholeAnswer], usage: Usage) -> serde_json::Result<String> {
        let choice = |(index, answer): (usize, &WholeAnswer)| {
            let (message, calls) = self.message(&answer.text);
            ChatChoice {
                index,
                message,
                logprobs: self.logprobs(&answer.logprobs),
                finish_reason: reason(answer.reason, calls),
            }
        };
        let choices = answers.iter().enumerate().map(choice).collect();
        serde_json::to_string(&Document { head: &self.head, choices, usage: Some(Some(usage)) })
    }
}
