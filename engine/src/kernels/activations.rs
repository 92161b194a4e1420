//! Rows of activations, prepared for the dot products with one weight format.
//!
//! The numbers are those of ggml's Q8_0, Q8_1 and Q8_K blocks, kept as separate arrays: codes in lines of 64 that a
//! register holds, scales and sums beside them. Lines are padded with zeros at the end of a row.
use crate::quant::BlockFormat;

/// Codes in a line.
pub(super) const LINE: usize = 64;
/// Codes in a block of [`ActivationFormat::Q8_0`] and [`ActivationFormat::Q8_1`].
pub(super) const SMALL: usize = 32;
/// Codes in a block of [`ActivationFormat::Q8_K`].
pub(super) const LARGE: usize = 256;
/// Lines in a block of [`ActivationFormat::Q8_K`].
pub(super) const LARGE_LINES: usize = LARGE / LINE;

/// How activations are stored for a dot product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "the formats are known by these names everywhere")]
pub enum ActivationFormat {
    /// As they are.
    F32,
    /// Rounded to 16-bit floats.
    F16,
    /// Rounded to bfloat16.
    BF16,
    /// Blocks of 32 codes with a 16-bit scale.
    Q8_0,
    /// Blocks of 32 codes with a 16-bit scale and the block's sum.
    Q8_1,
    /// Blocks of 256 codes with an `f32` scale and the sums of each 16 codes.
    Q8_K,
}

impl ActivationFormat {
    /// The partner of a weight format, as in ggml.
    pub fn for_weights(format: BlockFormat) -> Self {
        match format {
            BlockFormat::F32 => Self::F32,
            BlockFormat::F16 => Self::F16,
            BlockFormat::BF16 => Self::BF16,
            BlockFormat::Q4_0 | BlockFormat::Q5_0 | BlockFormat::Q8_0 | BlockFormat::Q8_1 => {
                Self::Q8_0
            }
            BlockFormat::Q4_1 | BlockFormat::Q5_1 => Self::Q8_1,
            BlockFormat::Q2_K
            | BlockFormat::Q3_K
            | BlockFormat::Q4_K
            | BlockFormat::Q5_K
            | BlockFormat::Q6_K
            | BlockFormat::Q8_K => Self::Q8_K,
        }
    }

    fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F16 | Self::BF16)
    }
}

/// Codes that fill one register.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [i8; LINE]);

/// Rows of activations of one format and length.
#[derive(Debug, Clone)]
pub struct Activations {
    format: ActivationFormat,
    rows: usize,
    cols: usize,
    floats: Vec<f32>,
    lines: Vec<Line>,
    scales: Vec<f32>,
    sums: Vec<f32>,
    group_sums: Vec<[i16; 16]>,
}

/// One row to be filled; only the arrays of its format have elements.
#[derive(Debug)]
pub(super) struct ActivationRow<'a> {
    pub(super) format: ActivationFormat,
    pub(super) floats: &'a mut [f32],
    pub(super) lines: &'a mut [Line],
    pub(super) scales: &'a mut [f32],
    pub(super) sums: &'a mut [f32],
    pub(super) group_sums: &'a mut [[i16; 16]],
}

impl ActivationRow<'_> {
    /// The same row for a shorter time.
    pub(super) fn again(&mut self) -> ActivationRow<'_> {
        ActivationRow {
            format: self.format,
            floats: self.floats,
            lines: self.lines,
            scales: self.scales,
            sums: self.sums,
            group_sums: self.group_sums,
        }
    }
}

/// Elements of each array in a row.
struct Widths {
    floats: usize,
    lines: usize,
    scales: usize,
    sums: usize,
    group_sums: usize,
}

impl Widths {
    fn new(format: ActivationFormat, cols: usize) -> Self {
        let lines = if format.is_float() { 0 } else { cols.div_ceil(LINE) };
        let blocks = cols.div_ceil(LARGE);
        let of = |wanted: bool, width: usize| if wanted { width } else { 0 };
        Self {
            floats: of(format.is_float(), cols),
            lines: if format == ActivationFormat::Q8_K { blocks * LARGE_LINES } else { lines },
            scales: if format == ActivationFormat::Q8_K { blocks } else { lines * (LINE / SMALL) },
            sums: of(format == ActivationFormat::Q8_1, lines * (LINE / SMALL)),
            group_sums: of(format == ActivationFormat::Q8_K, blocks),
        }
    }
}

impl Activations {
    pub(super) fn zeroed(format: ActivationFormat, rows: usize, cols: usize) -> Self {
        let widths = Widths::new(format, cols);
        Self {
            format,
            rows,
            cols,
            floats: vec![0.0; rows * widths.floats],
            lines: vec![Line([0; LINE]); rows * widths.lines],
            scales: vec![0.0; rows * widths.scales],
            sums: vec![0.0; rows * widths.sums],
            group_sums: vec![[0; 16]; rows * widths.group_sums],
        }
    }

    /// How the values are stored.
    pub fn format(&self) -> ActivationFormat {
        self.format
    }

    /// Number of rows: tokens.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values in a row.
    pub fn cols(&self) -> usize {
        self.cols
    }

    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = ActivationRow<'_>> {
        let (format, widths) = (self.format, Widths::new(self.format, self.cols));
        let mut floats = self.floats.as_mut_slice();
        let mut lines = self.lines.as_mut_slice();
        let mut scales = self.scales.as_mut_slice();
        let mut sums = self.sums.as_mut_slice();
        let mut group_sums = self.group_sums.as_mut_slice();
        (0..self.rows).map(move |_| ActivationRow {
            format,
            floats: floats.split_off_mut(..widths.floats).unwrap_or_default(),
            lines: lines.split_off_mut(..widths.lines).unwrap_or_default(),
            scales: scales.split_off_mut(..widths.scales).unwrap_or_default(),
            sums: sums.split_off_mut(..widths.sums).unwrap_or_default(),
            group_sums: group_sums.split_off_mut(..widths.group_sums).unwrap_or_default(),
        })
    }

    #[inline(always)]
    pub(super) fn floats(&self, row: usize) -> &[f32] {
        row_of(&self.floats, row, self.rows)
    }

    #[inline(always)]
    pub(super) fn lines(&self, row: usize) -> &[Line] {
        row_of(&self.lines, row, self.rows)
    }

    #[inline(always)]
    pub(super) fn scales(&self, row: usize) -> &[f32] {
        row_of(&self.scales, row, self.rows)
    }

    #[inline(always)]
    pub(super) fn sums(&self, row: usize) -> &[f32] {
        row_of(&self.sums, row, self.rows)
    }

    #[inline(always)]
    pub(super) fn group_sums(&self, row: usize) -> &[[i16; 16]] {
        row_of(&self.group_sums, row, self.rows)
    }
}

#[inline(always)]
fn row_of<T>(values: &[T], row: usize, rows: usize) -> &[T] {
    let width = values.len() / rows;
    &values[row * width..(row + 1) * width]
}
