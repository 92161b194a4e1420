//! Bounds what combining schemas makes. `allOf`, and `anyOf`, `oneOf` or `$ref` beside other keywords, ask for values that
//! fit several schemas at once; the compiler writes out every combination, so a short schema can stand for an endless one.
//! Here the size of what is written out is computed, in time linear in the schema, before anybody writes it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{
    super::error::GrammarError,
    keywords::{LISTS, MAPS, ONE, is_annotation},
    limits::MAX_COMBINED_SCHEMAS,
    path::Path,
};

/// Keywords that apply a schema to the same value.
const IN_PLACE: [&str; 6] = ["anyOf", "oneOf", "allOf", "$ref", "const", "enum"];
/// Types that a schema without `type` stands for.
const TYPES: usize = 6;
/// Levels along references that are followed; more count as endless.
const MAX_LEVELS: usize = 192;

/// Alternatives that a schema becomes, and schemas in all of them, references written out.
#[derive(Debug, Clone, Copy)]
struct Size {
    alternatives: usize,
    schemas: usize,
}

impl Size {
    const NONE: Self = Self { alternatives: 1, schemas: 0 };
    /// A reference to a schema that it is part of.
    const ENDLESS: Self = Self { alternatives: 1, schemas: usize::MAX };

    /// Both at once: every alternative with every other.
    fn and(self, other: Self) -> Self {
        let left = self.schemas.saturating_mul(other.alternatives);
        let right = other.schemas.saturating_mul(self.alternatives);
        Self {
            alternatives: self.alternatives.saturating_mul(other.alternatives),
            schemas: left.saturating_add(right),
        }
    }

    /// One or the other.
    fn or(self, other: Self) -> Self {
        Self {
            alternatives: self.alternatives.saturating_add(other.alternatives),
            schemas: self.schemas.saturating_add(other.schemas),
        }
    }
}

/// Checks a schema whose depth is known to be bounded and whose references are known to exist.
pub(super) fn check(schema: &Value) -> Result<(), GrammarError> {
    let mut sizes = Sizes { root: schema, known: HashMap::new(), level: 0 };
    let mut left = MAX_COMBINED_SCHEMAS;
    walk(schema, Path::ROOT, &mut sizes, &mut left)
}

/// Adds up what is written out wherever schemas are combined.
fn walk<'s>(
    schema: &'s Value,
    path: Path<'_>,
    sizes: &mut Sizes<'s>,
    left: &mut usize,
) -> Result<(), GrammarError> {
    let Some(map) = schema.as_object() else { return Ok(()) };
    if combines(map) {
        match left.checked_sub(sizes.schema(schema).schemas) {
            Some(rest) => *left = rest,
            None => return Err(too_much(path)),
        }
    }
    for (name, value) in map {
        let here = path.key(name);
        match value {
            Value::Object(schemas) if MAPS.contains(&name.as_str()) => {
                for (key, schema) in schemas {
                    walk(schema, here.key(key), sizes, left)?;
                }
            }
            Value::Array(schemas) if LISTS.contains(&name.as_str()) || name == "items" => {
                for (index, schema) in schemas.iter().enumerate() {
                    walk(schema, here.index(index), sizes, left)?;
                }
            }
            _ if ONE.contains(&name.as_str()) => walk(value, here, sizes, left)?,
            _ => {}
        }
    }
    Ok(())
}

/// Whether a value has to fit several schemas at once.
fn combines(map: &Map<String, Value>) -> bool {
    let lists = map.get("allOf").and_then(Value::as_array).map_or(0, Vec::len);
    let applied = IN_PLACE.iter().filter(|name| map.contains_key(**name)).count();
    let beside = map.keys().any(|name| is_plain(name));
    let patterns = map.contains_key("patternProperties") && map.contains_key("properties");
    lists > 1 || patterns || applied + usize::from(beside) > 1
}

/// Keywords that say something about a value themselves.
fn is_plain(name: &str) -> bool {
    !IN_PLACE.contains(&name) && !is_annotation(name) && !matches!(name, "$defs" | "definitions")
}

/// The sizes of schemas, those behind references computed once.
struct Sizes<'s> {
    root: &'s Value,
    /// `None` while it is being computed.
    known: HashMap<&'s str, Option<Size>>,
    /// How deep the computation stands.
    level: usize,
}

impl<'s> Sizes<'s> {
    fn schema(&mut self, schema: &'s Value) -> Size {
        let Some(map) = schema.as_object() else { return Size { alternatives: 1, schemas: 1 } };
        if self.level == MAX_LEVELS {
            return Size::ENDLESS;
        }
        self.level += 1;
        let size = self.object(map);
        self.level -= 1;
        size
    }

    fn object(&mut self, map: &'s Map<String, Value>) -> Size {
        let mut size = self.plain(map);
        for (name, value) in map {
            let part = match (name.as_str(), value) {
                ("anyOf" | "oneOf", Value::Array(options)) => {
                    options.iter().map(|option| self.schema(option)).reduce(Size::or)
                }
                ("allOf", Value::Array(members)) => {
                    members.iter().map(|member| self.schema(member)).reduce(Size::and)
                }
                ("$ref", Value::String(target)) => Some(self.reference(target)),
                ("enum", Value::Array(values)) => {
                    Some(Size { alternatives: values.len(), schemas: values.len() })
                }
                _ => None,
            };
            size = size.and(part.unwrap_or(Size::NONE));
        }
        size
    }

    /// What the keywords about the value itself stand for.
    fn plain(&mut self, map: &'s Map<String, Value>) -> Size {
        let mut schemas = 1_usize;
        for (name, value) in map {
            let inner: usize = match value {
                Value::Object(inner)
                    if matches!(name.as_str(), "properties" | "patternProperties") =>
                {
                    self.sum(inner.values())
                }
                Value::Array(inner) if matches!(name.as_str(), "items" | "prefixItems") => {
                    self.sum(inner.iter())
                }
                _ if ONE.contains(&name.as_str()) => self.schema(value).schemas,
                _ => 0,
            };
            schemas = schemas.saturating_add(inner);
        }
        let kinds = match map.get("type") {
            Some(Value::Array(kinds)) => kinds.len().max(1),
            None if map.keys().any(|name| is_plain(name)) => TYPES,
            _ => 1,
        };
        Size { alternatives: kinds, schemas: schemas.saturating_mul(kinds) }
    }

    fn sum(&mut self, schemas: impl Iterator<Item = &'s Value>) -> usize {
        let mut sum = 0_usize;
        for schema in schemas {
            sum = sum.saturating_add(self.schema(schema).schemas);
        }
        sum
    }

    fn reference(&mut self, target: &'s str) -> Size {
        if let Some(known) = self.known.get(target) {
            return known.unwrap_or(Size::ENDLESS);
        }
        let pointer = target.trim_start_matches('#').trim_end_matches('/');
        let Some(schema) = self.root.pointer(pointer) else { return Size::NONE };
        self.known.insert(target, None);
        let size = self.schema(schema);
        self.known.insert(target, Some(size));
        size
    }
}

fn too_much(path: Path<'_>) -> GrammarError {
    let reason = format!(
        "the schemas that are combined here (`allOf`, or `anyOf`, `oneOf` or `$ref` beside other keywords) stand for more \
         than {MAX_COMBINED_SCHEMAS} schemas, or refer to themselves; write out what is meant"
    );
    GrammarError::unsupported(path.to_string(), reason)
}
