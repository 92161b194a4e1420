//! What distinguishes the packed formats: planes of codes, and how a unit's scales are read.
use super::isa::PackedIsa;
use super::layout::{LARGE_UNIT, LINE, Plane, ROWS, SMALL_UNIT, SUB};

/// Dwords of 32 codes.
pub(super) const DWORDS: usize = SUB / 4;

/// A packed format.
pub(in crate::kernels) trait PackedFormat {
    /// Weights of a row in a unit: [`SMALL_UNIT`] or [`LARGE_UNIT`].
    const UNIT: usize;
    const HEADER: usize;
    const PLANES: &'static [Plane];
    /// Codes are 0..=255 and mean `code - 128`.
    const WIDE: bool = false;
    /// Codes mean `code - 32`.
    const CENTRED: bool = false;
    /// Rows have minima.
    const MINS: bool = false;
    /// Factor of the codes as they are multiplied.
    const FACTOR: f32 = 1.0;
    /// Weights that share a scale in a large unit: 16 or 32.
    const GROUP: usize = 16;

    /// Lines of 32 weights.
    const LINES: usize = {
        let (mut lines, mut i) = (0, 0);
        while i < Self::PLANES.len() {
            lines += Self::PLANES[i].bits as usize;
            i += 1;
        }
        lines
    };
    const UNIT_BYTES: usize = Self::HEADER + Self::UNIT / SUB * Self::LINES * LINE;

    /// Scales of each group of a large unit in each row, and its minima; groups past the last are not read.
    fn large_scales<I: PackedIsa>(isa: I, header: &[u8]) -> LargeScales<I>;

    /// The eight dwords of 32 codes of each row.
    #[inline(always)]
    fn codes<I: PackedIsa>(isa: I, lines: &[u8]) -> [I::Codes; DWORDS] {
        // Written out, so that every shift is a constant before any loop is unrolled.
        [
            Self::code(isa, lines, 0),
            Self::code(isa, lines, 1),
            Self::code(isa, lines, 2),
            Self::code(isa, lines, 3),
            Self::code(isa, lines, 4),
            Self::code(isa, lines, 5),
            Self::code(isa, lines, 6),
            Self::code(isa, lines, 7),
        ]
    }

    /// One dword of codes of each row.
    #[inline(always)]
    fn code<I: PackedIsa>(isa: I, lines: &[u8], dword: usize) -> I::Codes {
        let code = part(isa, lines, Self::PLANES[0], dword);
        if Self::PLANES.len() == 1 {
            return code;
        }
        let second = &lines[Self::PLANES[0].bits as usize * LINE..];
        isa.or(code, part(isa, second, Self::PLANES[1], dword))
    }
}

/// What a plane adds to a dword of codes.
#[inline(always)]
fn part<I: PackedIsa>(isa: I, lines: &[u8], plane: Plane, dword: usize) -> I::Codes {
    let bits = plane.bits as usize;
    let line = isa.line(line_at(lines, dword % bits));
    if bits == 8 {
        return line;
    }
    isa.moved(line, plane.at as i32 - (dword / bits * bits) as i32, mask(plane))
}

/// Scales of a large unit.
pub(in crate::kernels) struct LargeScales<I: PackedIsa> {
    /// Factor of each group.
    pub(super) groups: [I::Floats; 16],
    /// Factor of the minima.
    pub(super) min: I::Floats,
    /// Minima of groups 2 i and 2 i + 1.
    pub(super) mins: [I::Sums; 8],
}

#[inline(always)]
fn mask(plane: Plane) -> u8 {
    (((1_u16 << plane.bits) - 1) << plane.at) as u8
}

/// Line `index` of some lines.
#[inline(always)]
pub(super) fn line_at(lines: &[u8], index: usize) -> &[u8; LINE] {
    at(lines, index * LINE)
}

/// `N` bytes at a place that the layout fixes.
#[inline(always)]
pub(super) fn at<const N: usize>(bytes: &[u8], offset: usize) -> &[u8; N] {
    &bytes[offset..].as_chunks().0[0]
}

