//! What a JSON schema from a client may hold: every keyword is enforced, or is an annotation, or is refused by its path;
//! sizes are bounded before anything is compiled. Walks the schema as a document and resolves nothing but local references.

use std::collections::HashSet;

use serde_json::Value;

use super::error::GrammarError;

mod combined;
mod keywords;
mod limits;
mod path;
mod strict;

use keywords::{LISTS, MAPS, ONE, is_annotation};
pub use limits::{
    MAX_COMBINED_SCHEMAS, MAX_ENUM_VALUES, MAX_ITEM_COUNT, MAX_PATTERN_BYTES, MAX_SCHEMA_BYTES,
    MAX_SCHEMA_DEPTH, MAX_SCHEMAS, MAX_STRING_LENGTH,
};
use path::Path;

/// JSON values inside annotations and enumerations, how deep.
const MAX_VALUE_DEPTH: usize = 64;

/// Other keywords that are enforced.
const ENFORCED: [&str; 18] = [
    "type",
    "const",
    "enum",
    "$ref",
    "required",
    "format",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
];
/// The formats of strings that are enforced.
const FORMATS: [&str; 10] =
    ["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];

/// Which schemas are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaRules {
    /// All that can be enforced.
    Plain,
    /// OpenAI's `strict`: the root is an object, every object names all its properties as required and allows no others.
    Strict,
}

/// Checks a schema.
pub(super) fn check(schema: &Value, rules: SchemaRules) -> Result<(), GrammarError> {
    let mut walk = Walk::default();
    walk.schema(schema, Path::ROOT, 0)?;
    walk.check_references()?;
    combined::check(schema)?;
    match rules {
        SchemaRules::Plain => Ok(()),
        SchemaRules::Strict => strict::check(schema),
    }
}

/// What has been seen of a schema.
#[derive(Debug, Default)]
struct Walk {
    schemas: usize,
    enum_values: usize,
    bytes: usize,
    /// Pointers of the schemas, as a `$ref` writes them.
    pointers: HashSet<String>,
    /// References, with the place that each stands at.
    references: Vec<(String, String)>,
}

impl Walk {
    fn schema(&mut self, schema: &Value, path: Path<'_>, depth: usize) -> Result<(), GrammarError> {
        self.schemas += 1;
        if self.schemas > MAX_SCHEMAS {
            return Err(too_large(path, "schemas inside it", MAX_SCHEMAS));
        }
        if depth > MAX_SCHEMA_DEPTH {
            return Err(too_large(path, "levels", MAX_SCHEMA_DEPTH));
        }
        self.pointers.insert(path.pointer());
        match schema {
            Value::Bool(_) => Ok(()),
            Value::Object(map) => {
                map.iter().try_for_each(|(name, value)| self.keyword(name, value, path, depth))
            }
            other => Err(wrong(path, "a schema: an object, true or false", other)),
        }
    }

    fn keyword(
        &mut self,
        name: &str,
        value: &Value,
        parent: Path<'_>,
        depth: usize,
    ) -> Result<(), GrammarError> {
        let path = parent.key(name);
        self.count_bytes(name.len(), path)?;
        if name == "items" && value.is_array() || LISTS.contains(&name) {
            return self.list(value, path, depth);
        }
        if ONE.contains(&name) {
            return self.schema(value, path, depth + 1);
        }
        if MAPS.contains(&name) {
            return self.map(name, value, path, depth);
        }
        if is_annotation(name) {
            return self.value(value, path, 0);
        }
        if !ENFORCED.contains(&name) {
            let reason = format!("the keyword `{name}` is not supported; remove it");
            return Err(GrammarError::unsupported(path.to_string(), reason));
        }
        self.value(value, path, 0)?;
        self.enforced(name, value, path)
    }

    fn list(&mut self, value: &Value, path: Path<'_>, depth: usize) -> Result<(), GrammarError> {
        let Value::Array(schemas) = value else {
            return Err(wrong(path, "a list of schemas", value));
        };
        schemas
            .iter()
            .enumerate()
            .try_for_each(|(index, schema)| self.schema(schema, path.index(index), depth + 1))
    }

    fn map(
        &mut self,
        name: &str,
        value: &Value,
        path: Path<'_>,
        depth: usize,
    ) -> Result<(), GrammarError> {
        let Value::Object(schemas) = value else {
            return Err(wrong(path, "an object of schemas", value));
        };
        for (key, schema) in schemas {
            self.count_bytes(key.len(), path)?;
            if name == "patternProperties" {
                check_pattern(key, path.key(key))?;
            }
            self.schema(schema, path.key(key), depth + 1)?;
        }
        Ok(())
    }

