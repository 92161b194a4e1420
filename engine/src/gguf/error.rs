//! What can be wrong with a GGUF file, in words that say where and what to do.

/// Why a file was refused. Byte offsets count from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The first four bytes are not `GGUF`.
    #[error(
        "not a GGUF file: it starts with bytes {found:02x?} instead of \"GGUF\"; give the path of a .gguf model file"
    )]
    NotGguf {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// Version 1 with 32-bit lengths.
    #[error(
        "GGUF version 1 at byte 4 is not supported (versions 2 and 3 are); convert the model again with a current converter"
    )]
    Version1,
    /// The version is byte-swapped.
    #[error(
        "big-endian GGUF is not supported (the version at byte 4 is byte-swapped); use the little-endian file of this model"
    )]
    BigEndian,
    /// A version from the future, or damage.
    #[error(
        "GGUF version {version} at byte 4 is not supported (versions 2 and 3 are); update Realm or download the file again"
    )]
    UnknownVersion {
        /// The version found.
        version: u32,
    },
    /// The file ends inside something.
    #[error(
        "the file ends too early: {what} at byte {at} needs {needed} bytes and {left} are left; the file is truncated or damaged, download it again"
    )]
    Truncated {
        /// What was being read.
        what: String,
        /// Where it starts.
        at: u64,
        /// Bytes it needs.
        needed: u64,
        /// Bytes that are there.
        left: u64,
    },
    /// A count or length is over its limit.
    #[error(
        "{what} at byte {at}: {found} is over the limit of {limit}; the file is damaged or hostile, download it again from a trusted source"
    )]
    OverLimit {
        /// What was being read.
        what: String,
        /// Where its count or length stands.
        at: u64,
        /// The count or length found.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A key, name or string is not UTF-8.
    #[error(
        "{what} at byte {at} is not valid UTF-8 (first wrong byte: {valid_up_to} bytes in); the file is damaged, download it again"
    )]
    NotUtf8 {
        /// What was being read.
        what: String,
        /// Where its text starts.
        at: u64,
        /// Bytes that were valid.
        valid_up_to: usize,
    },
    /// A metadata entry has no key.
    #[error(
        "metadata entry {index} at byte {at} has an empty key; the file is damaged, download it again"
    )]
    EmptyKey {
        /// Which entry, from zero.
        index: u64,
        /// Where it starts.
        at: u64,
    },
    /// A key occurs twice.
    #[error("metadata key \"{key}\" occurs a second time at byte {at}; convert the model again")]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where the second one starts.
        at: u64,
    },
    /// A value type outside 0..=12.
    #[error(
        "metadata key \"{key}\" has unknown value type {found} at byte {at} (known: 0 to 12); the file is damaged or newer than this reader"
    )]
    UnknownValueType {
        /// The key.
        key: String,
        /// The type number.
        found: u32,
        /// Where the type number stands.
        at: u64,
    },
    /// A boolean that is neither 0 nor 1.
    #[error(
        "metadata key \"{key}\" has boolean {found} at byte {at}, where only 0 and 1 are; convert the model again"
    )]
    BadBool {
        /// The key.
        key: String,
        /// The byte.
        found: u8,
        /// Where it stands.
        at: u64,
    },
    /// An array of arrays.
    #[error(
        "metadata key \"{key}\" holds an array of arrays at byte {at}, which no model uses; convert the model again"
    )]
    NestedArray {
        /// The key.
        key: String,
        /// Where the element type stands.
        at: u64,
    },
    /// The alignment is not a usable number.
    #[error(
        "metadata key \"general.alignment\" is {alignment}; it must be a power of two from 8 to 1048576; convert the model again"
    )]
    BadAlignment {
        /// The value.
        alignment: u64,
    },
    /// The alignment is not a `u32`.
    #[error(
        "metadata key \"general.alignment\" is a {found}; it must be a u32; convert the model again"
    )]
    AlignmentType {
        /// The type found.
        found: &'static str,
    },
    /// A tensor has no name.
    #[error(
        "tensor {index} at byte {at} has an empty name; the file is damaged, download it again"
    )]
    EmptyTensorName {
        /// Which tensor, from zero.
        index: u64,
        /// Where its entry starts.
        at: u64,
    },
    /// A tensor name occurs twice.
    #[error("tensor \"{tensor}\" occurs a second time at byte {at}; convert the model again")]
    DuplicateTensor {
        /// The name.
        tensor: String,
        /// Where the second entry starts.
        at: u64,
    },
    /// Zero dimensions or more than four.
    #[error(
        "tensor \"{tensor}\" has {found} dimensions at byte {at}; 1 to 4 are possible; convert the model again"
    )]
    BadDimensions {
        /// The name.
        tensor: String,
        /// How many.
        found: u32,
        /// Where the count stands.
        at: u64,
    },
    /// A dimension is zero.
    #[error("tensor \"{tensor}\" has size zero in its shape {shape:?}; convert the model again")]
    EmptyDimension {
        /// The name.
        tensor: String,
        /// The shape.
        shape: Vec<u64>,
    },
    /// The number of weights or bytes does not fit.
    #[error(
        "tensor \"{tensor}\" with shape {shape:?} is larger than any memory; the file is damaged or hostile"
    )]
    TooManyWeights {
        /// The name.
        tensor: String,
        /// The shape.
        shape: Vec<u64>,
    },
    /// The tensor's format is unknown or not supported.
    #[error(
        "tensor \"{tensor}\" has format {number} ({name}) at byte {at}, which Realm cannot read; use a file quantized as one of {supported}"
    )]
    UnsupportedFormat {
        /// The tensor's name.
        tensor: String,
        /// ggml's number of the format.
        number: u32,
        /// ggml's name of the format, or `unknown`.
        name: &'static str,
        /// Where the number stands.
        at: u64,
        /// The formats that can be read.
        supported: String,
    },
    /// A row does not divide into blocks.
    #[error(
        "tensor \"{tensor}\" has rows of {row} weights, which {format} cannot hold (its blocks have {block}); quantize the model again"
    )]
    PartialBlock {
        /// The name.
        tensor: String,
        /// Weights in a row.
        row: u64,
        /// Format name.
        format: &'static str,
        /// Weights in a block.
        block: usize,
    },
    /// The tensor's data does not start on an alignment boundary.
    #[error(
        "tensor \"{tensor}\" has offset {offset}, not a multiple of the alignment {alignment}; convert the model again"
    )]
    Unaligned {
        /// The name.
        tensor: String,
        /// Offset from the start of the tensor data.
        offset: u64,
        /// The file's alignment.
        alignment: u64,
    },
    /// The tensor's data reaches past the end of the file.
    #[error(
        "tensor \"{tensor}\" takes {bytes} bytes at offset {offset} of the tensor data (byte {data_start}), but the file has only {file} bytes; it is truncated or damaged, download it again"
    )]
    OutsideFile {
        /// The name.
        tensor: String,
        /// Bytes of its data.
        bytes: u64,
        /// Offset from the start of the tensor data.
        offset: u64,
        /// Where the tensor data starts.
        data_start: u64,
        /// Size of the file.
        file: u64,
    },
}
