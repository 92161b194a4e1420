//! A plan as the host can execute it: parsed from what the guest returned, every list and value within its bounds.

use std::sync::Arc;

use crate::{
    native::{Patterns, PatternsError, Redact},
    wire::{Constraint, Hooks, Message, Prompt, RawPlan, RawReject, Sampling, Trigger},
};

/// Stop strings of a plan.
pub const MAX_STOPS: usize = 16;
/// Bytes of a stop string.
pub const MAX_STOP_BYTES: usize = 1024;
/// Biased tokens of a plan.
pub const MAX_BIASES: usize = 1024;
/// Largest bias, either way.
pub const MAX_BIAS: f32 = 100.0;
/// Redact triggers, and wake triggers, of a plan.
pub const MAX_TRIGGERS: usize = 64;
/// Bytes of a text that stands for a match.
pub const MAX_REDACTION_BYTES: usize = 256;
/// Bytes of a constraint.
pub const MAX_CONSTRAINT_BYTES: usize = 256 << 10;
/// Messages of a conversation.
pub const MAX_MESSAGES: usize = 1024;
/// Bytes of a name: a route, a role, a code.
pub const MAX_NAME_BYTES: usize = 256;
/// Bytes of a message to the client.
pub const MAX_MESSAGE_BYTES: usize = 4096;
/// Candidates that `on-logits` may see.
pub const MAX_TOP: u32 = 1024;
/// Candidates that `on-logits` sees when the plan does not say.
pub const DEFAULT_TOP: u32 = 64;
/// Largest temperature.
const MAX_TEMPERATURE: f32 = 2.0;
/// What stands for a match when the plan does not say.
const DEFAULT_REDACTION: &str = "[redacted]";

/// What the host does with a request.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The prompt instead of the client's.
    pub prompt: Option<Prompt>,
    /// Another model that is served to the tenant; the host checks that it is.
    pub route: Option<String>,
    /// How tokens are chosen, where it differs from what the client asked for.
    pub sampling: Sampling,
    /// Tokens of the answer, at most.
    pub max_tokens: Option<u32>,
    /// Strings that end the answer, beside the client's.
    pub stop: Vec<String>,
    /// Added to logits.
    pub bias: Vec<(u32, f32)>,
    /// Form of the answer.
    pub constraint: Option<Constraint>,
    /// What is replaced in the answer.
    pub redact: Option<Redact>,
    /// What calls `on-tokens`.
    pub wake: Option<Arc<Patterns>>,
    /// When `on-tokens` is called.
    pub every: u32,
    /// Candidates that `on-logits` sees.
    pub top: u32,
    /// Whether `on-tokens` is called.
    pub tokens: bool,
    /// Whether `on-logits` is called.
    pub logits: bool,
    /// Whether `on-response` is called.
    pub response: bool,
}

/// The program refuses the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// HTTP status, 400 to 499.
    pub status: u16,
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
}

/// Why a plan cannot be executed, as a sentence about the field.
pub(crate) type Fault = String;

impl Plan {
    /// Parses what a guest returned; tokens lie below `vocabulary`.
    pub(crate) fn parse(raw: RawPlan, vocabulary: u32) -> Result<Self, Fault> {
        check_prompt(raw.prompt.as_ref(), vocabulary)?;
        check_sampling(&raw.sampling)?;
        check_stops(&raw.stop)?;
        check_biases(&raw.bias, vocabulary)?;
        check_constraint(raw.constraint.as_ref())?;
        if let Some(route) = &raw.route {
            check_name("route", route)?;
        }
        if raw.max_tokens == Some(0) {
            return Err("max-tokens is 0, and an answer has at least one token".to_owned());
        }
        if raw.top > MAX_TOP {
            return Err(format!("top is {}, and {MAX_TOP} candidates can be seen", raw.top));
        }
        let redact = redact(&raw.redact, raw.redaction)?;
        Ok(Self {
            prompt: raw.prompt,
            route: raw.route,
            sampling: raw.sampling,
            max_tokens: raw.max_tokens,
            stop: raw.stop,
            bias: raw.bias,
            constraint: raw.constraint,
            redact,
            wake: patterns("wake", &raw.wake)?,
            every: raw.every,
            top: if raw.top == 0 { DEFAULT_TOP } else { raw.top },
            tokens: raw.subscribe.contains(Hooks::TOKENS),
            logits: raw.subscribe.contains(Hooks::LOGITS),
            response: raw.subscribe.contains(Hooks::RESPONSE),
        })
    }

    /// Whether nothing of the program is needed after `on-request`.
    pub fn is_native(&self) -> bool {
        !self.tokens && !self.logits && !self.response
    }
}

impl Reject {
    /// Parses what a guest returned.
    pub(crate) fn parse(raw: RawReject) -> Result<Self, Fault> {
        if !(400..500).contains(&raw.status) {
            return Err(format!("reject.status is {}; it may be 400 to 499", raw.status));
        }
        check_name("reject.code", &raw.code)?;
        if raw.message.len() > MAX_MESSAGE_BYTES {
            let bytes = raw.message.len();
            return Err(format!(
                "reject.message has {bytes} bytes; it may have {MAX_MESSAGE_BYTES}"
            ));
        }
        Ok(Self { status: raw.status, code: raw.code, message: raw.message })
    }
}

