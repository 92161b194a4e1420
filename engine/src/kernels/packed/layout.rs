//! Where the bits of 16 interleaved rows lie.
//!
//! A matrix is a sequence of groups of [`ROWS`] rows (the last one filled up with zeros), a group a sequence of units,
//! a unit 64 weights of each row (formats of 32-weight blocks) or 256 (K formats): first the scales of the 16 rows,
//! then the codes of each 32 weights. Codes are split in planes of 1, 2, 4 or 8 bits; a plane of `b` bits takes `b`
//! lines of 64 bytes. Byte `4 r + i` of a line belongs to row `r`; dword `j` of the 32 weights (weights `4 j + i`) lies
//! in line `j mod b`, shifted left by `(j / b) b` bits.
use crate::quant::BlockFormat;

/// Rows of a group.
pub const ROWS: usize = 16;
/// Bytes of a line: four codes of each row.
pub const LINE: usize = 64;
/// Weights that share a set of lines.
pub const SUB: usize = 32;
/// Weights of a row in a unit of the 32-weight formats.
pub const SMALL_UNIT: usize = 64;
/// Weights of a row in a unit of the K formats.
pub const LARGE_UNIT: usize = 256;

/// Some bits of every code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) struct Plane {
    /// How many bits; also how many lines.
    pub(super) bits: u32,
    /// Where they stand in a code as it is multiplied.
    pub(super) at: u32,
}

/// Sizes of a packed format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedLayout {
    /// Weights of a row in a unit.
    pub unit: usize,
    /// Bytes of scales in a unit.
    pub header: usize,
    /// Lines of codes for each 32 weights of a row: the bits of a code.
    pub lines: usize,
}

impl PackedLayout {
    /// The layout of a format; `None` for floats, which are not packed.
    pub fn of(format: BlockFormat) -> Option<Self> {
        let (unit, header, lines) = match format {
            BlockFormat::F32 | BlockFormat::F16 | BlockFormat::BF16 => return None,
            BlockFormat::Q4_0 => (SMALL_UNIT, 64, 4),
            BlockFormat::Q4_1 => (SMALL_UNIT, 128, 4),
            BlockFormat::Q5_0 => (SMALL_UNIT, 64, 5),
            BlockFormat::Q5_1 => (SMALL_UNIT, 128, 5),
            BlockFormat::Q8_0 | BlockFormat::Q8_1 => (SMALL_UNIT, 64, 8),
            BlockFormat::Q2_K => (LARGE_UNIT, 320, 2),
            BlockFormat::Q3_K => (LARGE_UNIT, 256, 3),
            BlockFormat::Q4_K => (LARGE_UNIT, 256, 4),
            BlockFormat::Q5_K => (LARGE_UNIT, 256, 5),
            BlockFormat::Q6_K => (LARGE_UNIT, 320, 6),
            BlockFormat::Q8_K => (LARGE_UNIT, 64, 8),
        };
        Some(Self { unit, header, lines })
    }

    /// Bytes of a unit.
    pub fn unit_bytes(self) -> usize {
        self.header + self.unit / SUB * self.lines * LINE
    }

    /// Units of a row of `cols` weights.
    pub fn units(self, cols: usize) -> usize {
        cols.div_ceil(self.unit)
    }

    /// Bytes of a group of rows of `cols` weights; `None` past the address space.
    pub fn group_bytes(self, cols: usize) -> Option<usize> {
        self.units(cols).checked_mul(self.unit_bytes())
    }

    /// Bytes of a matrix; `None` past the address space.
    pub fn bytes(self, rows: usize, cols: usize) -> Option<usize> {
        self.group_bytes(cols)?.checked_mul(rows.div_ceil(ROWS))
    }
}
