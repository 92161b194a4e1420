//! Attention with grouped queries (Vaswani et al. 2017, Ainslie et al. 2023) over cached keys and values.
//!
//! The work is cut into tasks: a few tokens of one sequence and the query heads that share one head of keys. A task
//! converts each page of keys and values once for all its rows, and writes a part of the output of its own, so that
//! tasks run in any order on any thread.

use std::{
    ops::Range,
    sync::{Mutex, PoisonError},
};

use crate::{
    kernels::{
        Kernels,
        attend::{Gathered, PageWork, padded},
    },
    kv_cache::{KvCache, PAGE_TOKENS, SequenceId},
    ops::product::Products,
    team::Team,
};

/// Tokens of one task.
const TASK_TOKENS: usize = 32;

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
    queries: Vec<f32>,
    /// A page as it is read, where it must be filled up.
    tile: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    /// What each row sees of the page.
    seen: Vec<Range<usize>>,
    gathered: Gathered,
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
        let AttentionShape { head_dim, soft_cap, .. } = inputs.shape;
        let (rows, dim) = (self.run.tokens * inputs.shape.group(), padded(head_dim));
        let view = inputs.cache.view(inputs.layer, self.run.sequence);
        self.gather_queries(inputs, dim, &mut scratch.queries);
        scratch.gathered.start(rows, dim);
        let all = self.seen(inputs);
        for page in all.start / PAGE_TOKENS..all.end.div_ceil(PAGE_TOKENS) {
            let first = page * PAGE_TOKENS;
            let tokens = PAGE_TOKENS.min(all.end - first);
            let Scratch { tile, keys, values, .. } = scratch;
            view.keys(page, self.kv_head, tokens, fill(tile, keys, tokens, head_dim, dim));
            spread(tile, keys, tokens, head_dim, dim);
            view.values(page, self.kv_head, tokens, fill(tile, values, tokens, head_dim, dim));
            spread(tile, values, tokens, head_dim, dim);
            let seen = (0..rows).map(|row| on_page(self.visible(inputs, row), first));
            scratch.seen.clear();
            scratch.seen.extend(seen);
            inputs.kernels.attend(&mut PageWork {
                queries: &scratch.queries,
                keys: &scratch.keys[..tokens * dim],
                values: &scratch.values[..tokens * dim],
                dim,
                seen: &scratch.seen,
                soft_cap,
                gathered: &mut scratch.gathered,
            });
        }
        for (row, output) in output.chunks_exact_mut(head_dim).enumerate() {
            scratch.gathered.finish(row, dim, output);
        }
    }

    /// The queries of all rows, scaled and filled up.
    fn gather_queries(&self, inputs: &Inputs<'_>, dim: usize, queries: &mut Vec<f32>) {
        let rows = self.run.tokens * inputs.shape.group();
        queries.clear();
        queries.resize(rows * dim, 0.0);
        for (row, to) in queries.chunks_exact_mut(dim).enumerate() {
            for (to, number) in to.iter_mut().zip(self.query(inputs, row)) {
                *to = number * inputs.shape.scale;
            }
        }
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

/// Where a page's numbers are read to: straight to their place when no filling is needed.
fn fill<'t>(
    tile: &'t mut Vec<f32>,
    filled: &'t mut Vec<f32>,
    tokens: usize,
    head_dim: usize,
    dim: usize,
) -> &'t mut [f32] {
    filled.resize(PAGE_TOKENS * dim, 0.0);
    tile.resize(PAGE_TOKENS * head_dim, 0.0);
    if head_dim == dim { &mut filled[..tokens * dim] } else { &mut tile[..tokens * head_dim] }
}

/// Spreads what was read, when it needs filling; the places between stay zero.
fn spread(tile: &[f32], filled: &mut [f32], tokens: usize, head_dim: usize, dim: usize) {
    if head_dim != dim {
        for (to, from) in filled.chunks_exact_mut(dim).zip(tile.chunks_exact(head_dim)).take(tokens)
        {
            to[..head_dim].copy_from_slice(from);
        }
    }
}

/// The part of `visible` that lies on the page whose first token is `first`, counted from there.
fn on_page(visible: Range<usize>, first: usize) -> Range<usize> {
    let start = visible.start.clamp(first, first + PAGE_TOKENS);
    start - first..visible.end.clamp(start, first + PAGE_TOKENS) - first
}
