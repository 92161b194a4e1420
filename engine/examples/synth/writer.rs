//! Writes GGUF version 3: the header, metadata and tensor table, and then tensor data as it comes.

use std::io::{self, Write};

use realm_engine::{
    gguf::{Array, DEFAULT_ALIGNMENT_BYTES, Value},
    quant::BlockFormat,
};

/// One line of the tensor table.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Such as `blk.0.attn_q.weight`.
    pub(crate) name: String,
    /// Row length first; one size for a vector.
    pub(crate) shape: Vec<usize>,
    /// Format of its blocks.
    pub(crate) format: BlockFormat,
    /// Bytes of its data.
    pub(crate) bytes: u64,
}

/// Everything before the tensor data, padded to where they start.
pub(crate) fn header(metadata: &[(String, Value)], tensors: &[Entry]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(&mut out, key);
        push(&mut out, value);
    }
    let mut offset = 0;
    for tensor in tensors {
        text(&mut out, &tensor.name);
        out.extend((tensor.shape.len() as u32).to_le_bytes());
        out.extend(tensor.shape.iter().flat_map(|size| (*size as u64).to_le_bytes()));
        out.extend(tensor.format.ggml_type().to_le_bytes());
        out.extend(u64::to_le_bytes(offset));
        offset += tensor.bytes.next_multiple_of(DEFAULT_ALIGNMENT_BYTES);
    }
    out.resize(out.len().next_multiple_of(DEFAULT_ALIGNMENT_BYTES as usize), 0);
    out
}

/// Fills up after a tensor of `bytes` bytes.
pub(crate) fn pad(out: &mut impl Write, bytes: u64) -> io::Result<()> {
    let missing = bytes.next_multiple_of(DEFAULT_ALIGNMENT_BYTES) - bytes;
    out.write_all(&[0; DEFAULT_ALIGNMENT_BYTES as usize][..missing as usize])
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Type number and value.
fn push(out: &mut Vec<u8>, value: &Value) {
    let mut number = |kind: u32, bytes: &[u8]| {
        out.extend(kind.to_le_bytes());
        out.extend(bytes);
    };
    match value {
        Value::U8(value) => number(0, &value.to_le_bytes()),
        Value::I8(value) => number(1, &value.to_le_bytes()),
        Value::U16(value) => number(2, &value.to_le_bytes()),
        Value::I16(value) => number(3, &value.to_le_bytes()),
        Value::U32(value) => number(4, &value.to_le_bytes()),
        Value::I32(value) => number(5, &value.to_le_bytes()),
        Value::F32(value) => number(6, &value.to_le_bytes()),
        Value::Bool(value) => number(7, &[u8::from(*value)]),
        Value::U64(value) => number(10, &value.to_le_bytes()),
        Value::I64(value) => number(11, &value.to_le_bytes()),
        Value::F64(value) => number(12, &value.to_le_bytes()),
        Value::String(value) => {
            number(8, &[]);
            text(out, value);
        }
        Value::Array(array) => {
            number(9, &[]);
            push_array(out, array);
        }
    }
}

/// Element type, count and elements.
fn push_array(out: &mut Vec<u8>, array: &Array) {
    macro_rules! numbers {
        ($kind:literal, $values:ident) => {{
            start(out, $kind, $values.len());
            out.extend($values.iter().flat_map(|value| value.to_le_bytes()));
        }};
    }
    match array {
        Array::U8(values) => numbers!(0, values),
        Array::I8(values) => numbers!(1, values),
        Array::U16(values) => numbers!(2, values),
        Array::I16(values) => numbers!(3, values),
        Array::U32(values) => numbers!(4, values),
        Array::I32(values) => numbers!(5, values),
        Array::F32(values) => numbers!(6, values),
        Array::U64(values) => numbers!(10, values),
        Array::I64(values) => numbers!(11, values),
        Array::F64(values) => numbers!(12, values),
        Array::Bool(values) => {
            start(out, 7, values.len());
            out.extend(values.iter().map(|value| u8::from(*value)));
        }
        Array::String(values) => {
            start(out, 8, values.len());
            for value in values {
                text(out, value);
            }
        }
    }
}

fn start(out: &mut Vec<u8>, kind: u32, count: usize) {
    out.extend(kind.to_le_bytes());
    out.extend((count as u64).to_le_bytes());
}
