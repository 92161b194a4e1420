//! One metadata value: the thirteen types of the specification.
use super::error::GgufError;
use super::reader::{MAX_ARRAY_ELEMENTS, MAX_STRING_BYTES, Reader};

/// A typed value.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the variants are the types of the specification, named alike")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    String(String),
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// A typed array. Arrays of arrays are refused by the reader.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the variants are the types of the specification, named alike")]
pub enum Array {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    F32(Vec<f32>),
    Bool(Vec<bool>),
    String(Vec<String>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F64(Vec<f64>),
}

impl Value {
    /// The type in the words of the specification, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::U8(_) => "u8",
            Self::I8(_) => "i8",
            Self::U16(_) => "u16",
            Self::I16(_) => "i16",
            Self::U32(_) => "u32",
            Self::I32(_) => "i32",
            Self::F32(_) => "f32",
            Self::Bool(_) => "bool",
            Self::String(_) => "string",
            Self::Array(array) => array.type_name(),
            Self::U64(_) => "u64",
            Self::I64(_) => "i64",
            Self::F64(_) => "f64",
        }
    }

    /// The value of any integer type.
    pub fn as_integer(&self) -> Option<i128> {
        Some(match self {
            Self::U8(value) => i128::from(*value),
            Self::I8(value) => i128::from(*value),
            Self::U16(value) => i128::from(*value),
            Self::I16(value) => i128::from(*value),
            Self::U32(value) => i128::from(*value),
            Self::I32(value) => i128::from(*value),
            Self::U64(value) => i128::from(*value),
            Self::I64(value) => i128::from(*value),
            _ => return None,
        })
    }
}

impl Array {
    /// The type for messages, such as `array of string`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::U8(_) => "array of u8",
            Self::I8(_) => "array of i8",
            Self::U16(_) => "array of u16",
            Self::I16(_) => "array of i16",
            Self::U32(_) => "array of u32",
            Self::I32(_) => "array of i32",
            Self::F32(_) => "array of f32",
            Self::Bool(_) => "array of bool",
            Self::String(_) => "array of string",
            Self::U64(_) => "array of u64",
            Self::I64(_) => "array of i64",
            Self::F64(_) => "array of f64",
        }
    }

    /// The elements, widened, when the element type is an integer.
    pub fn as_integers(&self) -> Option<Box<dyn ExactSizeIterator<Item = i128> + '_>> {
        fn wide<T: Copy + Into<i128>>(
            values: &[T],
        ) -> Box<dyn ExactSizeIterator<Item = i128> + '_> {
            Box::new(values.iter().map(|value| (*value).into()))
        }
        Some(match self {
            Self::U8(values) => wide(values),
            Self::I8(values) => wide(values),
            Self::U16(values) => wide(values),
            Self::I16(values) => wide(values),
            Self::U32(values) => wide(values),
            Self::I32(values) => wide(values),
            Self::U64(values) => wide(values),
            Self::I64(values) => wide(values),
            _ => return None,
        })
    }
}

/// Reads the type and the value that follow `key`.
pub(super) fn read(reader: &mut Reader<'_>, key: &str) -> Result<Value, GgufError> {
    let what = || format!("the value of metadata key \"{key}\"");
    let at = reader.position();
    let kind = reader.u32(&format!("the value type of metadata key \"{key}\""))?;
    Ok(match kind {
        0 => Value::U8(one(reader, what)?),
        1 => Value::I8(one(reader, what)?),
        2 => Value::U16(one(reader, what)?),
        3 => Value::I16(one(reader, what)?),
        4 => Value::U32(one(reader, what)?),
        5 => Value::I32(one(reader, what)?),
        6 => Value::F32(one(reader, what)?),
        7 => Value::Bool(bool_at(one(reader, what)?, key, reader.position() - 1)?),
        8 => Value::String(reader.string(what, MAX_STRING_BYTES)?),
        9 => Value::Array(read_array(reader, key)?),
        10 => Value::U64(one(reader, what)?),
        11 => Value::I64(one(reader, what)?),
        12 => Value::F64(one(reader, what)?),
        found => return Err(GgufError::UnknownValueType { key: key.to_owned(), found, at }),
    })
}

