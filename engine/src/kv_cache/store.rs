//! Numbers in one of the storage types, read and written as `f32`.

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KvType {
    /// IEEE half precision: half the memory, the default.
    #[default]
    F16,
    /// Single precision.
    F32,
}

impl KvType {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }
}

/// Numbers of one layer. The halves are bits, so that the system hands out zeroed memory that nobody has touched yet.
#[derive(Debug)]
pub(super) enum Store {
    F16(Vec<u16>),
    F32(Vec<f32>),
}

impl Store {
    /// `numbers` zeros; `None` when the system has not that much memory.
    pub(super) fn new(kv_type: KvType, numbers: usize) -> Option<Self> {
        match kv_type {
            KvType::F16 => reservable::<u16>(numbers).then(|| Self::F16(vec![0; numbers])),
            KvType::F32 => reservable::<f32>(numbers).then(|| Self::F32(vec![0.0; numbers])),
        }
    }

    pub(super) fn write(&mut self, start: usize, numbers: &[f32]) {
        let range = start..start + numbers.len();
        match self {
            Self::F16(bits) => {
                bits[range].reinterpret_cast_mut::<half::f16>().convert_from_f32_slice(numbers);
            }
            Self::F32(stored) => stored[range].copy_from_slice(numbers),
        }
    }

    pub(super) fn read(&self, start: usize, numbers: &mut [f32]) {
        let range = start..start + numbers.len();
        match self {
            Self::F16(bits) => {
                bits[range].reinterpret_cast::<half::f16>().convert_to_f32_slice(numbers);
            }
            Self::F32(stored) => numbers.copy_from_slice(&stored[range]),
        }
    }
}

/// Whether the allocator would give that much; `vec!` ends the program when it does not.
fn reservable<T>(numbers: usize) -> bool {
    Vec::<T>::new().try_reserve_exact(numbers).is_ok()
}
