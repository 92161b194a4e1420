//! Work that is the same for each token, spread over the threads of the current pool when there are many.

use rayon::prelude::*;

/// Tokens of one task; steps with no more run on the calling thread.
const TASK_ROWS: usize = 16;

/// Calls `work` for each row of `output` with its index.
pub fn each_row(output: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    if output.len() <= TASK_ROWS * width {
        output.chunks_exact_mut(width).enumerate().for_each(|(index, row)| work(index, row));
        return;
    }
    output
        .par_chunks_exact_mut(width)
        .with_min_len(TASK_ROWS)
        .enumerate()
        .for_each(|(index, row)| work(index, row));
}

/// `sum += addend`, number by number.
pub fn add(sum: &mut [f32], addend: &[f32]) {
    for (sum, &addend) in sum.iter_mut().zip(addend) {
        *sum += addend;
    }
}

/// Row `index` of rows of `width` numbers.
pub fn row(rows: &[f32], width: usize, index: usize) -> &[f32] {
    &rows[index * width..(index + 1) * width]
}
