//! The inner loops, chosen once at start for the CPU at hand: quantize activations, multiply rows of weights with
//! them, and the vector operations of attention.
//!
//! Every instruction set gives the same results as the scalar reference: integer parts exactly, float sums up to
//! their order. Activations are quantized as ggml's CPU code does, so that logits agree with llama.cpp in practice.
//! Products are serial, `ops` spreads them over threads; only activations of many rows are prepared in parallel here.
mod activations;
pub mod attend;
pub mod exp;
pub mod packed;
mod pointwise;
mod scalar;
mod set;
#[cfg(any(target_arch = "aarch64", all(target_arch = "wasm32", target_feature = "simd128")))]
mod tiled;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use std::fmt;

pub use activations::{ActivationFormat, Activations};
pub use pointwise::Pointwise;
pub use set::WeightRows;

use crate::team::Team;
use packed::{Panels, Product, TileOutput};
use scalar::Scalar;
use set::KernelSet;
#[cfg(target_arch = "x86_64")]
use {
    packed::AvxVnniTiles,
    x86_64::{Avx2, Avx512, Vnni256},
};
#[cfg(target_arch = "aarch64")]
use {packed::NeonTiles, tiled::Tiled};
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use {packed::Simd128Tiles, tiled::Tiled};

/// From so many values on, activations are prepared by the whole team.
const PARALLEL_VALUES: usize = 1 << 15;

/// Which instruction set to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KernelChoice {
    /// The best that this CPU has.
    #[default]
    Auto,
    /// The portable reference; slow.
    Scalar,
    /// AVX2 with FMA and F16C.
    Avx2,
    /// AVX2 with dot products on 256-bit registers: AVX-VNNI, or AVX-512 VL and VNNI.
    AvxVnni,
    /// AVX-512 F, BW, DQ, VL and VNNI.
    Avx512,
    /// NEON, which every 64-bit Arm CPU has.
    Neon,
    /// NEON with the dot products of Armv8.2.
    NeonDot,
    /// WebAssembly's vectors of 128 bits.
    Simd128,
}

/// Why kernels could not be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// The CPU lacks the instruction set.
    #[error("this CPU cannot run the {wanted} kernels (they need {needs}); choose auto")]
    Unsupported {
        /// Name of the kernels.
        wanted: &'static str,
        /// What the CPU must have.
        needs: &'static str,
    },
}

/// The kernels in use. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Kernels {
    set: Set,
}

#[derive(Clone, Copy)]
enum Set {
    Scalar(Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    AvxVnni(Vnni256<AvxVnniTiles<false>>),
    #[cfg(target_arch = "x86_64")]
    EvexVnni(Vnni256<AvxVnniTiles<true>>),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(Tiled<NeonTiles<false>>),
    #[cfg(target_arch = "aarch64")]
    NeonDot(Tiled<NeonTiles<true>>),
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    Simd128(Tiled<Simd128Tiles>),
}

/// What can be named, the better later.
const NAMED: [KernelChoice; 7] = [
    KernelChoice::Scalar,
    KernelChoice::Avx2,
    KernelChoice::AvxVnni,
    KernelChoice::Avx512,
    KernelChoice::Neon,
    KernelChoice::NeonDot,
    KernelChoice::Simd128,
];

impl KernelChoice {
    /// The name, and what the CPU must have.
    fn name_and_needs(self) -> (&'static str, &'static str) {
        match self {
            Self::Auto => ("auto", "nothing"),
            Self::Scalar => ("scalar", "nothing"),
            Self::Avx2 => ("avx2", "AVX2, FMA and F16C"),
            Self::AvxVnni => ("avxvnni", "AVX2, FMA, F16C, and AVX-VNNI or AVX-512 VL and VNNI"),
            Self::Avx512 => ("avx512", "AVX-512 F, BW, DQ, VL and VNNI, and F16C"),
            Self::Neon => ("neon", "64-bit Arm with NEON"),
            Self::NeonDot => ("neon-dot", "64-bit Arm with NEON and dot products"),
            Self::Simd128 => ("simd128", "WebAssembly, and a build with simd128"),
        }
    }

    /// The kernels of that name, if this CPU can run them.
    #[cfg(target_arch = "x86_64")]
    fn find(self) -> Option<Set> {
        match self {
            Self::Scalar => Some(Set::Scalar(Scalar)),
            Self::Avx2 => Avx2::new().map(Set::Avx2),
            Self::AvxVnni => {
                Vnni256::new().map(Set::AvxVnni).or_else(|| Vnni256::new_evex().map(Set::EvexVnni))
            }
            Self::Avx512 => Avx512::new().map(Set::Avx512),
            _ => None,
        }
    }

    /// The kernels of that name, if this CPU can run them.
    #[cfg(target_arch = "aarch64")]
    fn find(self) -> Option<Set> {
        let (name, _) = self.name_and_needs();
        match self {
            Self::Scalar => Some(Set::Scalar(Scalar)),
            Self::Neon => NeonTiles::new().map(|isa| Set::Neon(Tiled::new(isa, name))),
            Self::NeonDot => NeonTiles::new_dot().map(|isa| Set::NeonDot(Tiled::new(isa, name))),
            _ => None,
        }
    }

