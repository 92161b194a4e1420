//! Valid blocks in quantity: one stretch of normal noise per format and row length, quantized once; rows are cut from it
//! at random places. A file of gigabytes costs the quantizing of half a megabyte.

use std::collections::HashMap;

use anyhow::Context;
use rand_core::{RngCore, SeedableRng};
use rand_pcg::Pcg64;
use realm_engine::quant::{BlockFormat, quantize_row};

/// Places in a pool where a row can start, at least.
const POOL_STARTS: usize = 64;
/// Weights in a pool, at least: rows are short in small models.
const MIN_POOL_WEIGHTS: usize = 128 * 1024;
/// The same file from the same arguments on every machine.
const SEED: u64 = 0x5EED_B10C;

/// Pools by format and row length.
#[derive(Debug)]
pub(crate) struct BlockPools {
    random: Pcg64,
    pools: HashMap<(BlockFormat, usize), Vec<u8>>,
}

impl BlockPools {
    /// No pools yet.
    pub(crate) fn new() -> Self {
        Self { random: Pcg64::seed_from_u64(SEED), pools: HashMap::new() }
    }

    /// Hands `rows` rows of `cols` weights, their standard deviation `1 / sqrt(cols)`, to `take`.
    pub(crate) fn rows(
        &mut self,
        format: BlockFormat,
        rows: usize,
        cols: usize,
        mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let row_bytes = format.row_bytes(cols).with_context(|| {
            format!("rows of {cols} weights do not divide into blocks of {}", format.name())
        })?;
        let Self { random, pools } = self;
        let pool = match pools.entry((format, cols)) {
            std::collections::hash_map::Entry::Occupied(pool) => pool.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(quantized_noise(random, format, cols)?)
            }
        };
        let block = format.block_bytes();
        let starts = (pool.len() - row_bytes) / block + 1;
        for _ in 0..rows {
            let start = random.next_u64() as usize % starts * block;
            take(&pool[start..start + row_bytes])?;
        }
        Ok(())
    }
}

fn quantized_noise(
    random: &mut Pcg64,
    format: BlockFormat,
    cols: usize,
) -> anyhow::Result<Vec<u8>> {
    let block = format.block_len();
    let weights = (cols + POOL_STARTS * block).max(MIN_POOL_WEIGHTS).next_multiple_of(block);
    let deviation = 1.0 / (cols as f32).sqrt();
    let noise: Vec<f32> = (0..weights).map(|_| deviation * normal(random)).collect();
    let bytes = format.row_bytes(weights).context("a pool is whole blocks")?;
    let mut pool = vec![0; bytes];
    quantize_row(format, &noise, &mut pool)?;
    Ok(pool)
}

/// Nearly normal, deviation 1: the sum of twelve uniform numbers, less its mean.
fn normal(random: &mut Pcg64) -> f32 {
    let sum: f32 = (0..12).map(|_| (random.next_u32() >> 8) as f32 / (1_u32 << 24) as f32).sum();
    sum - 6.0
}
