//! A whole file of the llama family: which tensors it has and their data, written as a stream.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::Context;
use realm_engine::{gguf::Value, quant::BlockFormat};

use super::{
    block_pool::BlockPools,
    mix::{Mix, Place},
    shape::Shape,
    vocabulary::Vocabulary,
    writer::{self, Entry},
};

/// Bytes that are gathered before a write.
const WRITE_BYTES: usize = 4 << 20;
/// Added to the mean square before its root.
const NORM_EPSILON: f32 = 1e-5;

/// Writes the model to `out`, which appears only when it is whole; returns its size.
pub(crate) fn write(
    out: &Path,
    shape: &Shape,
    mix: Mix,
    vocabulary: Vocabulary,
) -> anyhow::Result<u64> {
    let tensors = tensors(shape, mix, vocabulary.tokens)?;
    let mut metadata = metadata(shape, mix);
    metadata.extend(vocabulary.metadata);
    let part = out.with_extension(format!("{}.part", std::process::id()));
    let file = File::create(&part).with_context(|| format!("write {}", part.display()))?;
    let mut file = BufWriter::with_capacity(WRITE_BYTES, file);
    let header = writer::header(&metadata, &tensors);
    let written = write_all(&mut file, &header, &tensors);
    let bytes = written.and_then(|()| Ok(file.into_inner()?.metadata()?.len()));
    let bytes = bytes.with_context(|| format!("write {}", part.display())).inspect_err(|_| {
        // The error that ended the writing is the one to tell.
        let _ = fs::remove_file(&part);
    })?;
    fs::rename(&part, out).with_context(|| format!("name {}", out.display()))?;
    Ok(bytes)
}

fn write_all(file: &mut impl Write, header: &[u8], tensors: &[Entry]) -> anyhow::Result<()> {
    file.write_all(header)?;
    let mut pools = BlockPools::new();
    for tensor in tensors {
        match tensor.shape.as_slice() {
            &[cols, rows] => {
                pools.rows(tensor.format, rows, cols, |row| Ok(file.write_all(row)?))?;
            }
            sizes => {
                let ones = sizes.iter().product();
                file.write_all(&1.0_f32.to_le_bytes().repeat(ones))?;
            }
        }
        writer::pad(file, tensor.bytes)?;
    }
    Ok(())
}

fn metadata(shape: &Shape, mix: Mix) -> Vec<(String, Value)> {
    let number = |value: usize| Value::U32(value as u32);
    [
        ("general.architecture", Value::String("llama".to_owned())),
        ("general.name", Value::String(format!("synthetic {} {}", shape.name, mix.name))),
        ("general.file_type", Value::U32(mix.file_type)),
        ("general.quantization_version", Value::U32(2)),
        ("llama.block_count", number(shape.layers)),
        ("llama.context_length", number(shape.context)),
        ("llama.embedding_length", number(shape.embedding)),
        ("llama.feed_forward_length", number(shape.feed_forward)),
        ("llama.attention.head_count", number(shape.heads)),
        ("llama.attention.head_count_kv", number(shape.kv_heads)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(NORM_EPSILON)),
        ("llama.rope.dimension_count", number(shape.head_dim())),
        ("llama.rope.freq_base", Value::F32(shape.rope_base)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The table of tensors, in the order of the file.
fn tensors(shape: &Shape, mix: Mix, vocabulary: usize) -> anyhow::Result<Vec<Entry>> {
    let (embedding, layers) = (shape.embedding, shape.layers);
    let matrix = |name: String, place: Place, rows: usize, cols: usize| {
        entry(name, &[cols, rows], mix.format(place, layers, cols))
    };
    let vector = |name: String| entry(name, &[embedding], BlockFormat::F32);
    let place = if shape.tied { Place::Output } else { Place::Embedding };
    let mut table = vec![matrix("token_embd.weight".to_owned(), place, vocabulary, embedding)?];
    for layer in 0..layers {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let (kv, wide) = (shape.kv_len(), shape.feed_forward);
        table.extend([
            vector(name("attn_norm"))?,
            matrix(name("attn_q"), Place::Other, embedding, embedding)?,
            matrix(name("attn_k"), Place::Other, kv, embedding)?,
            matrix(name("attn_v"), Place::Values(layer), kv, embedding)?,
            matrix(name("attn_output"), Place::Other, embedding, embedding)?,
            vector(name("ffn_norm"))?,
            matrix(name("ffn_gate"), Place::Other, wide, embedding)?,
            matrix(name("ffn_up"), Place::Other, wide, embedding)?,
            matrix(name("ffn_down"), Place::Down(layer), embedding, wide)?,
        ]);
    }
    table.push(vector("output_norm.weight".to_owned())?);
    if !shape.tied {
        table.push(matrix("output.weight".to_owned(), Place::Output, vocabulary, embedding)?);
    }
    Ok(table)
}

fn entry(name: String, shape: &[usize], format: BlockFormat) -> anyhow::Result<Entry> {
    let cols = shape.first().copied().unwrap_or(0);
    let rows: usize = shape.iter().skip(1).product();
    let bytes = format.row_bytes(cols).with_context(|| {
        format!("{name}: rows of {cols} weights do not divide into blocks of {}", format.name())
    })?;
    Ok(Entry { name, shape: shape.to_vec(), format, bytes: bytes as u64 * rows as u64 })
}
