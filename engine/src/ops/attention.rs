//! Causal attention with grouped queries (Vaswani et al. 2017, Ainslie et al. 2023) over cached keys and values.
//!
//! The work is cut into tasks: a few tokens of one sequence and the query heads that share one head of keys. A task
//! converts each page of keys and values once for all its rows, and writes a part of the output of its own, so that
//! tasks run in any order on any thread.

use std::sync::{Mutex, PoisonError};

use super::exp::exp;
use crate::{
    kernels::Kernels,
    kv_cache::{KvCache, PAGE_TOKENS, SequenceId},
    ops::product::Products,
    team::Team,
};

/// Tokens of one task.
const TASK_TOKENS: usize = 16;

/// Sizes of attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShape {
    /// Heads of queries; a multiple of `kv_heads`.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Numbers of a head.
    pub head_dim: usize,
}

impl AttentionShape {
    /// Query heads that share a head of keys.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Numbers of a token's queries.
    fn query_len(&self) -> usize {
        self.heads * self.head_dim
    }
}

/// Consecutive tokens of one sequence in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Whose tokens.
    pub sequence: SequenceId,
    /// Row of the first in the step.
    pub row: usize,
    /// Position of the first in the sequence.
    pub position: usize,
    /// How many.
    pub tokens: usize,
}

/// Part of a run and one head of keys.
#[derive(Debug, Clone, Copy)]
struct Task {
    run: Run,
    kv_head: usize,
    /// Where its output starts.
    start: usize,
}

/// The tasks of a step; the same for all layers.
#[derive(Debug, Default)]
pub struct AttentionPlan {
    tasks: Vec<Task>,
    /// Output by task: rows of tokens and heads of a group.
    output: Vec<f32>,
    /// One a thread.
    scratch: Vec<Mutex<Scratch>>,
}

#[derive(Debug, Default)]
struct Scratch {
    tile: Vec<f32>,
    /// One row a query, as long as the sequence.
    scores: Vec<f32>,
}

/// What all tasks of a layer read.
struct Inputs<'a> {
    kernels: &'a Kernels,
    shape: AttentionShape,
    cache: &'a KvCache,
    layer: usize,
    queries: &'a [f32],
    scratch: &'a [Mutex<Scratch>],
}

impl AttentionPlan {
    /// Cuts the runs of a step into tasks.
    pub fn plan(&mut self, team: &Team, runs: &[Run], shape: AttentionShape) {
        self.tasks.clear();
        let mut start = 0;
        for run in runs {
            for first in (0..run.tokens).step_by(TASK_TOKENS) {
                let tokens = TASK_TOKENS.min(run.tokens - first);
                let part =
                    Run { row: run.row + first, position: run.position + first, tokens, ..*run };
                for kv_head in 0..shape.kv_heads {
                    self.tasks.push(Task { run: part, kv_head, start });
                    start += tokens * shape.group() * shape.head_dim;
                }
            }
        }
        self.output.resize(start, 0.0);
        self.scratch.resize_with(team.members(), Mutex::default);
    }

    /// Attends from every token of the step to its sequence up to itself, in one layer. `queries` and `output` are
    /// `tokens x heads x head_dim`.
    pub fn attend(
        &mut self,
        products: Products<'_>,
        shape: AttentionShape,
        cache: &KvCache,
        layer: usize,
        queries: &[f32],
        output: &mut [f32],
    ) {
        let kernels = &products.kernels;
        let inputs = Inputs { kernels, shape, cache, layer, queries, scratch: &self.scratch };
        let mut parts = parts(&self.tasks, &mut self.output);
        products.team.each_part(&mut parts, 1, |_, parts, member| {
            for (task, output) in parts {
                // A panic elsewhere leaves numbers that the next task overwrites.
                let scratch = inputs.scratch[member].lock();
                task.run(&inputs, &mut scratch.unwrap_or_else(PoisonError::into_inner), output);
            }
        });
        for task in &self.tasks {
            task.scatter(shape, &self.output, output);
        }
    }
}

/// Each task with its part of the output.
fn parts<'t, 'o>(tasks: &'t [Task], mut output: &'o mut [f32]) -> Vec<(&'t Task, &'o mut [f32])> {
    let whole = output.len();
    let ends = tasks.iter().skip(1).map(|task| task.start).chain([whole]);
    tasks
        .iter()
        .zip(ends)
        .map(|(task, end)| (task, output.split_off_mut(..end - task.start).unwrap_or_default()))
        .collect()
}