macro_rules! small {
    ($($name:ident, $header:literal, $planes:expr, $($item:ident = $value:expr),*;)*) => {$(
        #[doc = concat!("Packed ", stringify!($name), ".")]
        pub(in crate::kernels) struct $name;
        impl PackedFormat for $name {
            const UNIT: usize = SMALL_UNIT;
            const HEADER: usize = $header;
            const PLANES: &'static [Plane] = &$planes;
            $(const $item: small!(@type $item) = $value;)*

            fn large_scales<I: PackedIsa>(isa: I, _: &[u8]) -> LargeScales<I> {
                no_scales(isa)
            }
        }
    )*};
    (@type FACTOR) => { f32 };
    (@type $other:ident) => { bool };
}

const NIBBLE: Plane = Plane { bits: 4, at: 0 };
const FIFTH: Plane = Plane { bits: 1, at: 4 };
const BYTE: Plane = Plane { bits: 8, at: 0 };

// Codes of formats around zero are moved up so that their centre is 32, which the activations' sums are made for.
small! {
    Q4_0, 64, [Plane { bits: 4, at: 2 }], CENTRED = true, FACTOR = 0.25;
    Q4_1, 128, [NIBBLE], MINS = true;
    Q5_0, 64, [Plane { bits: 4, at: 1 }, Plane { bits: 1, at: 5 }], CENTRED = true, FACTOR = 0.5;
    Q5_1, 128, [NIBBLE, FIFTH], MINS = true;
    Q8_0, 64, [BYTE], WIDE = true;
}

#[inline(always)]
fn no_scales<I: PackedIsa>(isa: I) -> LargeScales<I> {
    let zero = isa.splat(0.0);
    LargeScales { groups: [zero; 16], min: zero, mins: [isa.splat_sum(0); 8] }
}

/// Packed Q2_K: d, dmin, then for each group the rows' scales (low nibble) and minima (high nibble).
pub(in crate::kernels) struct Q2K;

impl PackedFormat for Q2K {
    const UNIT: usize = LARGE_UNIT;
    const HEADER: usize = 320;
    const PLANES: &'static [Plane] = &[Plane { bits: 2, at: 0 }];
    const MINS: bool = true;

    #[inline(always)]
    fn large_scales<I: PackedIsa>(isa: I, header: &[u8]) -> LargeScales<I> {
        let (scale, min) = (isa.halves(at(header, 0)), isa.halves(at(header, 32)));
        let mut scales = [[0; LINE]; 4];
        let mut mins = [[0; LINE]; 4];
        for quad in 0..4 {
            let line = isa.line(at(header, 64 + quad * LINE));
            isa.store_codes(isa.moved(line, 0, 0x0f), &mut scales[quad]);
            isa.store_codes(isa.moved(line, -4, 0x0f), &mut mins[quad]);
        }
        let (scales, mins) = (scales.as_flattened(), mins.as_flattened());
        let mut all = no_scales(isa);
        all.min = min;
        for g in 0..16 {
            all.groups[g] = isa.multiply(scale, isa.unsigned(at(scales, g * ROWS)));
        }
        for pair in 0..8 {
            let (first, second) = (2 * pair * ROWS, (2 * pair + 1) * ROWS);
            all.mins[pair] = isa.pairs(at(mins, first), at(mins, second));
        }
        all
    }
}

/// Packed Q3_K: d, then the 6-bit scales of 16 groups (see [`six_bits`]); codes moved up so that their centre is 32.
pub(in crate::kernels) struct Q3K;

impl PackedFormat for Q3K {
    const UNIT: usize = LARGE_UNIT;
    const HEADER: usize = 256;
    const PLANES: &'static [Plane] = &[Plane { bits: 2, at: 3 }, Plane { bits: 1, at: 5 }];
    const CENTRED: bool = true;
    const FACTOR: f32 = 0.125;

    #[inline(always)]
    fn large_scales<I: PackedIsa>(isa: I, header: &[u8]) -> LargeScales<I> {
        let scale = isa.multiply(isa.halves(at(header, 0)), isa.splat(Self::FACTOR));
        let scales = six_bits(isa, &header[64..]);
        let scales = scales.as_flattened();
        let centre = isa.splat(-32.0);
        let mut all = no_scales(isa);
        for g in 0..16 {
            let whole = isa.unsigned(at(scales, g * ROWS));
            all.groups[g] = isa.multiply(scale, isa.fused(whole, isa.splat(1.0), centre));
        }
        all
    }
}

