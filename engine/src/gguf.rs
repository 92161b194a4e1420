//! The GGUF model file: header, metadata and the table of tensors, parsed once into checked values.
//!
//! Reads versions 2 and 3, little-endian, after the public GGUF specification (ggml, `docs/gguf.md`). Every count and
//! length has a limit and is compared with the bytes really present before anything is allocated for it, so a hostile
//! file costs no more than a small multiple of its own size. What a key means to a model is not known here.
mod error;
mod metadata;
mod reader;
mod tensor;
mod value;

use std::collections::{BTreeMap, HashSet};

pub use error::GgufError;
pub use metadata::{Metadata, MetadataError};
pub use reader::{MAX_ARRAY_ELEMENTS, MAX_STRING_BYTES};
pub use tensor::{MAX_DIMENSIONS, MAX_TENSOR_NAME_BYTES, TensorInfo};
pub use value::{Array, Value};

use reader::Reader;

/// Entries of metadata in one file; real models have fewer than a hundred.
pub const MAX_METADATA_ENTRIES: u64 = 65_536;
/// Bytes of one metadata key, by the specification.
pub const MAX_KEY_BYTES: u64 = 65_535;
/// Tensors in one file; the largest known models have a few thousand.
pub const MAX_TENSORS: u64 = 65_536;
/// Bytes between tensors when `general.alignment` is absent, by the specification.
pub const DEFAULT_ALIGNMENT_BYTES: u64 = 32;
/// Largest accepted `general.alignment`, bytes.
pub const MAX_ALIGNMENT_BYTES: u64 = 1 << 20;

const MAGIC: [u8; 4] = *b"GGUF";
const ALIGNMENT_KEY: &str = "general.alignment";

/// A parsed file. Offsets of [`tensors`](Self::tensors) are absolute and lie inside the bytes that were parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct Gguf {
    /// Format version: 2 or 3.
    pub version: u32,
    /// All keys and values.
    pub metadata: Metadata,
    /// All tensors, in file order, each name once.
    pub tensors: Vec<TensorInfo>,
}

impl Gguf {
    /// Parses a whole file. `bytes` must span the tensor data too, for every tensor is checked to lie inside.
    ///
    /// # Errors
    /// [`GgufError`] says what is wrong, at which byte, key or tensor, and what to do.
    pub fn parse(bytes: &[u8]) -> Result<Self, GgufError> {
        let mut reader = Reader::new(bytes);
        let header = Header::read(&mut reader)?;
        let metadata = read_metadata(&mut reader, header.metadata_entries)?;
        let alignment = alignment(&metadata)?;
        let tensors = read_tensors(&mut reader, header.tensors, alignment)?;
        Ok(Self { version: header.version, metadata, tensors })
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }
}

struct Header {
    version: u32,
    tensors: u64,
    metadata_entries: u64,
}

impl Header {
    fn read(reader: &mut Reader<'_>) -> Result<Self, GgufError> {
        let magic: [u8; 4] = reader.array("the magic")?;
        if magic != MAGIC {
            return Err(GgufError::NotGguf { found: magic });
        }
        let version = reader.u32("the version")?;
        check_version(version)?;
        let tensors = reader.count("tensors", MAX_TENSORS)?;
        let metadata_entries = reader.count("metadata entries", MAX_METADATA_ENTRIES)?;
        Ok(Self { version, tensors, metadata_entries })
    }
}

fn check_version(version: u32) -> Result<(), GgufError> {
    match version {
        2 | 3 => Ok(()),
        1 => Err(GgufError::Version1),
        _ if matches!(version.swap_bytes(), 1..=3) => Err(GgufError::BigEndian),
        _ => Err(GgufError::UnknownVersion { version }),
    }
}

fn read_metadata(reader: &mut Reader<'_>, count: u64) -> Result<Metadata, GgufError> {
    let mut entries = BTreeMap::new();
    for index in 0..count {
        let at = reader.position();
        let key = reader.string(|| format!("the key of metadata entry {index}"), MAX_KEY_BYTES)?;
        if key.is_empty() {
            return Err(GgufError::EmptyKey { index, at });
        }
        let value = value::read(reader, &key)?;
        if entries.contains_key(&key) {
            return Err(GgufError::DuplicateKey { key, at });
        }
        entries.insert(key, value);
    }
    Ok(Metadata::new(entries))
}

fn alignment(metadata: &Metadata) -> Result<u64, GgufError> {
    match metadata.get(ALIGNMENT_KEY) {
        None => Ok(DEFAULT_ALIGNMENT_BYTES),
        Some(Value::U32(bytes)) => {
            let alignment = u64::from(*bytes);
            if alignment.is_power_of_two() && (8..=MAX_ALIGNMENT_BYTES).contains(&alignment) {
                Ok(alignment)
            } else {
                Err(GgufError::BadAlignment { alignment })
            }
        }
        Some(other) => Err(GgufError::AlignmentType { found: other.type_name() }),
    }
}

fn read_tensors(
    reader: &mut Reader<'_>,
    count: u64,
    alignment: u64,
) -> Result<Vec<TensorInfo>, GgufError> {
    let mut headers = Vec::new();
    let mut names = HashSet::new();
    for index in 0..count {
        let header = tensor::Header::read(reader, index)?;
        if !names.insert(header.name.clone()) {
            return Err(GgufError::DuplicateTensor { tensor: header.name, at: header.at });
        }
        headers.push(header);
    }
    let data_start = reader.position().next_multiple_of(alignment);
    headers.into_iter().map(|header| header.place(data_start, alignment, reader.len())).collect()
}
