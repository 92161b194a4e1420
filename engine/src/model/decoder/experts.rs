//! A mixture of experts (Shazeer et al. 2017, Jiang et al. 2024): each token is sent to the few that suit it best.
//!
//! The tokens of a step are grouped by expert, so that the matrices of an expert are read once for all its tokens.

use super::tensors::Experts;
use crate::{
    kernels::exp::exp,
    model::{
        activation::gated,
        config::{Config, ExpertConfig},
        scratch::{ExpertScratch, Scratch},
    },
    ops::{
        product::Products,
        rows::{each_row, row},
    },
    weights::{WeightError, Weights},
};

/// The shares of a token are divided by no less than this.
const LEAST_SUM: f32 = 6.103_515_6e-5;

impl Experts {
    /// From the normed state in `scratch.normed` to what is added to the state, in `scratch.added`.
    pub(super) fn run(
        &self,
        products: Products<'_>,
        weights: &dyn Weights,
        config: &Config,
        scratch: &mut Scratch,
    ) -> Result<(), WeightError> {
        let width = config.embedding;
        let Scratch { normed, added, gate, up, experts, .. } = scratch;
        experts.scores.resize(normed.len() / width * self.config.count, 0.0);
        let router = self.router.view(weights)?;
        products.multiply(normed, width, [(router, &mut experts.scores)]);
        experts.send(self.config);
        added.fill(0.0);
        let ExpertScratch { sent, input, output, .. } = experts;
        let inner = self.config.feed_forward;
        for (expert, sent) in sent.iter().enumerate().filter(|(_, sent)| !sent.is_empty()) {
            input.clear();
            for &(token, _) in sent {
                input.extend(row(normed, width, token));
            }
            gate.resize(sent.len() * inner, 0.0);
            up.resize(sent.len() * inner, 0.0);
            output.resize(input.len(), 0.0);
            let matrices = [
                (self.gate.view(weights, expert)?, &mut **gate),
                (self.up.view(weights, expert)?, &mut **up),
            ];
            products.multiply(input, width, matrices);
            each_row(products.team, gate, inner, |index, gate| {
                gated(products.kernels, config.activation, gate, row(up, inner, index));
            });
            products.multiply(gate, inner, [(self.down.view(weights, expert)?, &mut **output)]);
            for (&(token, share), output) in sent.iter().zip(output.chunks_exact(width)) {
                let added = &mut added[token * width..(token + 1) * width];
                added.iter_mut().zip(output).for_each(|(sum, &number)| *sum += share * number);
            }
        }
        Ok(())
    }
}

impl ExpertScratch {
    /// Sends each token to its best experts.
    fn send(&mut self, config: ExpertConfig) {
        self.sent.resize_with(config.count, Vec::new);
        self.sent.iter_mut().for_each(Vec::clear);
        let mut best: Vec<usize> = Vec::new();
        for (token, scores) in self.scores.chunks_exact_mut(config.count).enumerate() {
            softmax(scores);
            best.clear();
            best.extend(0..config.count);
            best.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
            best.truncate(config.used);
            let sum: f32 = best.iter().map(|&expert| scores[expert]).sum();
            for &expert in &best {
                let share = scores[expert] / sum.max(LEAST_SUM) * config.scale;
                self.sent[expert].push((token, share));
            }
        }
    }
}

/// Turns scores into shares that sum to 1.
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
