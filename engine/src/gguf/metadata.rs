//! The keys and values of a file, with typed getters whose errors name the key.
use std::collections::BTreeMap;

use super::value::{Array, Value};

/// All metadata of a file, by key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    entries: BTreeMap<String, Value>,
}

/// Why a metadata value could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The key is not in the file.
    #[error(
        "the model file lacks the metadata key \"{key}\"; convert the model again with a current converter"
    )]
    Missing {
        /// The key.
        key: String,
    },
    /// The value has another type.
    #[error(
        "metadata key \"{key}\" is {found} where {expected} is needed; convert the model again"
    )]
    WrongType {
        /// The key.
        key: String,
        /// The type needed.
        expected: &'static str,
        /// The type found.
        found: &'static str,
    },
    /// The number does not fit.
    #[error(
        "metadata key \"{key}\" is {value}, which does not fit {expected}; convert the model again"
    )]
    OutOfRange {
        /// The key.
        key: String,
        /// The number found.
        value: i128,
        /// The type needed.
        expected: &'static str,
    },
}

impl Metadata {
    /// Takes entries as parsed; tests build their own.
    pub fn new(entries: BTreeMap<String, Value>) -> Self {
        Self { entries }
    }

    /// The raw value.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key)
    }

    /// All entries, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// A string.
    pub fn string(&self, key: &str) -> Result<&str, MetadataError> {
        required(key, self.optional_string(key))
    }

    /// A string, or `None` when the key is absent.
    pub fn optional_string(&self, key: &str) -> Result<Option<&str>, MetadataError> {
        self.optional(key, |value| match value {
            Value::String(text) => Ok(text.as_str()),
            other => Err(wrong_type(key, "a string", other)),
        })
    }

    /// Any integer that fits `u32`.
    pub fn u32(&self, key: &str) -> Result<u32, MetadataError> {
        required(key, self.optional_u32(key))
    }

    /// Any integer that fits `u32`, or `None` when the key is absent.
    pub fn optional_u32(&self, key: &str) -> Result<Option<u32>, MetadataError> {
        self.optional(key, |value| integer(key, value, "u32"))
    }

    /// Any integer that fits `u64`.
    pub fn u64(&self, key: &str) -> Result<u64, MetadataError> {
        required(key, self.optional_u64(key))
    }

    /// Any integer that fits `u64`, or `None` when the key is absent.
    pub fn optional_u64(&self, key: &str) -> Result<Option<u64>, MetadataError> {
        self.optional(key, |value| integer(key, value, "u64"))
    }

    /// A float; `f64` is rounded.
    pub fn f32(&self, key: &str) -> Result<f32, MetadataError> {
        required(key, self.optional_f32(key))
    }

    /// A float, or `None` when the key is absent.
    pub fn optional_f32(&self, key: &str) -> Result<Option<f32>, MetadataError> {
        self.optional(key, |value| match value {
            Value::F32(number) => Ok(*number),
            Value::F64(number) => Ok(*number as f32),
            other => Err(wrong_type(key, "a float", other)),
        })
    }

    /// A boolean.
    pub fn bool(&self, key: &str) -> Result<bool, MetadataError> {
        required(key, self.optional_bool(key))
    }

    /// A boolean, or `None` when the key is absent.
    pub fn optional_bool(&self, key: &str) -> Result<Option<bool>, MetadataError> {
        self.optional(key, |value| match value {
            Value::Bool(flag) => Ok(*flag),
            other => Err(wrong_type(key, "a bool", other)),
        })
    }

    /// An array of strings.
    pub fn strings(&self, key: &str) -> Result<&[String], MetadataError> {
        required(key, self.optional_strings(key))
    }

    /// An array of strings, or `None` when the key is absent.
    pub fn optional_strings(&self, key: &str) -> Result<Option<&[String]>, MetadataError> {
        self.optional(key, |value| match value {
            Value::Array(Array::String(strings)) => Ok(strings.as_slice()),
            other => Err(wrong_type(key, "an array of strings", other)),
        })
    }

    /// An array of any integers that fit `i32`.
    pub fn i32s(&self, key: &str) -> Result<Vec<i32>, MetadataError> {
        required(key, self.optional_i32s(key))
    }

    /// An array of any integers that fit `i32`, or `None` when the key is absent.
    pub fn optional_i32s(&self, key: &str) -> Result<Option<Vec<i32>>, MetadataError> {
        self.optional(key, |value| {
            let integers = match value {
                Value::Array(array) => array.as_integers(),
                _ => None,
            };
            let integers =
                integers.ok_or_else(|| wrong_type(key, "an array of integers", value))?;
            integers.map(|value| fit(key, value, "i32")).collect()
        })
    }

    /// An array of bytes, or `None` when the key is absent. Writers also call bytes `i8`.
    pub fn optional_bytes(&self, key: &str) -> Result<Option<Vec<u8>>, MetadataError> {
        self.optional(key, |value| match value {
            Value::Array(Array::U8(bytes)) => Ok(bytes.clone()),
            Value::Array(Array::I8(bytes)) => Ok(bytes.iter().map(|&byte| byte as u8).collect()),
            other => Err(wrong_type(key, "an array of u8 or i8", other)),
        })
    }

    /// An array of `f32`.
    pub fn f32s(&self, key: &str) -> Result<&[f32], MetadataError> {
        required(key, self.optional_f32s(key))
    }

    /// An array of `f32`, or `None` when the key is absent.
    pub fn optional_f32s(&self, key: &str) -> Result<Option<&[f32]>, MetadataError> {
        self.optional(key, |value| match value {
            Value::Array(Array::F32(numbers)) => Ok(numbers.as_slice()),
            other => Err(wrong_type(key, "an array of f32", other)),
        })
    }

    fn optional<'a, T>(
        &'a self,
        key: &str,
        parse: impl FnOnce(&'a Value) -> Result<T, MetadataError>,
    ) -> Result<Option<T>, MetadataError> {
        self.entries.get(key).map(parse).transpose()
    }
}

fn required<T>(key: &str, value: Result<Option<T>, MetadataError>) -> Result<T, MetadataError> {
    value?.ok_or_else(|| MetadataError::Missing { key: key.to_owned() })
}

fn integer<T: TryFrom<i128>>(
    key: &str,
    value: &Value,
    expected: &'static str,
) -> Result<T, MetadataError> {
    let number = value.as_integer().ok_or_else(|| wrong_type(key, expected, value))?;
    fit(key, number, expected)
}

fn fit<T: TryFrom<i128>>(
    key: &str,
    value: i128,
    expected: &'static str,
) -> Result<T, MetadataError> {
    T::try_from(value).map_err(|_| MetadataError::OutOfRange {
        key: key.to_owned(),
        value,
        expected,
    })
}

fn wrong_type(key: &str, expected: &'static str, found: &Value) -> MetadataError {
    MetadataError::WrongType { key: key.to_owned(), expected, found: found.type_name() }
}
