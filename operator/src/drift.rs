//! Whether a live object still is what was applied. Pure; decides if a write is needed at all.

use serde_json::Value;

/// Whether every field of `desired` is in `live` with the same value. What only `live` has, such as defaults, fields of
/// other managers and foreign list items with a name, does not count as drift.
#[must_use]
pub fn holds(desired: &Value, live: &Value) -> bool {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => desired.iter().all(|(key, value)| {
            live.get(key).map_or_else(|| is_empty(value), |found| holds(value, found))
        }),
        (Value::Array(desired), Value::Array(live)) => list_holds(desired, live),
        (desired, live) => desired == live,
    }
}

/// The API server leaves out what is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Lists whose items have a key are sets (containers, ports, owners); other lists must be equal in length and order.
fn list_holds(desired: &[Value], live: &[Value]) -> bool {
    match desired.iter().map(item_key).collect::<Option<Vec<_>>>() {
        Some(keys) if !keys.is_empty() => desired.iter().zip(keys).all(|(item, key)| {
            live.iter().any(|found| item_key(found) == Some(key) && holds(item, found))
        }),
        _ => {
            desired.len() == live.len()
                && desired.iter().zip(live).all(|(item, found)| holds(item, found))
        }
    }
}

fn item_key(item: &Value) -> Option<&str> {
    ["uid", "name", "mountPath"].into_iter().find_map(|key| item.get(key).and_then(Value::as_str))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn drift_is_what_differs_from_the_applied_fields() {
        let cases = [
            (json!({"a": 1}), json!({"a": 1, "b": 2}), true, "a default was added"),
            (json!({"a": 1}), json!({"a": 2}), false, "changed"),
            (json!({"a": 1}), json!({}), false, "removed"),
            (json!({"a": {}, "b": []}), json!({}), true, "empty values are left out"),
            (json!({"l": [1, 2]}), json!({"l": [2, 1]}), false, "order of plain lists"),
            (json!({"l": [1]}), json!({"l": [1, 2]}), false, "length of plain lists"),
            (
                json!({"c": [{"name": "x", "v": 1}]}),
                json!({"c": [{"name": "y"}, {"name": "x", "v": 1}]}),
                true,
                "a sidecar",
            ),
            (
                json!({"c": [{"name": "x", "v": 1}]}),
                json!({"c": [{"name": "x", "v": 2}]}),
                false,
                "a changed item",
            ),
            (json!({"c": [{"name": "x"}]}), json!({"c": [{"name": "y"}]}), false, "a missing item"),
        ];
        for (desired, live, expected, why) in cases {
            assert_eq!(holds(&desired, &live), expected, "{why}");
        }
    }
}