fn read_array(reader: &mut Reader<'_>, key: &str) -> Result<Array, GgufError> {
    let what = || format!("the array of metadata key \"{key}\"");
    let at = reader.position();
    let kind = reader.u32(&format!("the element type of metadata key \"{key}\""))?;
    let count = reader.count(&format!("elements of metadata key \"{key}\""), MAX_ARRAY_ELEMENTS)?;
    Ok(match kind {
        0 => Array::U8(many(reader, count, what)?),
        1 => Array::I8(many(reader, count, what)?),
        2 => Array::U16(many(reader, count, what)?),
        3 => Array::I16(many(reader, count, what)?),
        4 => Array::U32(many(reader, count, what)?),
        5 => Array::I32(many(reader, count, what)?),
        6 => Array::F32(many(reader, count, what)?),
        7 => Array::Bool(bools(reader, count, key)?),
        8 => Array::String(strings(reader, count, key)?),
        9 => return Err(GgufError::NestedArray { key: key.to_owned(), at }),
        10 => Array::U64(many(reader, count, what)?),
        11 => Array::I64(many(reader, count, what)?),
        12 => Array::F64(many(reader, count, what)?),
        found => return Err(GgufError::UnknownValueType { key: key.to_owned(), found, at }),
    })
}

/// A number as it stands in the file.
trait Number: Sized {
    const BYTES: usize;
    fn from_bytes(bytes: &[u8]) -> Self;
}

macro_rules! number {
    ($($kind:ty),*) => {$(
        impl Number for $kind {
            const BYTES: usize = size_of::<$kind>();
            fn from_bytes(bytes: &[u8]) -> Self {
                let mut array = [0; size_of::<$kind>()];
                array.copy_from_slice(bytes);
                <$kind>::from_le_bytes(array)
            }
        }
    )*};
}
number!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);

fn one<T: Number>(reader: &mut Reader<'_>, what: impl Fn() -> String) -> Result<T, GgufError> {
    reader.take(T::BYTES as u64, what).map(T::from_bytes)
}

/// `count` numbers; the bytes are taken before anything is allocated.
fn many<T: Number>(
    reader: &mut Reader<'_>,
    count: u64,
    what: impl Fn() -> String,
) -> Result<Vec<T>, GgufError> {
    let bytes = reader.take(count * T::BYTES as u64, what)?;
    Ok(bytes.chunks_exact(T::BYTES).map(T::from_bytes).collect())
}

fn bools(reader: &mut Reader<'_>, count: u64, key: &str) -> Result<Vec<bool>, GgufError> {
    let start = reader.position();
    let bytes = reader.take(count, || format!("the array of metadata key \"{key}\""))?;
    bytes.iter().zip(start..).map(|(byte, at)| bool_at(*byte, key, at)).collect()
}

fn bool_at(byte: u8, key: &str, at: u64) -> Result<bool, GgufError> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        found => Err(GgufError::BadBool { key: key.to_owned(), found, at }),
    }
}

/// Bytes that an empty string takes in the file: its length.
const MIN_STRING_BYTES: u64 = 8;

fn strings(reader: &mut Reader<'_>, count: u64, key: &str) -> Result<Vec<String>, GgufError> {
    let (at, needed, left) = (reader.position(), count * MIN_STRING_BYTES, reader.left());
    if needed > left {
        return Err(GgufError::Truncated {
            what: format!("the array of metadata key \"{key}\""),
            at,
            needed,
            left,
        });
    }
    (0..count)
        .map(|index| {
            reader.string(|| format!("element {index} of metadata key \"{key}\""), MAX_STRING_BYTES)
        })
        .collect()
}
