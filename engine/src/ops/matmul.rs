//! Matrix products of quantized weights with activations, spread over a team.
//!
//! Each activation row is quantized once per product; products that share their input can share that too.
use crate::kernels::{Activations, Kernels, WeightRows};
use crate::team::Team;
use crate::weights::Matrix;

/// Products of fewer multiply-adds than this run on the calling thread: waking another costs more.
const SERIAL_MULTIPLY_ADDS: usize = 1 << 17;
/// Tasks per thread, so that a thread that loses its CPU for a while does not hold up the others.
const TASKS_PER_THREAD: usize = 4;
/// Rows per task are a multiple of this.
const ROWS_STEP: usize = 16;
/// Rows per task at most, so that their bytes stay in the second-level cache while columns pass over them.
const MAX_TASK_ROWS: usize = 256;

/// `output[t * rows + r]` = weight row `r` times activation row `t`, for activations that [`Kernels::activations`] has
/// prepared for this weight format.
///
/// `output` holds n rows of `weight.rows()`. Rows for which either side is missing are left out.
pub fn matmul_prepared(
    kernels: &Kernels,
    team: &Team,
    weight: &Matrix<'_>,
    activations: &Activations,
    output: &mut [f32],
) {
    let count = activations.rows().min(output.len() / weight.rows());
    let output = &mut output[..count * weight.rows()];
    let threads = team.threads();
    let multiply_adds = count.saturating_mul(weight.rows()).saturating_mul(weight.cols());
    let mut tasks = split(weight, output, task_rows(weight.rows(), threads, multiply_adds));
    let run =
        |task: &mut Task<'_, '_>| kernels.multiply(task.weights, activations, 0, &mut task.outputs);
    if tasks.len() < 2 {
        tasks.iter_mut().for_each(run);
    } else {
        team.each_part(&mut tasks, 1, |_, tasks, _| tasks.iter_mut().for_each(run));
    }
}

/// Some weight rows and their place in every output row.
struct Task<'w, 'o> {
    weights: WeightRows<'w>,
    outputs: Vec<&'o mut [f32]>,
}

fn task_rows(rows: usize, threads: usize, multiply_adds: usize) -> usize {
    if threads < 2 || multiply_adds < SERIAL_MULTIPLY_ADDS {
        return rows;
    }
    rows.div_ceil(threads * TASKS_PER_THREAD).next_multiple_of(ROWS_STEP).min(MAX_TASK_ROWS)
}

fn split<'w, 'o>(
    weight: &Matrix<'w>,
    output: &'o mut [f32],
    task_rows: usize,
) -> Vec<Task<'w, 'o>> {
    let mut tasks: Vec<Task<'w, 'o>> =
        weight.row_chunks(task_rows).map(|weights| Task { weights, outputs: Vec::new() }).collect();
    for row in output.chunks_exact_mut(weight.rows()) {
        for (task, part) in tasks.iter_mut().zip(row.chunks_mut(task_rows)) {
            task.outputs.push(part);
        }
    }
    tasks
}