/// Packed Q4_K: d, dmin, then 6-bit scales of 8 groups and 6-bit minima of 8 groups.
pub(in crate::kernels) struct Q4K;
/// Packed Q5_K: as Q4_K, with one more bit a code.
pub(in crate::kernels) struct Q5K;

impl PackedFormat for Q4K {
    const UNIT: usize = LARGE_UNIT;
    const HEADER: usize = 256;
    const PLANES: &'static [Plane] = &[NIBBLE];
    const MINS: bool = true;
    const GROUP: usize = 32;

    #[inline(always)]
    fn large_scales<I: PackedIsa>(isa: I, header: &[u8]) -> LargeScales<I> {
        scales_and_mins(isa, header)
    }
}

impl PackedFormat for Q5K {
    const UNIT: usize = LARGE_UNIT;
    const HEADER: usize = 256;
    const PLANES: &'static [Plane] = &[NIBBLE, FIFTH];
    const MINS: bool = true;
    const GROUP: usize = 32;

    #[inline(always)]
    fn large_scales<I: PackedIsa>(isa: I, header: &[u8]) -> LargeScales<I> {
        scales_and_mins(isa, header)
    }
}

#[inline(always)]
fn scales_and_mins<I: PackedIsa>(isa: I, header: &[u8]) -> LargeScales<I> {
    let (scale, min) = (isa.halves(at(header, 0)), isa.halves(at(header, 32)));
    let values = six_bits(isa, &header[64..]);
    let values = values.as_flattened();
    let mut scales = no_scales(isa);
    scales.min = min;
    for g in 0..8 {
        scales.groups[g] = isa.multiply(scale, isa.unsigned(at(values, g * ROWS)));
    }
    for pair in 0..4 {
        let (first, second) = (8 + 2 * pair, 9 + 2 * pair);
        scales.mins[pair] = isa.pairs(at(values, first * ROWS), at(values, second * ROWS));
    }
    scales
}

/// Packed Q6_K: d, then the signed scales of 16 groups.
pub(in crate::kernels) struct Q6K;

impl PackedFormat for Q6K {
    const UNIT: usize = LARGE_UNIT;
    const HEADER: usize = 320;
    const PLANES: &'static [Plane] = &[NIBBLE, Plane { bits: 2, at: 4 }];
    const CENTRED: bool = true;

    #[inline(always)]
    fn large_scales<I: PackedIsa>(isa: I, header: &[u8]) -> LargeScales<I> {
        let scale = isa.halves(at(header, 0));
        let mut all = no_scales(isa);
        for g in 0..16 {
            all.groups[g] = isa.multiply(scale, isa.signed(at(header, 64 + g * ROWS)));
        }
        all
    }
}

/// Packed Q8_K: d as 32-bit floats.
pub(in crate::kernels) struct Q8K;

impl PackedFormat for Q8K {
    const UNIT: usize = LARGE_UNIT;
    const HEADER: usize = 64;
    const PLANES: &'static [Plane] = &[BYTE];
    const WIDE: bool = true;

    #[inline(always)]
    fn large_scales<I: PackedIsa>(isa: I, header: &[u8]) -> LargeScales<I> {
        LargeScales { groups: [isa.singles(at(header, 0)); 16], ..no_scales(isa) }
    }
}

/// 16 numbers of 6 bits for each row: two lines of low nibbles (numbers 0..4 and 4..8, 8..12 and 12..16 in low and
/// high nibbles) and a line of the upper bits (numbers 4 q .. 4 q + 4 at bit 2 q).
#[inline(always)]
fn six_bits<I: PackedIsa>(isa: I, lines: &[u8]) -> [[u8; LINE]; 4] {
    let low = [isa.line(line_at(lines, 0)), isa.line(line_at(lines, 1))];
    let high = isa.line(line_at(lines, 2));
    let mut numbers = [[0; LINE]; 4];
    for (quad, numbers) in numbers.iter_mut().enumerate() {
        let low = isa.moved(low[quad / 2], -4 * (quad as i32 % 2), 0x0f);
        let high = isa.moved(high, 4 - 2 * quad as i32, 0x30);
        isa.store_codes(isa.or(low, high), numbers);
    }
    numbers
}
