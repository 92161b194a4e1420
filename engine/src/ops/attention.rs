//! Attention with grouped queries (Vaswani et al. 2017, Ainslie et al. 2023) over cached keys and values.
//!
//! The work is cut into tasks: a few tokens of one sequence and the query heads that share one head of keys. A task
//! converts each page of keys and values once for all its rows, and writes a part of the output of its own, so that
//! tasks run in any order on any thread.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use super::exp::exp;
use crate::{
    kernels::Kernels,
    kv_cache::{KvCache, PAGE_TOKENS, SequenceId},
    ops::product::Products,
    team::Team,
};

/// Tokens of one task.
const TASK_TOKENS: usize = 16;

/// Sizes of attention, and which tokens see which.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Heads of queries; a multiple of `kv_heads`.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Numbers of a head.
    pub head_dim: usize,
    /// Scores are multiplied by this.
    pub scale: f32,
    /// Scores are bent to stay below this, `cap * tanh(score / cap)`; 0 is off.
    pub soft_cap: f32,
    /// Tokens that a token sees, the last of them itself; 0 is all. Counts only when causal.
    pub window: usize,
    /// A token sees nothing after itself. If not, a sequence must come in one run.
    pub causal: bool,
}

impl AttentionShape {
    /// The tokens that a token at `position` of a run that ends at `end` sees.
    fn visible(&self, position: usize, end: usize) -> Range<usize> {
        if !self.causal {
            return 0..end;
        }
        let hidden = if self.window == 0 { 0 } else { (position + 1).saturating_sub(self.window) };
        hidden..position + 1
    }

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
    /// Where the run that it is a part of ends in the sequence.
    end: usize,
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
            let end = run.position + run.tokens;
            for first in (0..run.tokens).step_by(TASK_TOKENS) {
                let tokens = TASK_TOKENS.min(run.tokens - first);
                let part =
                    Run { row: run.row + first, position: run.position + first, tokens, ..*run };
                for kv_head in 0..shape.kv_heads {
                    self.tasks.push(Task { run: part, kv_head, end, start });
                    start += tokens * shape.group() * shape.head_dim;
                }
            }
        }
        self.output.resize(start, 0.0);
        self.scratch.resize_with(team.members(), Mutex::default);
    }

    /// Attends from every token of the step to what it sees of its sequence, in one layer. `queries` and `output` are
    /// `tokens x heads x head_dim`. Layers may differ in all of the shape but its sizes.
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
        let rows = self.run.tokens * inputs.shape.group();
        let seen = self.seen(inputs);
        scratch.tile.resize(PAGE_TOKENS * inputs.shape.head_dim, 0.0);
        scratch.scores.resize(rows * seen.len(), 0.0);
        self.score(inputs, &seen, scratch);
        for (row, scores) in scratch.scores.chunks_exact_mut(seen.len()).enumerate() {
            let visible = self.visible(inputs, row);
            softmax(&mut scores[visible.start - seen.start..visible.end - seen.start]);
        }
        self.mix(inputs, &seen, scratch, output);
    }

    /// The tokens that the query of a row sees.
    fn visible(&self, inputs: &Inputs<'_>, row: usize) -> Range<usize> {
        inputs.shape.visible(self.run.position + row / inputs.shape.group(), self.end)
    }

    /// The tokens that any query of the task sees.
    fn seen(&self, inputs: &Inputs<'_>) -> Range<usize> {
        let first = inputs.shape.visible(self.run.position, self.end).start;
        first..inputs.shape.visible(self.run.position + self.run.tokens - 1, self.end).end
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

    /// Query times key, scaled and bent, for each row and token that it sees.
    fn score(&self, inputs: &Inputs<'_>, seen: &Range<usize>, scratch: &mut Scratch) {
        let AttentionShape { head_dim, scale, soft_cap, .. } = inputs.shape;
        let view = inputs.cache.view(inputs.layer, self.run.sequence);
        for page in seen.start / PAGE_TOKENS..seen.end.div_ceil(PAGE_TOKENS) {
            let first = page * PAGE_TOKENS;
            view.keys(page, self.kv_head, PAGE_TOKENS.min(seen.end - first), &mut scratch.tile);
            for (row, scores) in scratch.scores.chunks_exact_mut(seen.len()).enumerate() {
                let query = self.query(inputs, row);
                let here = on_page(self.visible(inputs, row), first);
                let keys = scratch.tile.chunks_exact(head_dim).skip(here.start - first);
                let scores = scores.iter_mut().skip(here.start - seen.start).take(here.len());
                for (score, key) in scores.zip(keys) {
                    *score = inputs.kernels.dot(query, key) * scale;
                    if soft_cap > 0.0 {
                        *score = soft_cap * (*score / soft_cap).tanh();
                    }
                }
            }
        }
    }

    /// Values weighted by the scores.
    fn mix(
        &self,
        inputs: &Inputs<'_>,
        seen: &Range<usize>,
        scratch: &mut Scratch,
        output: &mut [f32],
    ) {
        let head_dim = inputs.shape.head_dim;
        let view = inputs.cache.view(inputs.layer, self.run.sequence);
        output.fill(0.0);
        for page in seen.start / PAGE_TOKENS..seen.end.div_ceil(PAGE_TOKENS) {
            let first = page * PAGE_TOKENS;
            view.values(page, self.kv_head, PAGE_TOKENS.min(seen.end - first), &mut scratch.tile);
            let rows =
                scratch.scores.chunks_exact(seen.len()).zip(output.chunks_exact_mut(head_dim));
            for (row, (scores, mixed)) in rows.enumerate() {
                let here = on_page(self.visible(inputs, row), first);
                let values = scratch.tile.chunks_exact(head_dim).skip(here.start - first);
                let scores = scores.iter().skip(here.start - seen.start).take(here.len());
                for (&score, value) in scores.zip(values) {
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

/// The part of `visible` that lies on the page whose first token is `first`; empty ranges begin on the page.
fn on_page(visible: Range<usize>, first: usize) -> Range<usize> {
    let start = visible.start.clamp(first, first + PAGE_TOKENS);
    start..visible.end.clamp(start, first + PAGE_TOKENS)
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
