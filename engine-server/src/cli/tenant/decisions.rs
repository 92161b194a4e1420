//! What a hook decided, as JSON for scripts and in a line for people.

use realm_sandbox::{
    answer::{Action, Decision},
    plan::{Plan, Reject},
    wire::{Constraint, Finish, Prompt},
};
use serde_json::{Map, Value, json};

/// Characters of a value in a line.
const SHOWN_CHARS: usize = 160;

/// What `on-request` decided; what a plan leaves as it is is left out.
pub(super) fn of_request(verdict: &Result<Plan, Reject>) -> Value {
    let plan = match verdict {
        Ok(plan) => plan,
        Err(reject) => return refusal(reject),
    };
    let sampling = &plan.sampling;
    let subscribed =
        [(plan.tokens, "tokens"), (plan.logits, "logits"), (plan.response, "response")];
    let subscribed: Vec<_> =
        subscribed.into_iter().filter_map(|(calls, name)| calls.then_some(name)).collect();
    let fields = [
        ("prompt", plan.prompt.as_ref().map(prompt)),
        ("route", plan.route.as_ref().map(|route| json!(route))),
        ("temperature", sampling.temperature.map(|value| json!(value))),
        ("topP", sampling.top_p.map(|value| json!(value))),
        ("topK", sampling.top_k.map(|value| json!(value))),
        ("minP", sampling.min_p.map(|value| json!(value))),
        ("maxTokens", plan.max_tokens.map(|value| json!(value))),
        ("stop", (!plan.stop.is_empty()).then(|| json!(plan.stop))),
        ("biasedTokens", (!plan.bias.is_empty()).then(|| json!(plan.bias.len()))),
        ("constraint", plan.constraint.as_ref().map(constraint)),
        ("redactsAs", plan.redact.as_ref().map(|redact| json!(redact.text))),
        ("wakes", plan.wake.is_some().then(|| json!(true))),
        ("subscribes", (!subscribed.is_empty()).then(|| json!(subscribed))),
        ("every", (plan.every > 0).then(|| json!(plan.every))),
    ];
    let mut object = Map::from_iter([("does".to_owned(), json!("plan"))]);
    let set = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    object.extend(set);
    Value::Object(object)
}

/// What `on-tokens` decided.
pub(super) fn of_tokens(action: &Action) -> Value {
    match action {
        Action::Pass => json!({ "does": "pass" }),
        Action::Replace(text) => json!({ "does": "replace", "text": text }),
        Action::Hold => json!({ "does": "hold" }),
        Action::Inject(tokens) => json!({ "does": "inject", "tokens": tokens }),
        Action::Rewind(count) => json!({ "does": "rewind", "count": count }),
        Action::Stop(why) => json!({ "does": "stop", "why": finish(*why) }),
    }
}

/// What `on-logits` decided.
pub(super) fn of_logits(decision: &Decision) -> Value {
    match decision {
        Decision::Pass => json!({ "does": "pass" }),
        Decision::Pick(index) => json!({ "does": "pick", "candidate": index }),
        Decision::Keep(flags) => {
            json!({ "does": "keep", "candidates": flags.iter().filter(|flag| **flag).count() })
        }
        Decision::Adjust(logits) => json!({ "does": "adjust", "logits": logits.len() }),
        Decision::Force(tokens) => json!({ "does": "force", "tokens": tokens }),
        Decision::Stop(why) => json!({ "does": "stop", "why": finish(*why) }),
    }
}

/// What `on-response` decided.
pub(super) fn of_response(verdict: &Result<Option<String>, Reject>) -> Value {
    match verdict {
        Ok(None) => json!({ "does": "pass" }),
        Ok(Some(text)) => json!({ "does": "replace", "text": text }),
        Err(reject) => refusal(reject),
    }
}

/// Why an answer ended, in the interface's words.
pub(super) fn finish(why: Finish) -> &'static str {
    match why {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Filtered => "filtered",
    }
}

/// A decision in a line.
pub(super) fn line(decision: &Value) -> String {
    let Value::Object(fields) = decision else { return decision.to_string() };
    let does = fields.get("does").and_then(Value::as_str).unwrap_or_default();
    fields
        .iter()
        .filter(|(name, _)| *name != "does")
        .fold(does.to_owned(), |line, (name, value)| {
            format!("{line}, {name} {}", shortened(&value.to_string()))
        })
}

/// A text cut to what a line holds.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn refusal(reject: &Reject) -> Value {
    let Reject { status, code, message } = reject;
    json!({ "does": "reject", "status": status, "code": code, "message": message })
}

fn prompt(prompt: &Prompt) -> Value {
    match prompt {
        Prompt::Text(text) => json!({ "text": text }),
        Prompt::Tokens(tokens) => json!({ "tokens": tokens.len() }),
        Prompt::Chat(messages) => messages
            .iter()
            .map(|message| json!({ "role": message.role, "content": message.content }))
            .collect(),
    }
}

fn constraint(constraint: &Constraint) -> Value {
    match constraint {
        Constraint::JsonSchema(text) => json!({ "jsonSchema": text }),
        Constraint::Regex(text) => json!({ "regex": text }),
        Constraint::Lark(text) => json!({ "lark": text }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_told_by_what_it_changes() {
        let nothing = of_request(&Ok(Plan::default()));
        assert_eq!(line(&nothing), "plan");
        let plan = Plan { max_tokens: Some(5), tokens: true, every: 2, ..Plan::default() };
        let told = line(&of_request(&Ok(plan)));
        for part in ["plan, ", ", maxTokens 5", ", every 2", ", subscribes [\"tokens\"]"] {
            assert!(told.contains(part), "{told}");
        }
        let reject = Reject { status: 403, code: "no".to_owned(), message: "Not so.".to_owned() };
        assert_eq!(of_request(&Err(reject))["status"], 403);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let text = line(&of_tokens(&Action::Replace("é".repeat(500))));
        assert!(text.ends_with("...") && text.chars().count() < 200, "{text}");
    }
}
