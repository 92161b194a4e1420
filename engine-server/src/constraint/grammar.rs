//! What an answer may be, as a client says it, checked and bounded before anything is compiled.

use llguidance::{JsonCompileOptions, api::TopLevelGrammar};
use serde_json::Value;

use super::{
    error::GrammarError,
    schema::{self, SchemaRules},
};

/// Length of a Lark grammar, in bytes, at most.
pub const MAX_GRAMMAR_BYTES: usize = 64 << 10;
/// How deep brackets of a Lark grammar or a regular expression nest, at most.
pub const MAX_GRAMMAR_DEPTH: usize = 64;
/// Length of a regular expression, in bytes, at most.
pub const MAX_REGEX_BYTES: usize = 8 << 10;
/// Texts to choose from, at most.
pub const MAX_CHOICES: usize = 1000;
/// Bytes of all texts to choose from together, at most.
pub const MAX_CHOICE_BYTES: usize = 64 << 10;
/// Directives that a client's Lark grammar may not have, and why.
const REFUSED_DIRECTIVES: [(&str, &str); 2] = [
    ("%json", "a JSON schema inside a grammar is not supported; send it as `response_format`"),
    ("%lark", "a grammar inside a grammar is not supported; write it as rules"),
];

/// What an answer may be.
#[derive(Debug, Clone, PartialEq)]
pub struct Grammar {
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Json(Value),
    Regex(String),
    Lark(String),
}

impl Grammar {
    /// Any JSON object.
    pub fn json_object() -> Self {
        let schema = serde_json::json!({"type": "object"});
        Self { kind: Kind::Json(with_options(schema)) }
    }

    /// JSON that is valid for a schema.
    pub fn json_schema(schema: Value, rules: SchemaRules) -> Result<Self, GrammarError> {
        checked(schema, rules).map(|schema| Self { kind: Kind::Json(schema) })
    }

    /// A text that a regular expression matches as a whole.
    pub fn regex(expression: String) -> Result<Self, GrammarError> {
        check_length("regular expression", expression.len(), MAX_REGEX_BYTES)?;
        check_depth(&expression)?;
        Ok(Self { kind: Kind::Regex(expression) })
    }

    /// One of these texts.
    pub fn choice(texts: &[String]) -> Result<Self, GrammarError> {
        if texts.is_empty() || texts.len() > MAX_CHOICES {
            let reason = format!("it has {} texts; 1 to {MAX_CHOICES} are allowed", texts.len());
            return Err(GrammarError::invalid("", reason));
        }
        if let Some(index) = texts.iter().position(String::is_empty) {
            return Err(GrammarError::invalid(format!("[{index}]"), "the text is empty"));
        }
        let bytes = texts.iter().map(String::len).sum();
        check_length("choice", bytes, MAX_CHOICE_BYTES)?;
        let options: Vec<String> = texts.iter().map(|text| literal(text)).collect();
        Ok(Self { kind: Kind::Lark(format!("start: {}\n", options.join(" | "))) })
    }

    /// A text of a grammar in llguidance's variant of Lark; its first rule is `start`.
    pub fn lark(grammar: String) -> Result<Self, GrammarError> {
        check_length("grammar", grammar.len(), MAX_GRAMMAR_BYTES)?;
        for (directive, reason) in REFUSED_DIRECTIVES {
            if grammar.contains(directive) {
                return Err(GrammarError::unsupported("", format!("`{directive}`: {reason}")));
            }
        }
        check_depth(&grammar)?;
        Ok(Self { kind: Kind::Lark(grammar) })
    }

    /// A grammar of this server's own, whose parts have been checked.
    pub(crate) fn trusted(lark: String) -> Self {
        Self { kind: Kind::Lark(lark) }
    }

    pub(super) fn compiler_input(&self) -> TopLevelGrammar {
        match &self.kind {
            Kind::Json(schema) => TopLevelGrammar::from_json_schema(schema.clone()),
            Kind::Regex(expression) => TopLevelGrammar::from_regex(expression),
            Kind::Lark(grammar) => TopLevelGrammar::from_lark(grammar.clone()),
        }
    }
}

/// A text as a Lark grammar writes it.
fn literal(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// JSON of a schema as a part of a Lark grammar.
pub fn json_schema_literal(schema: Value, rules: SchemaRules) -> Result<String, GrammarError> {
    checked(schema, rules).map(|schema| format!("%json {schema}"))
}

/// A schema that is accepted, as the compiler gets it.
fn checked(schema: Value, rules: SchemaRules) -> Result<Value, GrammarError> {
    if !schema.is_object() {
        let reason = "the schema must be an object, for example {\"type\": \"object\"}";
        return Err(GrammarError::invalid("", reason));
    }
    schema::check(&schema, rules)?;
    Ok(with_options(schema))
}

/// One line, a space after each comma and colon, as models are used to write it: nothing is left to white space, on which
/// weak models go astray, and what is certain needs no forward passes.
fn with_options(mut schema: Value) -> Value {
    let options = JsonCompileOptions {
        item_separator: ", ".to_owned(),
        key_separator: ": ".to_owned(),
        whitespace_flexible: false,
        ..JsonCompileOptions::default()
    };
    options.apply_to(&mut schema);
    schema
}

fn check_length(what: &str, bytes: usize, limit: usize) -> Result<(), GrammarError> {
    if (1..=limit).contains(&bytes) {
        return Ok(());
    }
    let reason = format!("the {what} has {bytes} bytes; 1 to {limit} are allowed");
    Err(GrammarError::invalid("", reason))
}

/// Counts every bracket, those in texts too: a bound, not a parser.
fn check_depth(text: &str) -> Result<(), GrammarError> {
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_GRAMMAR_DEPTH {
            let reason =
                format!("its brackets nest deeper than {MAX_GRAMMAR_DEPTH}; use rules instead");
            return Err(GrammarError::invalid("", reason));
        }
    }
    Ok(())
}
