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
mod scalar;
mod set;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use std::fmt;

pub use activations::{ActivationFormat, Activations};
pub use set::WeightRows;

use crate::quant::BlockFormat;
use crate::team::Team;
use half::f16;
use packed::{TileOutput, UnitFill};
use scalar::Scalar;
use set::KernelSet;
#[cfg(target_arch = "x86_64")]
use {
    packed::AvxVnniTiles,
    x86_64::{Avx2, Avx512, Vnni256},
};

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
}

impl Kernels {
    /// Detects what the CPU can do and takes the wanted kernels.
    ///
    /// # Errors
    /// [`KernelError::Unsupported`] when a set was named that this CPU cannot run; `Auto` and `Scalar` never fail.
    pub fn select(choice: KernelChoice) -> Result<Self, KernelError> {
        let set = match choice {
            KernelChoice::Auto => {
                avx512().or_else(avx_vnni).or_else(avx2).unwrap_or(Set::Scalar(Scalar))
            }
            KernelChoice::Scalar => Set::Scalar(Scalar),
            KernelChoice::Avx2 => avx2()
                .ok_or(KernelError::Unsupported { wanted: "avx2", needs: "AVX2, FMA and F16C" })?,
            KernelChoice::AvxVnni => avx_vnni().ok_or(KernelError::Unsupported {
                wanted: "avxvnni",
                needs: "AVX2, FMA, F16C, and AVX-VNNI or AVX-512 VL and VNNI",
            })?,
            KernelChoice::Avx512 => avx512().ok_or(KernelError::Unsupported {
                wanted: "avx512",
                needs: "AVX-512 F, BW, DQ, VL and VNNI, and F16C",
            })?,
        };
        Ok(Self { set })
    }

    /// Every set that this CPU can run, the scalar reference first.
    pub fn available() -> Vec<Self> {
        let choices =
            [KernelChoice::Scalar, KernelChoice::Avx2, KernelChoice::AvxVnni, KernelChoice::Avx512];
        choices.into_iter().filter_map(|choice| Self::select(choice).ok()).collect()
    }

    /// `scalar`, `avx2`, `avxvnni` or `avx512`.
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
                rows.iter_mut().for_each(|(source, row)| self.set().quantize(source, row.again()));
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

    /// One group of packed rows times a panel of `width` columns.
    pub(in crate::kernels) fn tile(
        &self,
        format: BlockFormat,
        width: usize,
        weights: &[u8],
        panel: &[u8],
        output: &mut TileOutput,
    ) {
        self.set().tile(format, width, weights, panel, output);
    }

    /// Quantizes a unit of a panel.
    pub(in crate::kernels) fn fill_unit(&self, work: &mut UnitFill<'_>) {
        self.set().fill_unit(work);
    }

    /// Lets rows of queries gather from a page of keys and values.
    pub fn attend(&self, work: &mut attend::PageWork<'_>) {
        self.set().attend(work);
    }

    /// Sum of `a[i] * b[i]` over the shorter length.
    pub fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        self.set().dot(a, b)
    }

    /// Sum of `a[i] * b[i]` over the shorter length.
    pub fn dot_f16(&self, a: &[f16], b: &[f32]) -> f32 {
        self.set().dot_f16(a, b)
    }

    /// `y[i] += factor * x[i]` over the shorter length.
    pub fn axpy(&self, factor: f32, x: &[f32], y: &mut [f32]) {
        self.set().axpy(factor, x, y);
    }

    /// `y[i] += factor * x[i]` over the shorter length.
    pub fn axpy_f16(&self, factor: f32, x: &[f16], y: &mut [f32]) {
        self.set().axpy_f16(factor, x, y);
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
        }
    }
}

impl fmt::Debug for Kernels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Kernels").field(&self.name()).finish()
    }
}

#[cfg(target_arch = "x86_64")]
fn avx512() -> Option<Set> {
    Avx512::new().map(Set::Avx512)
}

#[cfg(target_arch = "x86_64")]
fn avx_vnni() -> Option<Set> {
    Vnni256::new().map(Set::AvxVnni).or_else(|| Vnni256::new_evex().map(Set::EvexVnni))
}

#[cfg(target_arch = "x86_64")]
fn avx2() -> Option<Set> {
    Avx2::new().map(Set::Avx2)
}

#[cfg(not(target_arch = "x86_64"))]
fn avx512() -> Option<Set> {
    None
}

#[cfg(not(target_arch = "x86_64"))]
fn avx_vnni() -> Option<Set> {
    None
}

#[cfg(not(target_arch = "x86_64"))]
fn avx2() -> Option<Set> {
    None
}
