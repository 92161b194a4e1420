//! Work that is the same for each token, spread over the team when there are many.

use super::product::Products;
use crate::{kernels::Pointwise, team::Team};

/// Tokens of one task; steps with no more stay with the caller.
const TASK_ROWS: usize = 16;

/// Calls `work` for each row of `output` with its index.
pub fn each_row(
    team: &Team,
    output: &mut [f32],
    width: usize,
    work: impl Fn(usize, &mut [f32]) + Sync,
) {
    if output.len() <= TASK_ROWS * width {
        output.chunks_exact_mut(width).enumerate().for_each(|(index, row)| work(index, row));
        return;
    }
    team.each_part(output, TASK_ROWS * width, |part, rows, _| {
        let first = part * TASK_ROWS;
        rows.chunks_exact_mut(width).enumerate().for_each(|(at, row)| work(first + at, row));
    });
}

/// `sums += addends`, for rows of `width` numbers.
pub fn add_rows(products: Products<'_>, sums: &mut [f32], addends: &[f32], width: usize) {
    each_row(products.team, sums, width, |index, sum| {
        products.kernels.pointwise(Pointwise::Add(sum, row(addends, width, index)));
    });
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

/// Copies rows that are made of parts to rows of each part.
pub fn split_rows<const N: usize>(rows: &[f32], mut parts: [(&mut Vec<f32>, usize); N]) {
    let width: usize = parts.iter().map(|&(_, width)| width).sum();
    for (index, mut numbers) in rows.chunks_exact(width).enumerate() {
        for (part, width) in &mut parts {
            let (mine, rest) = numbers.split_at(*width);
            part[index * *width..(index + 1) * *width].copy_from_slice(mine);
            numbers = rest;
        }
    }
}
