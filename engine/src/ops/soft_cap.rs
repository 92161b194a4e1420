//! Bends numbers to stay below a cap (Gemma 2).

/// `numbers = cap * tanh(numbers / cap)`; a cap of 0 leaves them.
pub fn soft_cap(numbers: &mut [f32], cap: f32) {
    if cap > 0.0 {
        for number in numbers.iter_mut() {
            *number = cap * (*number / cap).tanh();
        }
    }
}
