//! How large a JSON schema from a client may be.

/// Schemas inside a schema, at most.
pub const MAX_SCHEMAS: usize = 5000;
/// How deep schemas stand inside one another, at most.
pub const MAX_SCHEMA_DEPTH: usize = 48;
/// Values of all `enum` together, at most.
pub const MAX_ENUM_VALUES: usize = 1000;
/// Bytes of all names, texts and patterns of a schema together, at most.
pub const MAX_SCHEMA_BYTES: usize = 128 << 10;
/// Length of a `pattern`, in bytes, at most.
pub const MAX_PATTERN_BYTES: usize = 1024;
/// Largest `minItems`, `maxItems`, `minProperties` and `maxProperties`.
pub const MAX_ITEM_COUNT: u64 = 1000;
/// Largest `minLength` and `maxLength`.
pub const MAX_STRING_LENGTH: u64 = 1 << 16;
/// Schemas that result from combining (`allOf`, or `anyOf`, `oneOf` and `$ref` beside other keywords), at most.
pub const MAX_COMBINED_SCHEMAS: usize = 10_000;
