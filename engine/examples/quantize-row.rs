//! Quantizes little-endian `f32` from standard input to one row on standard output:
//! `cargo run --example quantize-row -- Q4_K < weights.f32 > row.q4_k`. `reference/quant_golden.py` uses it.
use std::io::{Read, Write};

use anyhow::Context;
use realm_engine::quant::{BlockFormat, quantize_row};

fn main() -> anyhow::Result<()> {
    let name = std::env::args().nth(1).context("name a format, such as Q4_K")?;
    let format = BlockFormat::ALL.into_iter().find(|format| format.name() == name);
    let format = format.with_context(|| format!("{name} is not a format"))?;
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input)?;
    let weights: Vec<f32> =
        input.as_chunks().0.iter().map(|bits| f32::from_le_bytes(*bits)).collect();
    let bytes = format.row_bytes(weights.len()).context("the weights do not divide into blocks")?;
    let mut row = vec![0; bytes];
    quantize_row(format, &weights, &mut row)?;
    std::io::stdout().write_all(&row)?;
    Ok(())
}
