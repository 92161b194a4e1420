//! From a document to a typed resource. Every unknown field and the first wrong type are named with path and line,
//! unknown fields with the known one that is nearest.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    node::{Kind, Node, Step, show_path},
    suggest::nearest,
};

/// A field at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldFault {
    /// Line of the field.
    pub line: u64,
    /// Its path.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

/// Decodes `node`, whose `apiVersion` and `kind` have been judged already. `schema` is the OpenAPI schema of the
/// resource, where the names of known fields come from.
pub(super) fn decode<T: DeserializeOwned>(
    node: &Node,
    schema: &Value,
) -> Result<T, Vec<FieldFault>> {
    let mut value = node.to_value();
    if let Value::Object(fields) = &mut value {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let decoder = serde_path_to_error::Deserializer::new(value, &mut track);
    let decoded = serde_ignored::deserialize(decoder, |path| unknown.push(ignored_steps(&path)));
    let mut faults: Vec<_> = unknown.iter().map(|path| unknown_field(node, path, schema)).collect();
    lists_for_fields(node, schema, &mut Vec::new(), &mut faults);
    match decoded {
        Ok(resource) if faults.is_empty() => return Ok(resource),
        Ok(_) => {}
        Err(error) => {
            let path = failed_steps(&track.path());
            faults.push(FieldFault {
                line: node.line_of(&path),
                field: show_path(&path),
                message: error.to_string(),
            });
        }
    }
    faults.sort_by_key(|fault| fault.line);
    Err(faults)
}

/// Lists where fields are expected, which serde would read as the fields in order.
fn lists_for_fields(
    node: &Node,
    schema: &Value,
    path: &mut Vec<Step>,
    faults: &mut Vec<FieldFault>,
) {
    let below = |name: &str| schema.get("properties").and_then(|properties| properties.get(name));
    match &node.kind {
        Kind::List(_) if schema.get("properties").is_some() => faults.push(FieldFault {
            line: node.line,
            field: show_path(path),
            message: "invalid type: list, expected fields (`name: value`)".to_owned(),
        }),
        Kind::Fields(fields) => {
            for (name, _, inner) in fields {
                path.push(Step::Field(name.clone()));
                lists_for_fields(inner, below(name).unwrap_or(&Value::Null), path, faults);
                path.pop();
            }
        }
        Kind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Item(index));
                lists_for_fields(item, schema.get("items").unwrap_or(&Value::Null), path, faults);
                path.pop();
            }
        }
        Kind::Scalar(_) => {}
    }
}

fn unknown_field(node: &Node, path: &[Step], schema: &Value) -> FieldFault {
    let known =
        path.split_last().map(|(_, parent)| known_fields(schema, parent)).unwrap_or_default();
    let meant = match path.last() {
        Some(Step::Field(name)) => nearest(name, known.iter().map(String::as_str)),
        _ => None,
    };
    let advice = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("known are {}", known.join(", ")),
    };
    FieldFault {
        line: node.line_of(path),
        field: show_path(path),
        message: format!("no such field; {advice}"),
    }
}

/// The names of the fields that `schema` knows at `path`.
fn known_fields(schema: &Value, path: &[Step]) -> Vec<String> {
    let below = path.iter().try_fold(schema, |schema, step| match step {
        Step::Field(name) => schema.get("properties")?.get(name),
        Step::Item(_) => schema.get("items"),
    });
    let names = below.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    names.map(|names| names.keys().cloned().collect()).unwrap_or_default()
}

/// The path of a field that nobody read; the wrappers of optional and newtype values are no steps.
fn ignored_steps(path: &serde_ignored::Path<'_>) -> Vec<Step> {
    use serde_ignored::Path;
    let (parent, step) = match path {
        Path::Root => return Vec::new(),
        Path::Seq { parent, index } => (parent, Some(Step::Item(*index))),
        Path::Map { parent, key } => (parent, Some(Step::Field(key.clone()))),
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => (parent, None),
    };
    let mut steps = ignored_steps(parent);
    steps.extend(step);
    steps
}

fn failed_steps(path: &serde_path_to_error::Path) -> Vec<Step> {
    use serde_path_to_error::Segment;
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Item(*index)),
            Segment::Map { key } => Some(Step::Field(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}
