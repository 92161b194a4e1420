//! What the two 256-bit sets have in common: everything but the dot products. A line, 16 sums or 16 floats are two
//! registers.
#![expect(
    unsafe_code,
    reason = "intrinsics of AVX2, FMA and F16C, which callers prove to be there"
)]
#![allow(clippy::unused_self, reason = "a value of `Halves` proves that the CPU has the features")]
#![allow(
    clippy::wildcard_imports,
    reason = "the names of intrinsics are long, many and unmistakable"
)]

use std::arch::x86_64::*;

use super::super::layout::{LINE, ROWS};

pub(super) type Codes = [__m256i; 2];
pub(super) type Sums = [__m256i; 2];
pub(super) type Floats = [__m256; 2];

/// Proof that the CPU has AVX2, FMA and F16C.
#[derive(Debug, Clone, Copy)]
pub(super) struct Halves(());

impl Halves {
    pub(super) fn new() -> Option<Self> {
        let found = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }

    // Safety of every block below: `self` exists only where the CPU has the features, and pointers come from references
    // to arrays of the size that is read or written.

    #[inline(always)]
    pub(super) fn line(self, line: &[u8; LINE]) -> Codes {
        // SAFETY: see above.
        unsafe {
            [
                _mm256_loadu_si256(line.as_ptr().cast()),
                _mm256_loadu_si256(line.as_ptr().add(32).cast()),
            ]
        }
    }

    #[inline(always)]
    pub(super) fn moved(self, codes: Codes, by: i32, mask: u8) -> Codes {
        [moved(codes[0], by, mask), moved(codes[1], by, mask)]
    }

    #[inline(always)]
    pub(super) fn or(self, a: Codes, b: Codes) -> Codes {
        // SAFETY: see above.
        unsafe { [_mm256_or_si256(a[0], b[0]), _mm256_or_si256(a[1], b[1])] }
    }

    #[inline(always)]
    pub(super) fn splat_sum(self, value: i32) -> Sums {
        // SAFETY: see above.
        unsafe { [_mm256_set1_epi32(value); 2] }
    }

    #[inline(always)]
    pub(super) fn pairs(self, first: &[u8; ROWS], second: &[u8; ROWS]) -> Sums {
        // SAFETY: see above.
        unsafe {
            let first = _mm_loadu_si128(first.as_ptr().cast());
            let second = _mm_loadu_si128(second.as_ptr().cast());
            [
                _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(first, second)),
                _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(first, second)),
            ]
        }
    }

    #[inline(always)]
    pub(super) fn dot_pairs(self, sums: Sums, pairs: Sums, factors: &[i16; 2]) -> Sums {
        let [low, high] = factors.map(i16::cast_unsigned);
        let both = (u32::from(high) << 16 | u32::from(low)).cast_signed();
        // SAFETY: see above.
        unsafe {
            let both = _mm256_set1_epi32(both);
            [
                _mm256_add_epi32(sums[0], _mm256_madd_epi16(pairs[0], both)),
                _mm256_add_epi32(sums[1], _mm256_madd_epi16(pairs[1], both)),
            ]
        }
    }

    #[inline(always)]
    pub(super) fn floats(self, sums: Sums) -> Floats {
        // SAFETY: see above.
        unsafe { [_mm256_cvtepi32_ps(sums[0]), _mm256_cvtepi32_ps(sums[1])] }
    }

    #[inline(always)]
    pub(super) fn splat(self, value: f32) -> Floats {
        // SAFETY: see above.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    pub(super) fn unsigned(self, bytes: &[u8; ROWS]) -> Floats {
        // SAFETY: see above.
        unsafe {
            let [low, high] = eights(bytes);
            [
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(low)),
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(high)),
            ]
        }
    }

    #[inline(always)]
    pub(super) fn signed(self, bytes: &[u8; ROWS]) -> Floats {
        // SAFETY: see above.
        unsafe {
            let [low, high] = eights(bytes);
            [
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(low)),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high)),
            ]
        }
    }

    #[inline(always)]
    pub(super) fn halves(self, bits: &[u8; 2 * ROWS]) -> Floats {
        // SAFETY: see above.
        unsafe {
            [
                _mm256_cvtph_ps(_mm_loadu_si128(bits.as_ptr().cast())),
                _mm256_cvtph_ps(_mm_loadu_si128(bits.as_ptr().add(16).cast())),
            ]
        }
    }

    #[inline(always)]
    pub(super) fn singles(self, bits: &[u8; 4 * ROWS]) -> Floats {
        // SAFETY: see above.
        unsafe {
            [_mm256_loadu_ps(bits.as_ptr().cast()), _mm256_loadu_ps(bits.as_ptr().add(32).cast())]
        }
    }

    #[inline(always)]
    pub(super) fn load(self, floats: &[f32; ROWS]) -> Floats {
        // SAFETY: see above.
        unsafe { [_mm256_loadu_ps(floats.as_ptr()), _mm256_loadu_ps(floats.as_ptr().add(8))] }
    }

    #[inline(always)]
    pub(super) fn multiply(self, a: Floats, b: Floats) -> Floats {
        // SAFETY: see above.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    pub(super) fn fused(self, a: Floats, b: Floats, c: Floats) -> Floats {
        // SAFETY: see above.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    pub(super) fn store_codes(self, codes: Codes, to: &mut [u8; LINE]) {
        // SAFETY: see above.
        unsafe {
            _mm256_storeu_si256(to.as_mut_ptr().cast(), codes[0]);
            _mm256_storeu_si256(to.as_mut_ptr().add(32).cast(), codes[1]);
        }
    }

    #[inline(always)]
    pub(super) fn store(self, floats: Floats, to: &mut [f32; ROWS]) {
        // SAFETY: see above.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), floats[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), floats[1]);
        }
    }
}

