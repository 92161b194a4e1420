//! What values are when a program says nothing: the request stays as it is.

use crate::{Constraint, Finish, Hooks, Plan, Reject, Sampling, Trigger};

impl Default for Plan {
    fn default() -> Self {
        Self {
            prompt: None,
            route: None,
            sampling: Sampling::default(),
            max_tokens: None,
            stop: Vec::new(),
            bias: Vec::new(),
            constraint: None,
            redact: Vec::new(),
            redaction: String::new(),
            wake: Vec::new(),
            subscribe: Hooks::empty(),
            every: 0,
            top: 0,
        }
    }
}

#[allow(clippy::derivable_impls, reason = "the type is generated")]
impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: None, top_p: None, top_k: None, min_p: None }
    }
}

impl Trigger {
    /// A regular expression, without look-around.
    pub fn regex(pattern: impl Into<String>) -> Self {
        Self { pattern: pattern.into(), is_regex: true }
    }

    /// Plain text.
    pub fn text(pattern: impl Into<String>) -> Self {
        Self { pattern: pattern.into(), is_regex: false }
    }
}

impl Reject {
    /// A refusal: an HTTP status of 400 to 499, a short name for programs, a sentence for people.
    pub fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into() }
    }
}

impl Constraint {
    /// An answer that this JSON schema describes.
    pub fn json_schema(schema: impl Into<String>) -> Self {
        Self::JsonSchema(schema.into())
    }
}

impl Default for Finish {
    fn default() -> Self {
        Self::Stop
    }
}
