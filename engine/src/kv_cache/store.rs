//! The numbers of one layer's keys or values, page by page and head by head, in one of the storage types.
//!
//! A tile is what a kernel reads: one page of one head, `PAGE_TOKENS x head_dim` numbers in one piece, tokens in order.

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

use super::{
    kv_type::{KV_BLOCK, KvType},
    shape::PAGE_TOKENS,
};

/// One page of one head as it is stored: `PAGE_TOKENS x head_dim`, tokens in order. Only tokens up to the sequence's length
/// mean something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KvTile<'c> {
    /// Numbers.
    F32(&'c [f32]),
    /// Bits of half-precision numbers.
    F16(&'c [u16]),
    /// Number `i` of a token is `codes[token * head_dim + i] * scales[token * blocks + i / KV_BLOCK]`, where `blocks` is
    /// `head_dim / KV_BLOCK`, rounded up.
    Q8 {
        /// Signed whole numbers, -127 to 127.
        codes: &'c [i8],
        /// Bits of half-precision scales.
        scales: &'c [u16],
    },
}

/// All pages of one layer's keys or values.
#[derive(Debug)]
pub(super) struct Store {
    heads: usize,
    head_dim: usize,
    numbers: Numbers,
}

/// Halves are bits, so that the system hands out zeroed memory that nobody has touched yet.
#[derive(Debug)]
enum Numbers {
    F16(Vec<u16>),
    F32(Vec<f32>),
    Q8 { codes: Vec<i8>, scales: Vec<u16> },
}

impl Store {
    /// Zeros; `None` when the system has not that much memory.
    pub(super) fn new(
        kv_type: KvType,
        pages: usize,
        heads: usize,
        head_dim: usize,
    ) -> Option<Self> {
        let rows = pages.checked_mul(PAGE_TOKENS)?.checked_mul(heads)?;
        let count = rows.checked_mul(head_dim)?;
        let numbers = match kv_type {
            KvType::F16 => Numbers::F16(zeros(count)?),
            KvType::F32 => Numbers::F32(zeros(count)?),
            KvType::Q8_0 => {
                let blocks = rows.checked_mul(head_dim.div_ceil(KV_BLOCK))?;
                Numbers::Q8 { codes: zeros(count)?, scales: zeros(blocks)? }
            }
        };
        Some(Self { heads, head_dim, numbers })
    }

    /// Numbers of one token, all heads.
    pub(super) fn row_len(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Numbers of one head.
    pub(super) fn head_dim(&self) -> usize {
        self.head_dim
    }

    /// Writes whole rows to a page, the first of them as its token `first`.
    pub(super) fn write(&mut self, page: u32, first: usize, rows: &[f32]) {
        let (heads, head_dim) = (self.heads, self.head_dim);
        for (token, row) in (first..).zip(rows.chunks_exact(self.row_len())) {
            for (head, numbers) in row.chunks_exact(head_dim).enumerate() {
                let place = (page as usize * heads + head) * PAGE_TOKENS + token;
                self.numbers.write(place, numbers);
            }
        }
    }

    /// Copies the first `tokens` tokens of a page to another page.
    pub(super) fn copy(&mut self, from: u32, to: u32, tokens: usize) {
        for head in 0..self.heads {
            let place = |page: u32| (page as usize * self.heads + head) * PAGE_TOKENS;
            self.numbers.copy(place(from), place(to), tokens, self.head_dim);
        }
    }

    /// One page of one head, as it is stored.
    pub(super) fn tile(&self, page: u32, head: usize) -> KvTile<'_> {
        let place = (page as usize * self.heads + head) * PAGE_TOKENS;
        self.numbers.rows(place, PAGE_TOKENS, self.head_dim)
    }

    /// The first tokens of one page of one head, as many as fit in `numbers`.
    pub(super) fn read(&self, page: u32, head: usize, numbers: &mut [f32]) {
        match self.tile(page, head) {
            KvTile::F32(stored) => numbers.copy_from_slice(&stored[..numbers.len()]),
            KvTile::F16(bits) => {
                bits[..numbers.len()].reinterpret_cast::<half::f16>().convert_to_f32_slice(numbers);
            }
            KvTile::Q8 { codes, scales } => {
                let rows =
                    codes.chunks_exact(self.head_dim).zip(scales.chunks_exact(self.blocks()));
                for ((codes, scales), numbers) in rows.zip(numbers.chunks_exact_mut(self.head_dim))
                {
                    dequantize(codes, scales, numbers);
                }
            }
        }
    }

    fn blocks(&self) -> usize {
        self.head_dim.div_ceil(KV_BLOCK)
    }
}

impl Numbers {
    /// Writes one token of one head; `place` counts such rows.
    fn write(&mut self, place: usize, numbers: &[f32]) {
        let at = place * numbers.len()..(place + 1) * numbers.len();
        match self {
            Self::F16(bits) => {
                bits[at].reinterpret_cast_mut::<half::f16>().convert_from_f32_slice(numbers);
            }
            Self::F32(stored) => stored[at].copy_from_slice(numbers),
            Self::Q8 { codes, scales } => {
                let blocks = numbers.len().div_ceil(KV_BLOCK);
                let scales = &mut scales[place * blocks..(place + 1) * blocks];
                quantize(numbers, &mut codes[at], scales);
            }
        }
    }

    fn copy(&mut self, from: usize, to: usize, rows: usize, head_dim: usize) {
        let span = |width: usize| from * width..(from + rows) * width;
        match self {
            Self::F16(bits) => bits.copy_within(span(head_dim), to * head_dim),
            Self::F32(stored) => stored.copy_within(span(head_dim), to * head_dim),
            Self::Q8 { codes, scales } => {
                let blocks = head_dim.div_ceil(KV_BLOCK);
                codes.copy_within(span(head_dim), to * head_dim);
                scales.copy_within(span(blocks), to * blocks);
            }
        }
    }

    fn rows(&self, place: usize, rows: usize, head_dim: usize) -> KvTile<'_> {
        let span = |width: usize| place * width..(place + rows) * width;
        match self {
            Self::F16(bits) => KvTile::F16(&bits[span(head_dim)]),
            Self::F32(stored) => KvTile::F32(&stored[span(head_dim)]),
            Self::Q8 { codes, scales } => KvTile::Q8 {
                codes: &codes[span(head_dim)],
                scales: &scales[span(head_dim.div_ceil(KV_BLOCK))],
            },
        }
    }
}