#[inline(always)]
fn moved(codes: __m256i, by: i32, mask: u8) -> __m256i {
    // SAFETY: only called where `Halves` proves AVX2.
    unsafe {
        let moved = match by {
            -7 => _mm256_srli_epi16::<7>(codes),
            -6 => _mm256_srli_epi16::<6>(codes),
            -5 => _mm256_srli_epi16::<5>(codes),
            -4 => _mm256_srli_epi16::<4>(codes),
            -3 => _mm256_srli_epi16::<3>(codes),
            -2 => _mm256_srli_epi16::<2>(codes),
            -1 => _mm256_srli_epi16::<1>(codes),
            1 => _mm256_slli_epi16::<1>(codes),
            2 => _mm256_slli_epi16::<2>(codes),
            3 => _mm256_slli_epi16::<3>(codes),
            4 => _mm256_slli_epi16::<4>(codes),
            5 => _mm256_slli_epi16::<5>(codes),
            _ => codes,
        };
        _mm256_and_si256(moved, _mm256_set1_epi8(mask as i8))
    }
}

/// Bytes 0..8 and 8..16, each in the low half of a register.
#[inline(always)]
fn eights(bytes: &[u8; ROWS]) -> [__m128i; 2] {
    // SAFETY: every x86-64 CPU has SSE2; 16 bytes are read.
    unsafe {
        let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
        [bytes, _mm_srli_si128::<8>(bytes)]
    }
}

/// Forwards the operations that [`Halves`] has.
macro_rules! forward_halves {
    () => {
        type Codes = halves::Codes;
        type Sums = halves::Sums;
        type Floats = halves::Floats;

        forward_halves! {
            line(line: &[u8; LINE]) -> Self::Codes;
            moved(codes: Self::Codes, by: i32, mask: u8) -> Self::Codes;
            or(a: Self::Codes, b: Self::Codes) -> Self::Codes;
            splat_sum(value: i32) -> Self::Sums;
            pairs(first: &[u8; ROWS], second: &[u8; ROWS]) -> Self::Sums;
            dot_pairs(sums: Self::Sums, pairs: Self::Sums, factors: &[i16; 2]) -> Self::Sums;
            floats(sums: Self::Sums) -> Self::Floats;
            splat(value: f32) -> Self::Floats;
            unsigned(bytes: &[u8; ROWS]) -> Self::Floats;
            signed(bytes: &[u8; ROWS]) -> Self::Floats;
            halves(bits: &[u8; 2 * ROWS]) -> Self::Floats;
            singles(bits: &[u8; 4 * ROWS]) -> Self::Floats;
            load(floats: &[f32; ROWS]) -> Self::Floats;
            multiply(a: Self::Floats, b: Self::Floats) -> Self::Floats;
            fused(a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
            store_codes(codes: Self::Codes, to: &mut [u8; LINE]) -> ();
            store(floats: Self::Floats, to: &mut [f32; ROWS]) -> ();
        }
    };
    ($($name:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {$(
        #[inline(always)]
        fn $name(self, $($arg: $type),*) -> $out {
            self.0.$name($($arg),*)
        }
    )*};
}
pub(super) use forward_halves;