    fn enforced(&mut self, name: &str, value: &Value, path: Path<'_>) -> Result<(), GrammarError> {
        match (name, value) {
            ("enum", Value::Array(values)) => {
                self.enum_values += values.len();
                if values.is_empty() {
                    return Err(GrammarError::invalid(
                        path.to_string(),
                        "the enumeration is empty; nothing fits it",
                    ));
                }
                if self.enum_values > MAX_ENUM_VALUES {
                    return Err(too_large(path, "values of enumerations", MAX_ENUM_VALUES));
                }
                Ok(())
            }
            ("enum", other) => Err(wrong(path, "a list of values", other)),
            ("$ref", Value::String(target)) => {
                self.references.push((target.clone(), path.to_string()));
                Ok(())
            }
            ("pattern", Value::String(pattern)) => check_pattern(pattern, path),
            ("format", Value::String(format)) => check_format(format, path),
            ("pattern" | "format" | "$ref", other) => Err(wrong(path, "a string", other)),
            ("minItems" | "maxItems" | "minProperties" | "maxProperties", number) => {
                check_count(number, path, MAX_ITEM_COUNT)
            }
            ("minLength" | "maxLength", number) => check_count(number, path, MAX_STRING_LENGTH),
            _ => Ok(()),
        }
    }

    /// Counts a value that is no schema.
    fn value(&mut self, value: &Value, path: Path<'_>, depth: usize) -> Result<(), GrammarError> {
        if depth > MAX_VALUE_DEPTH {
            return Err(too_large(path, "levels", MAX_VALUE_DEPTH));
        }
        self.count_bytes(1, path)?;
        match value {
            Value::String(text) => self.count_bytes(text.len(), path),
            Value::Array(values) => {
                values.iter().try_for_each(|value| self.value(value, path, depth + 1))
            }
            Value::Object(map) => map.iter().try_for_each(|(key, value)| {
                self.count_bytes(key.len(), path)?;
                self.value(value, path, depth + 1)
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    fn count_bytes(&mut self, bytes: usize, path: Path<'_>) -> Result<(), GrammarError> {
        self.bytes += bytes;
        if self.bytes > MAX_SCHEMA_BYTES {
            return Err(too_large(path, "bytes of names and texts", MAX_SCHEMA_BYTES));
        }
        Ok(())
    }

    fn check_references(&self) -> Result<(), GrammarError> {
        for (target, at) in &self.references {
            let pointer = target.strip_suffix('/').unwrap_or(target);
            if !pointer.starts_with('#') {
                let reason = format!(
                    "`{target}` is outside the schema; only references like `#/$defs/name` are supported"
                );
                return Err(GrammarError::unsupported(at, reason));
            }
            if !self.pointers.contains(pointer) {
                let reason = format!("there is no schema at `{target}`");
                return Err(GrammarError::invalid(at, reason));
            }
        }
        Ok(())
    }
}

fn check_pattern(pattern: &str, path: Path<'_>) -> Result<(), GrammarError> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(too_large(path, "bytes", MAX_PATTERN_BYTES));
    }
    Ok(())
}

fn check_format(format: &str, path: Path<'_>) -> Result<(), GrammarError> {
    if FORMATS.contains(&format) {
        return Ok(());
    }
    let reason = format!(
        "the format {format:?} is not supported; use one of {}, or a `pattern`",
        FORMATS.join(", ")
    );
    Err(GrammarError::unsupported(path.to_string(), reason))
}

fn check_count(value: &Value, path: Path<'_>, most: u64) -> Result<(), GrammarError> {
    match value.as_u64() {
        Some(count) if count <= most => Ok(()),
        Some(count) => {
            let reason = format!("it is {count}; at most {most} is supported");
            Err(GrammarError::invalid(path.to_string(), reason))
        }
        None => Err(wrong(path, "a whole number that is not negative", value)),
    }
}

fn too_large(path: Path<'_>, what: &str, limit: usize) -> GrammarError {
    GrammarError::invalid(path.to_string(), format!("it has more than {limit} {what}"))
}

fn wrong(path: Path<'_>, expected: &str, value: &Value) -> GrammarError {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    GrammarError::invalid(path.to_string(), format!("it is {kind}; it must be {expected}"))
}
