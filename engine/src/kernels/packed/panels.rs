//! Activations laid out for tiles: up to [`WIDTH`] columns side by side, unit by unit, with the sums that formats need.
#![expect(
    unsafe_code,
    reason = "numbers of several kinds share one buffer, at places that the layout fixes"
)]
use super::layout::{LARGE_UNIT, SMALL_UNIT, SUB};
use crate::{
    kernels::{
        activations::{ActivationFormat, ActivationRow, LARGE_LINES, Line},
        scalar::{quantize_large, quantize_small},
    },
    team::Team,
};

/// Most columns of a panel: as many as leave registers for the codes of a tile.
pub(super) const WIDTH: usize = 8;
/// Minus this times a sum of activations is where sums of centred codes start.
const CENTRE: i32 = 32;
/// Panels of one task.
const TASK_PANELS: usize = 1;

/// Words keep panels aligned to their numbers.
type Word = u32;
const WORD: usize = size_of::<Word>();

/// Rows of activations as panels, each row a column of the product.
#[derive(Debug)]
pub struct Panels {
    columns: usize,
    cols: usize,
    unit: usize,
    words: Vec<Word>,
}

/// Where a panel lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// First column.
    pub(super) first: usize,
    /// Columns.
    pub(super) width: usize,
}

impl Panels {
    /// Quantizes with `fill_unit` rows of `cols` values of `input`, each a column of the product, and lays them out; `None` for formats of
    /// floats. Anything after the last whole row is left out.
    pub(in crate::kernels) fn new(
        fill_unit: impl Fn(&mut UnitFill<'_>) + Sync,
        team: &Team,
        format: ActivationFormat,
        input: &[f32],
        cols: usize,
    ) -> Option<Self> {
        let unit = match format {
            ActivationFormat::Q8_0 | ActivationFormat::Q8_1 => SMALL_UNIT,
            ActivationFormat::Q8_K => LARGE_UNIT,
            _ => return None,
        };
        let columns = input.len().checked_div(cols)?;
        let column_words = cols.div_ceil(unit) * unit_bytes(unit) / WORD;
        let mut panels = Self { columns, cols, unit, words: vec![0; columns * column_words] };
        let places = panels.places();
        let mut rest = panels.words.as_mut_slice();
        let mut parts: Vec<(Place, &mut [Word])> = places
            .map(|place| {
                let words = place.width * column_words;
                (place, rest.split_off_mut(..words).unwrap_or_default())
            })
            .collect();
        let fill = |parts: &mut [(Place, &mut [Word])]| {
            for (place, words) in parts {
                let rows = &input[place.first * cols..(place.first + place.width) * cols];
                fill(&fill_unit, unit, rows, cols, words_as_bytes_mut(words));
            }
        };
        if columns <= WIDTH {
            fill(&mut parts);
        } else {
            team.each_part(&mut parts, TASK_PANELS, |_, parts, _| fill(parts));
        }
        Some(panels)
    }

    /// Columns of the product: rows of activations.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Values of a column.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Values of a unit.
    pub(super) fn unit(&self) -> usize {
        self.unit
    }

    /// Panels of nearly equal width, so that no count of columns falls into a slow rest.
    pub(super) fn places(&self) -> impl ExactSizeIterator<Item = Place> + use<> {
        let columns = self.columns;
        let panels = columns.div_ceil(WIDTH);
        (0..panels).map(move |panel| {
            let first = panel * columns / panels;
            Place { first, width: (panel + 1) * columns / panels - first }
        })
    }

    pub(super) fn bytes(&self, place: Place) -> &[u8] {
        let column = self.cols.div_ceil(self.unit) * unit_bytes(self.unit) / WORD;
        let words = &self.words[place.first * column..(place.first + place.width) * column];
        words_as_bytes(words)
    }
}

fn unit_bytes(unit: usize) -> usize {
    if unit == SMALL_UNIT { SmallUnit::BYTES } else { LargeUnit::BYTES }
}

fn words_as_bytes(words: &[Word]) -> &[u8] {
    // SAFETY: every byte of a word is a byte; length and lifetime are the slice's.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), std::mem::size_of_val(words)) }
}

fn words_as_bytes_mut(words: &mut [Word]) -> &mut [u8] {
    let len = std::mem::size_of_val(words);
    // SAFETY: as above, and every pattern of bytes is a word.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), len) }
}

fn fill(
    fill_unit: &impl Fn(&mut UnitFill<'_>),
    unit: usize,
    rows: &[f32],
    cols: usize,
    bytes: &mut [u8],
) {
    let width = rows.len() / cols;
    for (column, row) in rows.chunks_exact(cols).enumerate() {
        let units = bytes.chunks_exact_mut(width * unit_bytes(unit));
        for (bytes, values) in units.zip(row.chunks(unit)) {
            fill_unit(&mut UnitFill { values, bytes, unit, width, column });
        }
    }
}

/// Some values of one column and where they go.
pub(in crate::kernels) struct UnitFill<'a> {
    /// A unit, or what is left of the column.
    values: &'a [f32],
    /// The unit in its panel.
    bytes: &'a mut [u8],
    unit: usize,
    width: usize,
    column: usize,
}

/// Quantizes a unit and puts it in its place.
#[inline(always)]
pub(in crate::kernels) fn fill_unit(work: &mut UnitFill<'_>) {
    if work.unit == SMALL_UNIT {
        fill_small(work);
    } else {
        fill_large(work);
    }
}

#[inline(always)]
fn fill_small(work: &mut UnitFill<'_>) {
    let (mut lines, mut scales, mut sums) = ([Line([0; SMALL_UNIT])], [0.0; 2], [0.0; 2]);
    let mut row = ActivationRow {
        format: ActivationFormat::Q8_1,
        floats: &mut [],
        lines: &mut lines,
        scales: &mut scales,
        sums: &mut sums,
        group_sums: &mut [],
    };
    match <&[f32; SMALL_UNIT]>::try_from(work.values) {
        Ok(values) => quantize_small(values, &mut row),
        Err(_) => quantize_small(work.values, &mut row),
    }
    let UnitFill { bytes, width, column, .. } = work;
    SmallUnit::fill(bytes, *width, *column, &lines[0].0, &scales, &sums);
}

#[inline(always)]
fn fill_large(work: &mut UnitFill<'_>) {
    let (mut lines, mut scales) = ([Line([0; SMALL_UNIT]); LARGE_LINES], [0.0]);
    let mut group_sums = [[0; 16]];
    let mut row = ActivationRow {
        format: ActivationFormat::Q8_K,
        floats: &mut [],
        lines: &mut lines,
        scales: &mut scales,
        sums: &mut [],
        group_sums: &mut group_sums,
    };
    quantize_large(work.values, &mut row);
    let UnitFill { bytes, width, column, .. } = work;
    LargeUnit::fill(bytes, *width, *column, &lines, &group_sums[0], scales[0]);
}

/// A unit of 64 values of every column: codes, then scales, starts and sums of the two blocks.
pub(super) struct SmallUnit<'p> {
    bytes: &'p [u8],
    width: usize,
}

