//! The fields that say what an answer has to be: OpenAI's `response_format`, and what clients of vLLM know for more than
//! JSON: `structured_outputs` with one member, or `guided_json`, `guided_regex`, `guided_choice`, `guided_grammar`.

use serde_json::Value;

use crate::{
    api::{
        error::ApiError,
        fields::{self, Fields},
    },
    constraint::{Grammar, GrammarError, MAX_CHOICES, SchemaRules},
};

/// Length of a schema's name, in characters, at most.
const MAX_NAME: usize = 64;
/// Members of `structured_outputs`, and the older fields that mean the same.
const KINDS: [(&str, &str); 4] = [
    ("json", "guided_json"),
    ("regex", "guided_regex"),
    ("choice", "guided_choice"),
    ("grammar", "guided_grammar"),
];

/// What an answer has to be, and the field that says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Structure {
    /// Path of the field, for errors.
    pub field: String,
    /// What the answer has to be.
    pub grammar: Grammar,
}

impl Structure {
    /// Takes the fields; at most one of them may say anything.
    pub fn parse(fields: &mut Fields) -> Result<Option<Self>, ApiError> {
        let mut found: Vec<Self> = response_format(fields)?.into_iter().collect();
        if let Some(mut outputs) = fields.object("structured_outputs")? {
            let before = found.len();
            for (kind, _) in KINDS {
                found.extend(one_kind(&mut outputs, kind, kind)?);
            }
            if found.len() == before {
                return Err(fields::missing("structured_outputs.json"));
            }
            outputs.finish()?;
        }
        for (kind, older) in KINDS {
            found.extend(one_kind(fields, older, kind)?);
        }
        match found.as_slice() {
            [first, second, ..] => {
                let message = format!(
                    "`{}` and `{}` both say what the answer has to be; send only one of them",
                    first.field, second.field
                );
                Err(ApiError::invalid(second.field.clone(), "invalid_value", message))
            }
            _ => Ok(found.pop()),
        }
    }
}

/// Where an object says how its schema's name and rules are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placed {
    /// In a member `json_schema`.
    Nested,
    /// Beside the type.
    Flat,
}

fn response_format(fields: &mut Fields) -> Result<Option<Structure>, ApiError> {
    format(fields, "response_format", Placed::Nested)
}

/// The member `format` of a response's `text`.
pub(super) fn text_format(text: &mut Fields) -> Result<Option<Structure>, ApiError> {
    format(text, "format", Placed::Flat)
}

fn format(fields: &mut Fields, name: &str, placed: Placed) -> Result<Option<Structure>, ApiError> {
    let Some(mut format) = fields.object(name)? else { return Ok(None) };
    let kind = format.required_string("type")?;
    let structure = match kind.as_str() {
        "text" => None,
        "json_object" => {
            let field = fields.path(name);
            Some(Structure { field, grammar: Grammar::json_object() })
        }
        "json_schema" if placed == Placed::Flat => Some(json_schema(&mut format)?),
        "json_schema" => {
            let Some(mut object) = format.object("json_schema")? else {
                return Err(fields::missing(&format.path("json_schema")));
            };
            let structure = json_schema(&mut object)?;
            object.finish()?;
            Some(structure)
        }
        other => {
            return Err(fields::unsupported_value(
                &format.path("type"),
                &format!("{other:?}"),
                "\"text\", \"json_object\" and \"json_schema\"",
            ));
        }
    };
    format.finish()?;
    Ok(structure)
}

fn json_schema(object: &mut Fields) -> Result<Structure, ApiError> {
    let name = object.required_string("name")?;
    check_name(&object.path("name"), &name)?;
    // Only says what the schema is for; the schema is what holds.
    object.string("description")?;
    let strict = object.boolean("strict")?.unwrap_or(false);
    let field = object.path("schema");
    let schema = object.required("schema")?;
    let rules = if strict { SchemaRules::Strict } else { SchemaRules::Plain };
    let grammar = Grammar::json_schema(schema, rules).map_err(|error| refusal(&field, &error))?;
    Ok(Structure { field, grammar })
}

/// Names of schemas and functions: letters, digits, underscores and dashes.
pub(super) fn check_name(path: &str, name: &str) -> Result<(), ApiError> {
    let fits = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    if (1..=MAX_NAME).contains(&name.len()) && name.chars().all(fits) {
        return Ok(());
    }
    let message = format!(
        "`{path}` is {name:?}; a name has 1 to {MAX_NAME} letters, digits, underscores and dashes"
    );
    Err(ApiError::invalid(path, "invalid_value", message))
}

/// A grammar of one kind, from the field `name`.
fn one_kind(fields: &mut Fields, name: &str, kind: &str) -> Result<Option<Structure>, ApiError> {
    let field = fields.path(name);
    let grammar = match kind {
        "json" => fields.take(name).map(|schema| schema_or_text(&field, schema)).transpose()?,
        "regex" => fields.string(name)?.map(Grammar::regex),
        "grammar" => fields.string(name)?.map(Grammar::lark),
        _ => choice(fields, name)?.map(|texts| Grammar::choice(&texts)),
    };
    let grammar = grammar.transpose().map_err(|error| refusal(&field, &error))?;
    Ok(grammar.map(|grammar| Structure { field, grammar }))
}

/// vLLM takes a schema as an object or as its JSON text.
fn schema_or_text(field: &str, schema: Value) -> Result<Result<Grammar, GrammarError>, ApiError> {
    let schema = match schema {
        Value::String(text) => serde_json::from_str(&text).map_err(|error| {
            let message = format!("`{field}` is a text that is not JSON: {error}");
            ApiError::invalid(field, "invalid_value", message)
        })?,
        other => other,
    };
    Ok(Grammar::json_schema(schema, SchemaRules::Plain))
}

fn choice(fields: &mut Fields, name: &str) -> Result<Option<Vec<String>>, ApiError> {
    let path = fields.path(name);
    let Some(list) = fields.array(name, MAX_CHOICES)? else { return Ok(None) };
    let text = |(index, value): (usize, Value)| match value {
        Value::String(text) => Ok(text),
        other => Err(fields::wrong_type(&format!("{path}[{index}]"), "a string", &other)),
    };
    list.into_iter().enumerate().map(text).collect::<Result<_, _>>().map(Some)
}

/// What is wrong with a grammar, as an error of the field that holds it.
pub(super) fn refusal(field: &str, error: &GrammarError) -> ApiError {
    let path = format!("{field}{}", error.at);
    let code = if error.unsupported { "unsupported_value" } else { "invalid_schema" };
    let message = format!("`{path}`: {}", error.reason);
    ApiError::invalid(path, code, message)
}