/// Refuses tokens that the model does not have.
pub(crate) fn check_tokens(field: &str, tokens: &[u32], vocabulary: u32) -> Result<(), Fault> {
    match tokens.iter().find(|token| **token >= vocabulary) {
        Some(token) => {
            Err(format!("{field} has the token {token}; the model has {vocabulary} tokens"))
        }
        None => Ok(()),
    }
}

fn check_prompt(prompt: Option<&Prompt>, vocabulary: u32) -> Result<(), Fault> {
    match prompt {
        None | Some(Prompt::Text(_)) => Ok(()),
        Some(Prompt::Tokens(tokens)) if tokens.is_empty() => {
            Err("prompt has no token; the model needs one to go on from".to_owned())
        }
        Some(Prompt::Tokens(tokens)) => check_tokens("prompt", tokens, vocabulary),
        Some(Prompt::Chat(messages)) => check_messages(messages),
    }
}

/// Refuses a conversation that is too long, or whose roles are no names.
pub(crate) fn check_messages(messages: &[Message]) -> Result<(), Fault> {
    check_count("prompt", messages.len(), MAX_MESSAGES)?;
    messages.iter().try_for_each(|message| check_name("role", &message.role))
}

/// Refuses what an agent may not ask of a span.
pub(crate) fn check_span(
    sampling: &Sampling,
    constraint: Option<&Constraint>,
    stop: &[String],
) -> Result<(), Fault> {
    check_sampling(sampling)?;
    check_constraint(constraint)?;
    check_stops(stop)
}

fn check_sampling(sampling: &Sampling) -> Result<(), Fault> {
    check_range("temperature", sampling.temperature, MAX_TEMPERATURE)?;
    check_range("top-p", sampling.top_p, 1.0)?;
    check_range("min-p", sampling.min_p, 1.0)
}

fn check_range(field: &str, value: Option<f32>, most: f32) -> Result<(), Fault> {
    match value {
        Some(value) if !(0.0..=most).contains(&value) => {
            Err(format!("sampling.{field} is {value}; it may be 0 to {most}"))
        }
        _ => Ok(()),
    }
}

fn check_stops(stops: &[String]) -> Result<(), Fault> {
    check_count("stop", stops.len(), MAX_STOPS)?;
    match stops.iter().find(|stop| stop.is_empty() || stop.len() > MAX_STOP_BYTES) {
        Some(stop) => Err(format!(
            "stop has a string of {} bytes; each has 1 to {MAX_STOP_BYTES}",
            stop.len()
        )),
        None => Ok(()),
    }
}

fn check_biases(biases: &[(u32, f32)], vocabulary: u32) -> Result<(), Fault> {
    check_count("bias", biases.len(), MAX_BIASES)?;
    for (token, bias) in biases {
        check_tokens("bias", &[*token], vocabulary)?;
        // Not a number fails here, too.
        if !(-MAX_BIAS..=MAX_BIAS).contains(bias) {
            return Err(format!(
                "bias of token {token} is {bias}; it may be -{MAX_BIAS} to {MAX_BIAS}"
            ));
        }
    }
    Ok(())
}

fn check_constraint(constraint: Option<&Constraint>) -> Result<(), Fault> {
    let Some(Constraint::JsonSchema(text) | Constraint::Regex(text) | Constraint::Lark(text)) =
        constraint
    else {
        return Ok(());
    };
    check_bytes("constraint", text.len(), MAX_CONSTRAINT_BYTES)
}

fn check_count(field: &str, count: usize, most: usize) -> Result<(), Fault> {
    if count > most {
        return Err(format!("{field} has {count} entries; it may have {most}"));
    }
    Ok(())
}

fn check_bytes(field: &str, bytes: usize, most: usize) -> Result<(), Fault> {
    if bytes > most {
        return Err(format!("{field} has {bytes} bytes; it may have {most}"));
    }
    Ok(())
}

fn check_name(field: &str, name: &str) -> Result<(), Fault> {
    check_bytes(field, name.len(), MAX_NAME_BYTES)
}

fn redact(triggers: &[Trigger], text: String) -> Result<Option<Redact>, Fault> {
    check_bytes("redaction", text.len(), MAX_REDACTION_BYTES)?;
    let text = if text.is_empty() { DEFAULT_REDACTION.to_owned() } else { text };
    Ok(patterns("redact", triggers)?.map(|patterns| Redact { patterns, text }))
}

fn patterns(field: &str, triggers: &[Trigger]) -> Result<Option<Arc<Patterns>>, Fault> {
    check_count(field, triggers.len(), MAX_TRIGGERS)?;
    if triggers.is_empty() {
        return Ok(None);
    }
    let compiled =
        Patterns::new(triggers.iter().map(|trigger| (trigger.pattern.as_str(), trigger.is_regex)));
    match compiled {
        Ok(patterns) => Ok(Some(Arc::new(patterns))),
        Err(PatternsError(reason)) => Err(format!("{field}: {reason}")),
    }
}
