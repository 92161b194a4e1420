//! Which format each matrix gets: the mixes of llama.cpp's quantizer for the llama family without an importance matrix.
//!
//! A plain name (`Q4_K`) gives every matrix of the blocks that one format, so that formats compare; `_M` and `_S` are
//! llama.cpp's mixes. The output matrix is never below six bits, as there.

use realm_engine::quant::BlockFormat;

/// A place in the model that may have a format of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The token embedding.
    Embedding,
    /// The output matrix, or the embedding when it is the output too.
    Output,
    /// The values' matrix of block `.0`.
    Values(usize),
    /// The feed-forward network's second matrix of block `.0`.
    Down(usize),
    /// Every other matrix.
    Other,
}

/// A name of llama.cpp's, its number in the metadata key `general.file_type`, and the format that most matrices have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mix {
    /// The name that chooses it.
    pub(crate) name: &'static str,
    /// llama.cpp's number.
    pub(crate) file_type: u32,
    base: BlockFormat,
}

const MIXES: [Mix; 17] = [
    Mix { name: "F32", file_type: 0, base: BlockFormat::F32 },
    Mix { name: "F16", file_type: 1, base: BlockFormat::F16 },
    Mix { name: "BF16", file_type: 32, base: BlockFormat::BF16 },
    Mix { name: "Q4_0", file_type: 2, base: BlockFormat::Q4_0 },
    Mix { name: "Q4_1", file_type: 3, base: BlockFormat::Q4_1 },
    Mix { name: "Q5_0", file_type: 8, base: BlockFormat::Q5_0 },
    Mix { name: "Q5_1", file_type: 9, base: BlockFormat::Q5_1 },
    Mix { name: "Q8_0", file_type: 7, base: BlockFormat::Q8_0 },
    Mix { name: "Q2_K", file_type: 10, base: BlockFormat::Q2_K },
    Mix { name: "Q3_K", file_type: 11, base: BlockFormat::Q3_K },
    Mix { name: "Q4_K", file_type: 14, base: BlockFormat::Q4_K },
    Mix { name: "Q5_K", file_type: 16, base: BlockFormat::Q5_K },
    Mix { name: "Q6_K", file_type: 18, base: BlockFormat::Q6_K },
    Mix { name: "Q3_K_M", file_type: 12, base: BlockFormat::Q3_K },
    Mix { name: "Q4_K_S", file_type: 14, base: BlockFormat::Q4_K },
    Mix { name: "Q4_K_M", file_type: 15, base: BlockFormat::Q4_K },
    Mix { name: "Q5_K_M", file_type: 17, base: BlockFormat::Q5_K },
];

/// The mix of that name.
pub(crate) fn find(name: &str) -> Option<Mix> {
    MIXES.into_iter().find(|mix| mix.name == name)
}

/// All names, for messages.
pub(crate) fn names() -> String {
    MIXES.map(|mix| mix.name).join(", ")
}

impl Mix {
    /// The format of a matrix whose rows have `cols` weights, in a model of `layers` blocks.
    pub(crate) fn format(self, place: Place, layers: usize, cols: usize) -> BlockFormat {
        fitting(self.wanted(place, layers), cols)
    }

    fn wanted(self, place: Place, layers: usize) -> BlockFormat {
        use BlockFormat::{BF16, F16, F32, Q4_K, Q5_K, Q6_K, Q8_0};
        match (self.name, place) {
            (_, Place::Output) if !matches!(self.base, F32 | F16 | BF16 | Q8_0) => Q6_K,
            ("Q4_K_M" | "Q5_K_M", Place::Values(layer) | Place::Down(layer))
                if more_bits(layer, layers) =>
            {
                Q6_K
            }
            ("Q4_K_S", Place::Values(layer)) if layer < 4 => Q5_K,
            ("Q4_K_S", Place::Down(layer)) if layer < layers / 8 => Q5_K,
            ("Q3_K_M", Place::Values(layer)) => {
                if layer < 2 {
                    Q5_K
                } else {
                    Q4_K
                }
            }
            ("Q3_K_M", Place::Down(layer)) => {
                if layer < layers / 16 {
                    Q5_K
                } else {
                    Q4_K
                }
            }
            _ => self.base,
        }
    }
}

/// The first and the last eighth of the blocks, and every third between.
fn more_bits(layer: usize, layers: usize) -> bool {
    let eighth = layers / 8;
    layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2
}

/// A format of 256-weight blocks gives way to one of 32 where rows do not divide; llama.cpp's choice but for IQ4_NL,
/// which stands for Q2_K and Q3_K there and which Realm does not read.
fn fitting(format: BlockFormat, cols: usize) -> BlockFormat {
    use BlockFormat::{Q2_K, Q3_K, Q4_0, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0};
    if format.row_bytes(cols).is_some() {
        return format;
    }
    match format {
        Q2_K | Q3_K => Q4_0,
        Q4_K => Q5_0,
        Q5_K => Q5_1,
        Q6_K => Q8_0,
        other => other,
    }
}