impl Task {
    fn run(&self, inputs: &Inputs<'_>, scratch: &mut Scratch, output: &mut [f32]) {
        let length = self.run.position + self.run.tokens;
        let rows = self.run.tokens * inputs.shape.group();
        scratch.tile.resize(PAGE_TOKENS * inputs.shape.head_dim, 0.0);
        scratch.scores.resize(rows * length, 0.0);
        self.score(inputs, length, scratch);
        for (row, scores) in scratch.scores.chunks_exact_mut(length).enumerate() {
            softmax(&mut scores[..self.visible(inputs, row)]);
        }
        self.mix(inputs, length, scratch, output);
    }

    /// How many tokens the query of a row sees: itself and all before.
    fn visible(&self, inputs: &Inputs<'_>, row: usize) -> usize {
        self.run.position + row / inputs.shape.group() + 1
    }

    /// The queries of a row.
    fn query<'a>(&self, inputs: &'a Inputs<'_>, row: usize) -> &'a [f32] {
        let AttentionShape { head_dim, .. } = inputs.shape;
        let group = inputs.shape.group();
        let token = self.run.row + row / group;
        let start =
            token * inputs.shape.query_len() + (self.kv_head * group + row % group) * head_dim;
        &inputs.queries[start..start + head_dim]
    }

    /// Query times key over the square root of the head's size, for each row and token that it sees.
    fn score(&self, inputs: &Inputs<'_>, length: usize, scratch: &mut Scratch) {
        let head_dim = inputs.shape.head_dim;
        let scale = 1.0 / (head_dim as f32).sqrt();
        let view = inputs.cache.view(inputs.layer, self.run.sequence);
        for (page, first) in (0..length).step_by(PAGE_TOKENS).enumerate() {
            view.keys(page, self.kv_head, PAGE_TOKENS.min(length - first), &mut scratch.tile);
            for (row, scores) in scratch.scores.chunks_exact_mut(length).enumerate() {
                let query = self.query(inputs, row);
                let end = self.visible(inputs, row).min(first + PAGE_TOKENS);
                let seen = scores.get_mut(first..end).unwrap_or_default();
                for (score, key) in seen.iter_mut().zip(scratch.tile.chunks_exact(head_dim)) {
                    *score = inputs.kernels.dot(query, key) * scale;
                }
            }
        }
    }

    /// Values weighted by the scores.
    fn mix(&self, inputs: &Inputs<'_>, length: usize, scratch: &mut Scratch, output: &mut [f32]) {
        let head_dim = inputs.shape.head_dim;
        let view = inputs.cache.view(inputs.layer, self.run.sequence);
        output.fill(0.0);
        for (page, first) in (0..length).step_by(PAGE_TOKENS).enumerate() {
            view.values(page, self.kv_head, PAGE_TOKENS.min(length - first), &mut scratch.tile);
            let rows = scratch.scores.chunks_exact(length).zip(output.chunks_exact_mut(head_dim));
            for (row, (scores, mixed)) in rows.enumerate() {
                let end = self.visible(inputs, row).min(first + PAGE_TOKENS);
                let seen = scores.get(first..end).unwrap_or_default();
                for (&score, value) in seen.iter().zip(scratch.tile.chunks_exact(head_dim)) {
                    inputs.kernels.axpy(score, value, mixed);
                }
            }
        }
    }

    /// Copies the task's part to the rows of the step.
    fn scatter(&self, shape: AttentionShape, parts: &[f32], output: &mut [f32]) {
        let width = shape.group() * shape.head_dim;
        for token in 0..self.run.tokens {
            let from = self.start + token * width;
            let to = (self.run.row + token) * shape.query_len() + self.kv_head * width;
            output[to..to + width].copy_from_slice(&parts[from..from + width]);
        }
    }
}

/// Turns scores into weights that sum to 1.
fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for score in scores.iter_mut() {
        *score = exp(*score - largest);
    }
    let sum: f32 = scores.iter().sum();
    for score in scores.iter_mut() {
        *score /= sum;
    }
}
