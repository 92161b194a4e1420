//! A JSON object read field by field: every field is taken by name or refused by name, nothing is ignored. `null` means
//! absent. Errors name the field by its path, for example `messages[0].content`.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::api::error::ApiError;

/// The fields of an object that nobody has taken yet.
#[derive(Debug)]
pub struct Fields {
    map: Map<String, Value>,
    /// Path of the object, with a dot at its end; empty for the body.
    prefix: String,
}

impl Fields {
    /// The fields of the request's body.
    pub fn body(map: Map<String, Value>) -> Self {
        Self { map, prefix: String::new() }
    }

    /// The fields of an object at `path`.
    pub fn at(path: &str, value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(map) => Ok(Self { map, prefix: format!("{path}.") }),
            other => Err(wrong_type(path, "an object", &other)),
        }
    }

    /// Path of a field.
    pub fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Whether a field is there and not null.
    pub fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|value| !value.is_null())
    }

    /// Takes a field; `None` when it is absent or null.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a string.
    pub fn string(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        self.typed(name, "a string", |value| match value {
            Value::String(text) => Ok(text),
            other => Err(other),
        })
    }

    /// Takes a string that must be there.
    pub fn required_string(&mut self, name: &str) -> Result<String, ApiError> {
        self.string(name)?.ok_or_else(|| missing(&self.path(name)))
    }

    /// Takes a field that must be there.
    pub fn required(&mut self, name: &str) -> Result<Value, ApiError> {
        self.take(name).ok_or_else(|| missing(&self.path(name)))
    }

    /// Takes true or false.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        self.typed(name, "true or false", |value| value.as_bool().ok_or(value))
    }

    /// Takes a whole number in a range.
    pub fn integer(
        &mut self,
        name: &str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        integer(&self.path(name), &value, range).map(Some)
    }

    /// Takes a number in a range.
    pub fn number(
        &mut self,
        name: &str,
        range: RangeInclusive<f64>,
    ) -> Result<Option<f32>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        number(&self.path(name), &value, range).map(Some)
    }

    /// Takes an object.
    pub fn object(&mut self, name: &str) -> Result<Option<Fields>, ApiError> {
        let path = self.path(name);
        self.take(name).map(|value| Fields::at(&path, value)).transpose()
    }

    /// Takes a list; refuses one with more than `max` entries.
    pub fn array(&mut self, name: &str, max: usize) -> Result<Option<Vec<Value>>, ApiError> {
        let path = self.path(name);
        let list = self.typed(name, "a list", |value| match value {
            Value::Array(list) => Ok(list),
            other => Err(other),
        })?;
        match list {
            Some(list) if list.len() > max => Err(too_many(&path, list.len(), max)),
            list => Ok(list),
        }
    }

    /// Takes a field that changes nothing, whatever it holds.
    pub fn bookkeeping(&mut self, names: &[&str]) {
        for name in names {
            self.map.remove(*name);
        }
    }

    /// Refuses fields that the API has and this server does not, unless they are absent, null, `false` or an empty list.
    pub fn unsupported(&mut self, names: &[&str]) -> Result<(), ApiError> {
        for name in names {
            match self.take(name) {
                None | Some(Value::Bool(false)) => {}
                Some(Value::Array(list)) if list.is_empty() => {}
                Some(_) => return Err(unsupported(&self.path(name))),
            }
        }
        Ok(())
    }

    /// Refuses what nobody has taken.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(name) => {
                let path = self.path(name);
                let message = format!("unknown field `{path}`; remove it or check its spelling");
                Err(ApiError::invalid(path, "unknown_parameter", message))
            }
        }
    }

    fn typed<T>(
        &mut self,
        name: &str,
        expected: &str,
        convert: impl FnOnce(Value) -> Result<T, Value>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        convert(value).map(Some).map_err(|other| wrong_type(&self.path(name), expected, &other))
    }
}

/// A whole number in a range.
pub fn integer(path: &str, value: &Value, range: RangeInclusive<i64>) -> Result<i64, ApiError> {
    if !value.is_number() || value.is_f64() {
        return Err(wrong_type(path, "a whole number", value));
    }
    match value.as_i64() {
        Some(number) if range.contains(&number) => Ok(number),
        _ => Err(out_of_range(path, value, range.start(), range.end())),
    }
}

/// A number in a range.
pub fn number(path: &str, value: &Value, range: RangeInclusive<f64>) -> Result<f32, ApiError> {
    let Some(number) = value.as_f64() else { return Err(wrong_type(path, "a number", value)) };
    if range.contains(&number) {
        Ok(number as f32)
    } else {
        Err(out_of_range(path, value, range.start(), range.end()))
    }
}

/// A field has a wrong type.
pub fn wrong_type(path: &str, expected: &str, value: &Value) -> ApiError {
    ApiError::invalid(
        path,
        "invalid_type",
        format!("`{path}` is {}; it must be {expected}", kind(value)),
    )
}

/// A field that the API has and this server does not.
pub fn unsupported(path: &str) -> ApiError {
    let message = format!("`{path}` is not supported by this server yet; remove it");
    ApiError::invalid(path, "unsupported_parameter", message)
}

/// A field whose value this server does not know how to honour.
pub fn unsupported_value(path: &str, value: &str, supported: &str) -> ApiError {
    let message = format!("`{path}` is {value}; this server supports {supported}");
    ApiError::invalid(path, "unsupported_value", message)
}

/// A list is too long.
pub fn too_many(path: &str, len: usize, max: usize) -> ApiError {
    ApiError::invalid(
        path,
        "invalid_value",
        format!("`{path}` has {len} entries; at most {max} are allowed"),
    )
}

/// A field that must be there is not.
pub fn missing(path: &str) -> ApiError {
    ApiError::invalid(path, "missing_required_parameter", format!("`{path}` is missing"))
}

fn out_of_range(
    path: &str,
    value: &Value,
    from: impl std::fmt::Display,
    to: impl std::fmt::Display,
) -> ApiError {
    ApiError::invalid(
        path,
        "invalid_value",
        format!("`{path}` is {value}; it must be between {from} and {to}"),
    )
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
