//! What the storage of keys and values costs in quality: perplexity of a text and distance of the distributions, against
//! single precision, with everything else exact.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where something is wrong")]

#[path = "support/demo_model.rs"]
mod demo_model;

use std::{num::NonZeroUsize, sync::Arc};

use demo_model::demo_model;
use realm_engine::{
    engine::{
        Engine, EngineOptions, KvType, LogitsWanted, Model, ModelOptions, Precision, StepItem,
        TokenId,
    },
    sampler::log_probability,
    tokenizer::SpecialTokens,
};

const TEXT: &str = "The river begins as a thin stream between two stones, high above the last trees. In spring the snow feeds \
it, and for some weeks it is loud enough to be heard from the road. By the time it reaches the mill it is slow and brown. The \
miller's grandfather built the weir from oak and clay; it has been repaired so often that nothing of the first one is left, yet \
everybody calls it the old weir. Below it the valley opens. There are orchards on the south side, mostly apples and a few \
plums, and on the north side meadows that are cut twice a year. Children are told not to swim near the bridge, because the \
current is stronger than it looks, and every summer some of them do it anyway. The bridge has three arches. An engineer who \
came to measure it said that the middle one carries almost all the weight, and that the other two are there for the look of \
it. After the bridge the river turns west, leaves the hills, and is joined by a canal that was dug for barges carrying coal. \
The barges are gone, but the towpath is still there, and on Sundays it is full of people with dogs and bicycles. Further down, \
where the water is wide and calm, a ferry crosses twice an hour. The ferryman knows the depth at every mark by heart: four \
metres at the landing, seven in the middle, and two where the sand has gathered since the flood.";

/// Log-probabilities of the whole vocabulary after each token of the text.
fn rows(model: &Arc<Model>, tokens: &[TokenId], kv_type: KvType) -> Vec<Vec<f32>> {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = EngineOptions { kv_type, ..EngineOptions::new(threads, 512, 1) };
    let mut engine = Engine::new(Arc::clone(model), options).unwrap();
    let sequence = engine.new_sequence().unwrap();
    let item = StepItem { sequence, tokens, logits: LogitsWanted::All };
    let logits = engine.step(&[item]).unwrap().item(0).to_vec();
    logits.chunks_exact(model.info().vocab_size).map(<[f32]>::to_vec).collect()
}

fn perplexity(rows: &[Vec<f32>], tokens: &[TokenId]) -> f64 {
    let sum: f64 = rows
        .iter()
        .zip(&tokens[1..])
        .map(|(row, &next)| f64::from(log_probability(row, next).expect("a token")))
        .sum();
    (-sum / (tokens.len() - 1) as f64).exp()
}

/// Mean KL divergence of `rows` from `reference`.
fn divergence(reference: &[Vec<f32>], rows: &[Vec<f32>]) -> f64 {
    let softened = |row: &[f32]| -> Vec<f64> {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = row.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
        row.iter().map(|&logit| f64::from(logit - largest) - sum.ln()).collect()
    };
    let each = reference.iter().zip(rows).map(|(reference, row)| {
        let pairs = softened(reference).into_iter().zip(softened(row));
        pairs.map(|(reference, ours)| reference.exp() * (reference - ours)).sum::<f64>()
    });
    each.sum::<f64>() / reference.len() as f64
}

#[test]
fn half_precision_and_eight_bits_keep_the_perplexity() {
    let options = ModelOptions { precision: Precision::Exact, ..ModelOptions::default() };
    let model = Model::open(&demo_model(), &options).expect("the demo model opens");
    let tokens = model.tokenizer().encode(TEXT, SpecialTokens::AsText);
    assert!(tokens.len() > 256, "several pages: {}", tokens.len());
    let reference = rows(&model, &tokens, KvType::F32);
    let expected = perplexity(&reference, &tokens);
    // Eight bits cost a sixth of what rounding activations to eight bits costs. In a text of this length the perplexity
    // moves by some tenths of a percent from chance alone.
    let bounds = [(KvType::F16, 1e-5, 1e-3), (KvType::Q8_0, 1e-3, 1e-2)];
    for (kv_type, largest_divergence, largest_change) in bounds {
        let rows = rows(&model, &tokens, kv_type);
        let (perplexity, divergence) = (perplexity(&rows, &tokens), divergence(&reference, &rows));
        println!(
            "{kv_type:?}: perplexity {perplexity:.4}, {expected:.4} in F32 ({:+.4} %); mean KL {divergence:.3e}",
            (perplexity / expected - 1.0) * 100.0
        );
        assert!((perplexity / expected - 1.0).abs() < largest_change, "{kv_type:?}: {perplexity}");
        assert!(divergence < largest_divergence, "{kv_type:?}: mean KL {divergence}");
    }
}