impl<'p> SmallUnit<'p> {
    /// Bytes of one column.
    pub(super) const BYTES: usize = SMALL_UNIT + 24;

    #[inline(always)]
    pub(super) fn new<const N: usize>(bytes: &'p [u8]) -> Self {
        Self { bytes, width: N }
    }

    #[inline(always)]
    pub(super) fn codes(&self, column: usize, block: usize) -> &'p [[i8; 4]] {
        dwords(self.bytes, column * SMALL_UNIT + block * SUB, SUB / 4)
    }

    #[inline(always)]
    fn number(&self, kind: usize, column: usize, block: usize) -> [u8; 4] {
        let at = self.width * SMALL_UNIT + ((kind * 2 + block) * self.width + column) * 4;
        read(self.bytes, at)
    }

    #[inline(always)]
    pub(super) fn scale(&self, column: usize, block: usize) -> f32 {
        f32::from_ne_bytes(self.number(0, column, block))
    }

    #[inline(always)]
    pub(super) fn start(&self, column: usize, block: usize) -> i32 {
        i32::from_ne_bytes(self.number(1, column, block))
    }

    #[inline(always)]
    pub(super) fn sum(&self, column: usize, block: usize) -> f32 {
        f32::from_ne_bytes(self.number(2, column, block))
    }

    #[inline(always)]
    fn fill(
        bytes: &mut [u8],
        width: usize,
        column: usize,
        codes: &[i8; SMALL_UNIT],
        scales: &[f32; 2],
        scaled_sums: &[f32; 2],
    ) {
        bytes[column * SMALL_UNIT..][..SMALL_UNIT].copy_from_slice(&codes.map(i8::cast_unsigned));
        for (block, codes) in codes.as_chunks::<SUB>().0.iter().enumerate() {
            let sum: i32 = codes.iter().map(|&code| i32::from(code)).sum();
            let numbers = [
                scales[block].to_ne_bytes(),
                (-CENTRE * sum).to_ne_bytes(),
                scaled_sums[block].to_ne_bytes(),
            ];
            for (kind, number) in numbers.into_iter().enumerate() {
                let at = width * SMALL_UNIT + ((kind * 2 + block) * width + column) * 4;
                bytes[at..at + 4].copy_from_slice(&number);
            }
        }
    }
}

