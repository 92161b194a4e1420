//! From rows as they lie in the file to a packed group.
use half::f16;

use super::formats::{
    DWORDS, PackedFormat, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0, Q8K,
};
use super::layout::{LARGE_UNIT, LINE, PackedLayout, Plane, ROWS, SMALL_UNIT, SUB};
use crate::quant::{BlockFormat, k_block::KBlock, k_blocks, small_block::SmallBlock, small_blocks};

/// Packs up to 16 rows (the bytes of each, whole blocks) into the group `packed`, which is overwritten. Rows that are
/// missing have scales of zero. Nothing happens for formats that are not packed or a group of another size.
pub fn pack_group(format: BlockFormat, cols: usize, rows: &[&[u8]], packed: &mut [u8]) {
    let Some(layout) = PackedLayout::of(format) else { return };
    if layout.group_bytes(cols) != Some(packed.len()) || rows.len() > ROWS {
        return;
    }
    packed.fill(0);
    match format {
        BlockFormat::Q4_0 => small::<Q4_0>(format, 8, rows, packed),
        BlockFormat::Q4_1 => small::<Q4_1>(format, 0, rows, packed),
        BlockFormat::Q5_0 => small::<Q5_0>(format, 16, rows, packed),
        BlockFormat::Q5_1 => small::<Q5_1>(format, 0, rows, packed),
        BlockFormat::Q8_0 | BlockFormat::Q8_1 => small::<Q8_0>(format, 128, rows, packed),
        BlockFormat::Q2_K => large::<Q2K>(format, 0, rows, packed, header_2),
        BlockFormat::Q3_K => large::<Q3K>(format, 4, rows, packed, header_3),
        BlockFormat::Q4_K => large::<Q4K>(format, 0, rows, packed, header_4),
        BlockFormat::Q5_K => large::<Q5K>(format, 0, rows, packed, header_4),
        BlockFormat::Q6_K => large::<Q6K>(format, 32, rows, packed, header_6),
        BlockFormat::Q8_K => large::<Q8K>(format, 128, rows, packed, header_8),
        BlockFormat::F32 | BlockFormat::F16 | BlockFormat::BF16 => {}
    }
}

/// `centre` is what the unpacked codes lack to be unsigned.
fn small<F: PackedFormat>(format: BlockFormat, centre: i16, rows: &[&[u8]], packed: &mut [u8]) {
    for (row, bytes) in rows.iter().enumerate() {
        for (index, block) in small_blocks(format, bytes).unwrap_or_default().iter().enumerate() {
            let unit = &mut packed[index / 2 * F::UNIT_BYTES..][..F::UNIT_BYTES];
            small_block::<F>(unit, row, index % 2, block, centre);
        }
    }
}

fn small_block<F: PackedFormat>(
    unit: &mut [u8],
    row: usize,
    index: usize,
    block: &SmallBlock,
    centre: i16,
) {
    put_half(unit, index * 32 + row * 2, block.scale);
    if let Some(min) = block.min {
        put_half(unit, (SMALL_UNIT / SUB + index) * 32 + row * 2, min);
    }
    let lines = &mut unit[F::HEADER + index * F::LINES * LINE..][..F::LINES * LINE];
    let codes = block.codes.map(|code| (i16::from(code) + centre) as u8);
    put_codes(F::PLANES, lines, row, &codes);
}

type Header = fn(&mut [u8], usize, &KBlock);

fn large<F: PackedFormat>(
    format: BlockFormat,
    centre: i16,
    rows: &[&[u8]],
    packed: &mut [u8],
    header: Header,
) {
    for (row, bytes) in rows.iter().enumerate() {
        for (index, block) in k_blocks(format, bytes).unwrap_or_default().iter().enumerate() {
            let unit = &mut packed[index * F::UNIT_BYTES..][..F::UNIT_BYTES];
            header(unit, row, block);
            let codes = block.codes.map(|code| (i16::from(code) + centre) as u8);
            for (sub, codes) in codes.as_chunks::<SUB>().0.iter().enumerate() {
                let lines = &mut unit[F::HEADER + sub * F::LINES * LINE..][..F::LINES * LINE];
                put_codes(F::PLANES, lines, row, codes);
            }
        }
    }
    debug_assert_eq!(F::UNIT, LARGE_UNIT);
}

/// Writes 32 codes of a row; their bits were zero.
fn put_codes(planes: &[Plane], lines: &mut [u8], row: usize, codes: &[u8; SUB]) {
    let (mut first, mut taken) = (0, 0);
    for plane in planes {
        let bits = plane.bits as usize;
        let mask = ((1_u16 << bits) - 1) as u8;
        for dword in 0..DWORDS {
            let line = &mut lines[(first + dword % bits) * LINE + row * 4..][..4];
            let shift = dword / bits * bits;
            for (byte, code) in line.iter_mut().zip(&codes[dword * 4..]) {
                *byte |= ((code >> taken) & mask) << shift;
            }
        }
        first += bits;
        taken += bits;
    }
}

fn put_half(unit: &mut [u8], at: usize, value: f32) {
    // Every scale comes from a 16-bit float, so nothing is rounded.
    unit[at..at + 2].copy_from_slice(&f16::from_f32(value).to_le_bytes());
}

fn header_2(unit: &mut [u8], row: usize, block: &KBlock) {
    put_half(unit, row * 2, block.scale);
    put_half(unit, 32 + row * 2, block.min);
    for (group, (&scale, &min)) in block.group_scales.iter().zip(&block.group_mins).enumerate() {
        unit[64 + group * ROWS + row] = scale.cast_unsigned() | min << 4;
    }
}

fn header_3(unit: &mut [u8], row: usize, block: &KBlock) {
    put_half(unit, row * 2, block.scale);
    put_six_bits(unit, row, &block.group_scales.map(|scale| (scale + 32).cast_unsigned()));
}

fn header_4(unit: &mut [u8], row: usize, block: &KBlock) {
    put_half(unit, row * 2, block.scale);
    put_half(unit, 32 + row * 2, block.min);
    let numbers = std::array::from_fn(|i| match i {
        0..8 => block.group_scales[2 * i].cast_unsigned(),
        _ => block.group_mins[2 * (i - 8)],
    });
    put_six_bits(unit, row, &numbers);
}

/// See `six_bits` of the formats.
fn put_six_bits(unit: &mut [u8], row: usize, numbers: &[u8; 16]) {
    let lines = &mut unit[64..];
    for (index, number) in numbers.iter().enumerate() {
        let (quad, place) = (index / 4, index % 4 * ROWS + row);
        lines[quad / 2 * LINE + place] |= (number & 0x0f) << (4 * (quad % 2));
        lines[2 * LINE + place] |= (number >> 4) << (2 * quad);
    }
}

fn header_6(unit: &mut [u8], row: usize, block: &KBlock) {
    put_half(unit, row * 2, block.scale);
    for (group, scale) in block.group_scales.iter().enumerate() {
        unit[64 + group * ROWS + row] = scale.cast_unsigned();
    }
}

fn header_8(unit: &mut [u8], row: usize, block: &KBlock) {
    unit[row * 4..row * 4 + 4].copy_from_slice(&block.scale.to_le_bytes());
}
