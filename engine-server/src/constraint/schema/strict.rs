//! OpenAI's rules for `strict`.

use serde_json::Value;

use super::{
    super::error::GrammarError,
    keywords::{LISTS, MAPS, ONE},
    path::Path,
};

/// Checks a schema whose keywords and depth are known to be right.
pub(super) fn check(schema: &Value) -> Result<(), GrammarError> {
    let root = schema.as_object();
    let kind = root.and_then(|map| map.get("type"));
    let refers = root.is_some_and(|map| map.contains_key("$ref"));
    if kind.and_then(Value::as_str) != Some("object") && !refers {
        let reason = "with `strict` the schema's `type` must be \"object\"";
        return Err(GrammarError::invalid(".type", reason));
    }
    if root.is_some_and(|map| map.contains_key("anyOf")) {
        let reason = "with `strict` the root must be one object, not `anyOf`";
        return Err(GrammarError::invalid(".anyOf", reason));
    }
    walk(schema, Path::ROOT)
}

fn walk(schema: &Value, path: Path<'_>) -> Result<(), GrammarError> {
    let Some(map) = schema.as_object() else { return Ok(()) };
    if is_object_schema(schema) {
        check_object(schema, path)?;
    }
    for (name, value) in map {
        let here = path.key(name);
        match value {
            Value::Object(schemas) if MAPS.contains(&name.as_str()) => {
                schemas.iter().try_for_each(|(key, schema)| walk(schema, here.key(key)))?;
            }
            Value::Array(schemas) if LISTS.contains(&name.as_str()) || name == "items" => {
                let indexed = schemas.iter().enumerate();
                indexed.into_iter().try_for_each(|(at, schema)| walk(schema, here.index(at)))?;
            }
            _ if ONE.contains(&name.as_str()) => walk(value, here)?,
            _ => {}
        }
    }
    Ok(())
}

fn is_object_schema(schema: &Value) -> bool {
    match &schema["type"] {
        Value::String(kind) => kind == "object",
        Value::Array(kinds) => kinds.iter().any(|kind| kind == "object"),
        _ => schema.get("properties").is_some(),
    }
}

fn check_object(schema: &Value, path: Path<'_>) -> Result<(), GrammarError> {
    if schema["additionalProperties"] != Value::Bool(false) {
        let at = path.key("additionalProperties").to_string();
        let reason = "with `strict` every object needs `additionalProperties: false`";
        return Err(GrammarError::invalid(at, reason));
    }
    let empty = Vec::new();
    let required = schema["required"].as_array().unwrap_or(&empty);
    let names = schema["properties"].as_object().into_iter().flat_map(|map| map.keys());
    for name in names {
        if !required.iter().any(|entry| entry == name) {
            let at = path.key("required").to_string();
            let reason = format!(
                "with `strict` all properties must be required, and {name:?} is not; for one that may be left out, allow \
                 null as its type"
            );
            return Err(GrammarError::invalid(at, reason));
        }
    }
    Ok(())
}