/// A unit of 256 values of every column: codes, then starts of 16 groups, sums of 16 groups of 16 and of 8 of 32,
/// and the scale.
pub(super) struct LargeUnit<'p> {
    bytes: &'p [u8],
    width: usize,
}

impl<'p> LargeUnit<'p> {
    const STARTS: usize = LARGE_UNIT;
    const SUMS_16: usize = Self::STARTS + 64;
    const SUMS_32: usize = Self::SUMS_16 + 32;
    const SCALE: usize = Self::SUMS_32 + 16;
    /// Bytes of one column.
    pub(super) const BYTES: usize = Self::SCALE + 4;

    #[inline(always)]
    pub(super) fn new<const N: usize>(bytes: &'p [u8]) -> Self {
        Self { bytes, width: N }
    }

    #[inline(always)]
    pub(super) fn codes(&self, column: usize, sub: usize) -> &'p [[i8; 4]] {
        dwords(self.bytes, column * LARGE_UNIT + sub * SUB, SUB / 4)
    }

    #[inline(always)]
    pub(super) fn start(&self, column: usize, group: usize) -> i32 {
        i32::from_ne_bytes(read(self.bytes, self.width * Self::STARTS + column * 64 + group * 4))
    }

    #[inline(always)]
    pub(super) fn pair_of_16(&self, column: usize, pair: usize) -> [i16; 2] {
        pair_at(self.bytes, self.width * Self::SUMS_16 + column * 32 + pair * 4)
    }

    #[inline(always)]
    pub(super) fn pair_of_32(&self, column: usize, pair: usize) -> [i16; 2] {
        pair_at(self.bytes, self.width * Self::SUMS_32 + column * 16 + pair * 4)
    }

    #[inline(always)]
    pub(super) fn scale(&self, column: usize) -> f32 {
        f32::from_ne_bytes(read(self.bytes, self.width * Self::SCALE + column * 4))
    }

    #[inline(always)]
    fn fill(
        bytes: &mut [u8],
        width: usize,
        column: usize,
        lines: &[Line; LARGE_LINES],
        sums: &[i16; 16],
        scale: f32,
    ) {
        for (line, codes) in lines.iter().enumerate() {
            let at = column * LARGE_UNIT + line * SMALL_UNIT;
            bytes[at..at + SMALL_UNIT].copy_from_slice(&codes.0.map(i8::cast_unsigned));
        }
        let (starts, sums_16) = bytes[width * Self::STARTS..].split_at_mut(width * 64);
        let starts = starts[column * 64..].as_chunks_mut::<4>().0.iter_mut();
        for (place, &sum) in starts.zip(sums) {
            *place = (-CENTRE * i32::from(sum)).to_ne_bytes();
        }
        let (sums_16, sums_32) = sums_16.split_at_mut(width * 32);
        for (place, &sum) in sums_16[column * 32..].as_chunks_mut::<2>().0.iter_mut().zip(sums) {
            *place = sum.to_ne_bytes();
        }
        let (sums_32, scales) = sums_32.split_at_mut(width * 16);
        let pairs = sums.as_chunks::<2>().0;
        for (place, pair) in sums_32[column * 16..].as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
            *place = (pair[0] + pair[1]).to_ne_bytes();
        }
        scales[column * 4..column * 4 + 4].copy_from_slice(&scale.to_ne_bytes());
    }
}

#[inline(always)]
fn read(bytes: &[u8], at: usize) -> [u8; 4] {
    debug_assert!(at + 4 <= bytes.len());
    // SAFETY: places are computed from the unit's layout, and the tile's panel was checked to hold whole units.
    unsafe { bytes.as_ptr().add(at).cast::<[u8; 4]>().read() }
}

#[inline(always)]
fn pair_at(bytes: &[u8], at: usize) -> [i16; 2] {
    let [a, b, c, d] = read(bytes, at);
    [i16::from_ne_bytes([a, b]), i16::from_ne_bytes([c, d])]
}

#[inline(always)]
fn dwords(bytes: &[u8], at: usize, count: usize) -> &[[i8; 4]] {
    debug_assert!(at + 4 * count <= bytes.len());
    // SAFETY: as for `read`.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().add(at).cast(), count) }
}