    /// The kernels of that name, if this build has them.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn find(self) -> Option<Set> {
        match self {
            Self::Scalar => Some(Set::Scalar(Scalar)),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128 => Some(Set::Simd128(Tiled::new(Simd128Tiles, self.name_and_needs().0))),
            _ => None,
        }
    }
}

impl Kernels {
    /// Detects what the CPU can do and takes the wanted kernels.
    ///
    /// # Errors
    /// [`KernelError::Unsupported`] when a set was named that this CPU cannot run; `Auto` and `Scalar` never fail.
    pub fn select(choice: KernelChoice) -> Result<Self, KernelError> {
        if choice == KernelChoice::Auto {
            let best = NAMED.iter().rev().find_map(|choice| choice.find());
            return Ok(Self { set: best.unwrap_or(Set::Scalar(Scalar)) });
        }
        let (wanted, needs) = choice.name_and_needs();
        choice.find().map(|set| Self { set }).ok_or(KernelError::Unsupported { wanted, needs })
    }

    /// Every set that this CPU can run, the scalar reference first.
    pub fn available() -> Vec<Self> {
        NAMED.iter().filter_map(|choice| choice.find()).map(|set| Self { set }).collect()
    }

    /// `scalar`, `avx2`, `avxvnni`, `avx512`, `neon`, `neon-dot` or `simd128`.
    pub fn name(&self) -> &'static str {
        self.set().name()
    }

    /// Prepares rows of activations for weights of some format; once per matrix product, not once per weight row.
    /// `input` holds whole rows of `cols` values. Anything after the last whole row is left out.
    pub fn activations(
        &self,
        team: &Team,
        format: ActivationFormat,
        input: &[f32],
        cols: usize,
    ) -> Activations {
        let mut activations =
            Activations::zeroed(format, input.len().checked_div(cols).unwrap_or(0), cols);
        let rows = input.chunks_exact(cols.max(1)).zip(activations.rows_mut());
        if input.len() < PARALLEL_VALUES {
            rows.for_each(|(source, row)| self.set().quantize(source, row));
        } else {
            let mut rows: Vec<_> = rows.collect();
            let at_once = PARALLEL_VALUES.div_ceil(4 * cols.max(1));
            team.each_part(&mut rows, at_once, |_, rows, _| {
                for (source, row) in rows {
                    self.set().quantize(source, row.again());
                }
            });
        }
        activations
    }

    /// Multiplies weight rows with activation rows: `outputs[i][r]` becomes the dot product of weight row `r` with
    /// activation row `first + i`.
    ///
    /// # Panics
    /// Does not: rows of `outputs` that have no weights or activations are left as they are, and so is everything
    /// when the activations were prepared for another format or length.
    pub fn multiply(
        &self,
        weights: WeightRows<'_>,
        activations: &Activations,
        first: usize,
        outputs: &mut [&mut [f32]],
    ) {
        let fits = activations.cols() == weights.cols()
            && activations.format() == ActivationFormat::for_weights(weights.format());
        let count = activations.rows().saturating_sub(first).min(outputs.len());
        if fits && weights.cols() > 0 {
            self.set().multiply(weights, activations, first, &mut outputs[..count]);
        }
    }

    /// Quantizes rows of `cols` values of `input` and lays them out for products with packed weights; `None` for formats of
    /// floats. Anything after the last whole row is left out.
    pub fn panels(
        &self,
        team: &Team,
        format: ActivationFormat,
        input: &[f32],
        cols: usize,
    ) -> Option<Panels> {
        Panels::new(|work| self.set().fill_unit(work), team, format, input, cols)
    }

    /// Multiplies packed matrices with panels; those of another width or kind of activations are left out.
    pub fn multiply_packed(&self, team: &Team, panels: &Panels, products: &mut [Product<'_, '_>]) {
        let kernels = *self;
        let tile = |format, width, weights: &[u8], panel: &[u8], output: &mut TileOutput| {
            kernels.set().tile(format, width, weights, panel, output);
        };
        packed::multiply_all(tile, team, panels, products);
    }

    /// Lets rows of queries gather from a page of keys and values.
    pub fn attend(&self, work: &mut attend::PageWork<'_>) {
        self.set().attend(work);
    }

    /// Sum of `a[i] * b[i]` over the shorter length.
    pub fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        self.set().dot(a, b)
    }

    /// Treats each number of a row.
    pub fn pointwise(&self, work: Pointwise<'_>) {
        self.set().pointwise(work);
    }

    fn set(&self) -> &dyn KernelSet {
        match &self.set {
            Set::Scalar(set) => set,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(set) => set,
            #[cfg(target_arch = "x86_64")]
            Set::AvxVnni(set) => set,
            #[cfg(target_arch = "x86_64")]
            Set::EvexVnni(set) => set,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(set) => set,
            #[cfg(target_arch = "aarch64")]
            Set::Neon(set) => set,
            #[cfg(target_arch = "aarch64")]
            Set::NeonDot(set) => set,
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Set::Simd128(set) => set,
        }
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Kernels").field(&self.name()).finish()
    }
}