/// As ggml's Q8_0: the largest magnitude gets the code 127, others the nearest.
fn quantize(numbers: &[f32], codes: &mut [i8], scales: &mut [u16]) {
    let blocks = numbers.chunks(KV_BLOCK).zip(codes.chunks_mut(KV_BLOCK));
    for ((numbers, codes), bits) in blocks.zip(scales) {
        let peak = numbers.iter().fold(0.0_f32, |peak, number| peak.max(number.abs()));
        let scale = peak / 127.0;
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        for (code, number) in codes.iter_mut().zip(numbers) {
            // Adding a half and cutting rounds in one vector instruction, where `round` would call a function.
            let scaled = number * inverse;
            *code = (scaled + 0.5_f32.copysign(scaled)) as i32 as i8;
        }
        *bits = half::f16::from_f32(scale).to_bits();
    }
}

fn dequantize(codes: &[i8], scales: &[u16], numbers: &mut [f32]) {
    let blocks = codes.chunks(KV_BLOCK).zip(numbers.chunks_mut(KV_BLOCK));
    for ((codes, numbers), &bits) in blocks.zip(scales) {
        let scale = half::f16::from_bits(bits).to_f32();
        for (number, &code) in numbers.iter_mut().zip(codes) {
            *number = scale * f32::from(code);
        }
    }
}

/// Zeros, if the allocator gives that much: `vec!` ends the program when it does not.
fn zeros<T: Clone + Default>(count: usize) -> Option<Vec<T>> {
    Vec::<T>::new().try_reserve_exact(count).ok()?;
    Some(vec![T::default(); count])
}
