//! Fused attention over pages against the definition in double precision, for every kernel of this CPU, storage type and mask.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use realm_engine::{
    kernels::Kernels,
    kv_cache::{KvCache, KvShape, KvType},
    ops::{
        attention::{AttentionPlan, AttentionShape, Run},
        product::{Precision, Products},
    },
    team::Team,
};

const CONTEXT: usize = 160;

/// Numbers without a pattern that sums could hide in.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next() * 2.0).collect()
}

/// What a row of one head should give.
fn expected(
    shape: AttentionShape,
    query: &[f32],
    (keys, values): (&[f32], &[f32]),
    kv_head: usize,
    seen: std::ops::Range<usize>,
) -> Vec<f64> {
    let (dim, width) = (shape.head_dim, shape.kv_heads * shape.head_dim);
    let head = |rows: &[f32], token: usize| -> Vec<f64> {
        let start = token * width + kv_head * dim;
        rows[start..start + dim].iter().map(|&number| f64::from(number)).collect()
    };
    let score = |token: usize| {
        let key = head(keys, token);
        let product: f64 = key.iter().zip(query).map(|(key, &query)| key * f64::from(query)).sum();
        let (score, cap) = (product * f64::from(shape.scale), f64::from(shape.soft_cap));
        if cap > 0.0 { cap * (score / cap).tanh() } else { score }
    };
    let weights: Vec<f64> = seen.clone().map(|token| score(token).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let mut mixed = vec![0.0; dim];
    for (weight, token) in weights.iter().zip(seen) {
        for (mixed, value) in mixed.iter_mut().zip(head(values, token)) {
            *mixed += weight / sum * value;
        }
    }
    mixed
}

fn compare(
    kernels: Kernels,
    shape: AttentionShape,
    kv_type: KvType,
    runs: &[(usize, usize)],
    tolerance: f64,
) {
    let (dim, kv_width) = (shape.head_dim, shape.kv_heads * shape.head_dim);
    let mut cache = KvCache::new(KvShape {
        layers: 1,
        heads: shape.kv_heads,
        key_dim: dim,
        value_dim: dim,
        context_length: CONTEXT,
        sequences: runs.len(),
        pages: runs.len() * CONTEXT.div_ceil(32),
        kv_type,
    })
    .unwrap();
    let (mut plan_runs, mut queries, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for (index, &(position, tokens)) in runs.iter().enumerate() {
        let sequence = cache.open(None).unwrap();
        let end = position + tokens;
        cache.reserve(&[(sequence, end)]).unwrap();
        let seed = 100 * index as u64;
        let (keys, values) = (numbers(seed + 1, end * kv_width), numbers(seed + 2, end * kv_width));
        cache.write_run(0, sequence, 0, &keys, &values);
        let row = queries.len() / (shape.heads * dim);
        queries.extend(numbers(seed + 3, tokens * shape.heads * dim));
        plan_runs.push(Run { sequence, row, position, tokens });
        kept.push((keys, values));
    }
    let team = Team::new(2.try_into().unwrap()).unwrap();
    let products = Products { kernels, precision: Precision::Fast, team: &team };
    let mut plan = AttentionPlan::default();
    plan.plan(&team, &plan_runs, shape);
    let mut output = vec![f32::NAN; queries.len()];
    plan.attend(products, shape, &cache, 0, &queries, &mut output);
    for (run, (keys, values)) in plan_runs.iter().zip(&kept) {
        for (token, head) in
            (0..run.tokens).flat_map(|token| (0..shape.heads).map(move |head| (token, head)))
        {
            let position = run.position + token;
            let seen = match (shape.causal, shape.window) {
                (false, _) => 0..run.position + run.tokens,
                (true, 0) => 0..position + 1,
                (true, window) => (position + 1).saturating_sub(window)..position + 1,
            };
            let start = (run.row + token) * shape.heads * dim + head * dim;
            let kv_head = head / (shape.heads / shape.kv_heads);
            let wanted =
                expected(shape, &queries[start..start + dim], (keys, values), kv_head, seen);
            for (found, wanted) in output[start..start + dim].iter().zip(wanted) {
                assert!(
                    (f64::from(*found) - wanted).abs() <= tolerance,
                    "{} {kv_type:?} {shape:?}: position {position} head {head}: {found} instead of {wanted}",
                    kernels.name()
                );
            }
        }
    }
}

const PLAIN: AttentionShape = AttentionShape {
    heads: 4,
    kv_heads: 2,
    head_dim: 64,
    scale: 0.125,
    soft_cap: 0.0,
    window: 0,
    causal: true,
};

/// A prompt over several pages, the end of another, and three sequences that decode.
const RUNS: [(usize, usize); 5] = [(0, 70), (61, 9), (0, 1), (31, 1), (150, 1)];

#[test]
fn agrees_with_the_definition() {
    for kernels in Kernels::available() {
        for (kv_type, tolerance) in [(KvType::F32, 2e-5), (KvType::F16, 4e-3), (KvType::Q8_0, 6e-2)]
        {
            compare(kernels, PLAIN, kv_type, &RUNS, tolerance);
        }
        for shape in [
            AttentionShape { window: 20, ..PLAIN },
            AttentionShape { window: 33, soft_cap: 1.5, ..PLAIN },
            AttentionShape { heads: 6, kv_heads: 1, head_dim: 40, ..PLAIN },
            AttentionShape { heads: 2, head_dim: 96, soft_cap: 30.0, ..PLAIN },
            AttentionShape { head_dim: 128, scale: 4.0, ..PLAIN },
        ] {
            compare(kernels, shape, KvType::F32, &RUNS, 1e-4);
        }
        let both_ways = AttentionShape { causal: false, head_dim: 32, ..PLAIN };
        compare(kernels, both_ways, KvType::F32, &[(0, 45), (0, 3)], 2e-5);
    }
}
