//! A YAML document as a tree that remembers the line of every field, so that any later complaint can name it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use serde_saphyr::Spanned;

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The field of this name.
    Field(String),
    /// The item at this place.
    Item(usize),
}

/// A value and its line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Line of the value's first character, counted from 1.
    pub line: u64,
    /// The value.
    pub kind: Kind,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// Null, boolean, number or text.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// Fields in the order of the file, each with the line of its name.
    Fields(Vec<(String, u64, Node)>),
}

impl Node {
    /// The value without lines. Fields that are null are left out, as the API server does before it sets defaults.
    pub(super) fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Scalar(value) => value.clone(),
            Kind::List(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            Kind::Fields(fields) => {
                let given =
                    fields.iter().filter(|(_, _, node)| node.kind != Kind::Scalar(Value::Null));
                given.map(|(name, _, node)| (name.clone(), node.to_value())).collect()
            }
        }
    }

    /// The field of this name and the line of its name.
    pub(super) fn field(&self, name: &str) -> Option<(u64, &Node)> {
        let Kind::Fields(fields) = &self.kind else { return None };
        fields.iter().find(|(field, ..)| field == name).map(|(_, line, node)| (*line, node))
    }

    /// The text of the field of this name.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match &self.field(name)?.1.kind {
            Kind::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The line of what `path` names, or of the deepest part of it that exists.
    pub(super) fn line_of(&self, path: &[Step]) -> u64 {
        let (mut node, mut line) = (self, self.line);
        for step in path {
            let next = match (step, &node.kind) {
                (Step::Field(name), _) => node.field(name),
                (Step::Item(index), Kind::List(items)) => {
                    items.get(*index).map(|item| (item.line, item))
                }
                (Step::Item(_), _) => None,
            };
            let Some((next_line, next_node)) = next else { break };
            (node, line) = (next_node, next_line);
        }
        line
    }
}

/// `spec.apiKeys[0].name` as steps.
pub(super) fn parse_path(text: &str) -> Vec<Step> {
    text.split('.')
        .flat_map(|part| {
            let (name, items) = part.split_once('[').unwrap_or((part, ""));
            let field = (!name.is_empty()).then(|| Step::Field(name.to_owned()));
            let items =
                items.split(['[', ']']).filter_map(|index| index.parse().ok().map(Step::Item));
            field.into_iter().chain(items).collect::<Vec<_>>()
        })
        .collect()
}

/// Steps as `spec.apiKeys[0].name`.
pub(super) fn show_path(path: &[Step]) -> String {
    path.iter().fold(String::new(), |mut text, step| {
        match step {
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) => text.extend([".", name]),
            Step::Item(index) => text.extend(["[", &index.to_string(), "]"]),
        }
        text
    })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), kind: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Scalar(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Scalar(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Scalar(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Kind, E> {
        let number =
            serde_json::Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        Ok(Kind::Scalar(Value::Number(number)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Kind, E> {
        Ok(Kind::Scalar(value.into()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Kind, E> {
        Ok(Kind::Scalar(value.into()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Kind, E> {
        Ok(Kind::Scalar(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Kind, E> {
        Ok(Kind::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        Kind::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = access.next_key::<Spanned<String>>()? {
            let node = access.next_value()?;
            fields.push((name.value, name.referenced.line(), node));
        }
        Ok(Kind::Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_shown_alike() {
        for text in ["spec.apiKeys[0].name", "spec", "a[1][2].b"] {
            assert_eq!(show_path(&parse_path(text)), text);
        }
    }
}
