//! What each sampling parameter promises holds for any logits.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is wrong"
)]

use proptest::prelude::*;
use realm_engine::sampler::{
    MAX_LOGIT_BIASES, Sampler, SamplerParams, log_probabilities, log_probability,
};

/// Draws of a distribution test.
const DRAWS: usize = 20_000;

fn sampler(params: SamplerParams) -> Sampler {
    Sampler::new(params).unwrap()
}

fn seeded(seed: u64) -> SamplerParams {
    SamplerParams { seed: Some(seed), ..SamplerParams::default() }
}

fn probabilities(logits: &[f32]) -> Vec<f64> {
    let weights: Vec<f64> = logits.iter().map(|&logit| f64::from(logit).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// Chi-square statistic of draws against probabilities; an impossible token that is drawn makes it infinite.
fn chi_square(sampler: &mut Sampler, logits: &[f32], expected: &[f64]) -> f64 {
    let mut counts = vec![0_u32; logits.len()];
    for _ in 0..DRAWS {
        counts[sampler.sample(logits) as usize] += 1;
    }
    let term = |(&count, &probability): (&u32, &f64)| match probability {
        0.0 => f64::from(count) * f64::INFINITY.min(f64::from(count) * 1e300),
        _ => (f64::from(count) - probability * DRAWS as f64).powi(2) / (probability * DRAWS as f64),
    };
    counts.iter().zip(expected).map(term).sum()
}

/// 99.9 % quantile for at most 7 degrees of freedom.
const CHI_SQUARE_LIMIT: f64 = 24.3;

const LOGITS: [f32; 8] = [1.0, 2.0, 0.5, -1.0, 3.0, 2.5, -3.0, 0.0];

#[test]
fn draws_follow_softmax() {
    for temperature in [0.5, 1.0, 2.0] {
        let expected = probabilities(&LOGITS.map(|logit| logit / temperature));
        let statistic = chi_square(
            &mut sampler(SamplerParams { temperature, ..seeded(1) }),
            &LOGITS,
            &expected,
        );
        assert!(statistic < CHI_SQUARE_LIMIT, "temperature {temperature}: {statistic}");
    }
}

#[test]
fn filters_keep_the_shape_of_what_is_left() {
    // Probabilities fall in the order of tokens 4, 5, 1, 0, 2, 7, 3, 6.
    let keep = |kept: &[usize]| {
        let masked: Vec<f32> = (0..8)
            .map(|token| if kept.contains(&token) { LOGITS[token] } else { f32::NEG_INFINITY })
            .collect();
        probabilities(&masked)
    };
    let all = probabilities(&LOGITS);
    let cases = [
        (SamplerParams { top_k: 3, ..seeded(2) }, keep(&[4, 5, 1])),
        (SamplerParams { top_p: (all[4] + all[5] * 0.5) as f32, ..seeded(3) }, keep(&[4, 5])),
        (SamplerParams { min_p: 0.1, ..seeded(4) }, keep(&[4, 5, 1, 0])),
        (SamplerParams { top_k: 4, min_p: 0.5, ..seeded(5) }, keep(&[4, 5])),
        (
            SamplerParams { logit_bias: vec![(4, -100.0), (99, 5.0)], ..seeded(6) },
            keep(&[0, 1, 2, 3, 5, 6, 7]),
        ),
    ];
    for (params, expected) in cases {
        let statistic = chi_square(&mut sampler(params.clone()), &LOGITS, &expected);
        assert!(statistic < CHI_SQUARE_LIMIT, "{params:?}: {statistic}");
    }
}

#[test]
fn penalties_change_the_logits_of_seen_tokens() {
    let check = |params: SamplerParams, expected: [f32; 3]| {
        let mut sampler = sampler(SamplerParams { seed: Some(7), ..params.clone() });
        for token in [0, 0, 1] {
            sampler.accept(token);
        }
        sampler.accept(u32::MAX);
        let statistic = chi_square(&mut sampler, &[2.0, -1.0, 0.5], &probabilities(&expected));
        assert!(statistic < CHI_SQUARE_LIMIT, "{params:?}: {statistic}");
    };
    let off = SamplerParams::default();
    check(SamplerParams { repetition_penalty: 2.0, ..off.clone() }, [1.0, -2.0, 0.5]);
    check(SamplerParams { presence_penalty: 0.5, ..off.clone() }, [1.5, -1.5, 0.5]);
    check(SamplerParams { frequency_penalty: 0.5, ..off.clone() }, [1.0, -1.5, 0.5]);
    check(SamplerParams { logit_bias: vec![(1, 2.0)], ..off }, [2.0, 1.0, 0.5]);
}

#[test]
fn a_seed_gives_the_same_tokens_on_every_platform() {
    let mut sampler = sampler(seeded(42));
    let drawn: Vec<u32> = (0..16).map(|_| sampler.sample(&LOGITS)).collect();
    expect_test::expect!["[2, 2, 5, 4, 5, 4, 1, 4, 5, 4, 2, 5, 4, 4, 4, 1]"]
        .assert_eq(&format!("{drawn:?}"));
    assert_eq!(sampler.seed(), 42);
    let own = Sampler::new(SamplerParams::default()).unwrap();
    assert_ne!(own.seed(), Sampler::new(SamplerParams::default()).unwrap().seed());
}

#[test]
fn values_out_of_range_are_named() {
    let d = SamplerParams::default;
    let cases = [
        (SamplerParams { temperature: -0.1, ..d() }, "temperature", "-0.1"),
        (SamplerParams { temperature: f32::NAN, ..d() }, "temperature", "NaN"),
        (SamplerParams { temperature: f32::INFINITY, ..d() }, "temperature", "inf"),
        (SamplerParams { top_p: 1.5, ..d() }, "top_p", "1.5"),
        (SamplerParams { top_p: f32::NAN, ..d() }, "top_p", "NaN"),
        (SamplerParams { min_p: -1.0, ..d() }, "min_p", "-1"),
        (SamplerParams { repetition_penalty: 0.0, ..d() }, "repetition_penalty", "0"),
        (SamplerParams { repetition_penalty: f32::NAN, ..d() }, "repetition_penalty", "NaN"),
        (SamplerParams { presence_penalty: 2.5, ..d() }, "presence_penalty", "2.5"),
        (
            SamplerParams { frequency_penalty: f32::NEG_INFINITY, ..d() },
            "frequency_penalty",
            "-inf",
        ),
        (SamplerParams { logit_bias: vec![(3, 101.0)], ..d() }, "logit_bias", "101 for token 3"),
        (SamplerParams { logit_bias: vec![(3, f32::NAN)], ..d() }, "logit_bias", "NaN for token 3"),
        (
            SamplerParams { logit_bias: vec![(0, 0.0); MAX_LOGIT_BIASES + 1], ..d() },
            "logit_bias",
            "1025",
        ),
    ];
    for (params, parameter, value) in cases {
        let error = Sampler::new(params).unwrap_err();
        assert_eq!(error.parameter, parameter);
        let message = error.to_string();
        assert!(message.contains(value) && message.contains("must be"), "{message}");
    }
}

#[test]
fn odd_rows_give_a_token() {
    let nothing: [&[f32]; 4] =
        [&[], &[f32::NAN; 3], &[f32::NEG_INFINITY; 3], &[f32::INFINITY, f32::INFINITY]];
    for temperature in [0.0, 1.0] {
        for row in nothing {
            let mut sampler = sampler(SamplerParams {
                temperature,
                top_p: 0.5,
                min_p: 0.1,
                top_k: 2,
                ..seeded(1)
            });
            assert!((sampler.sample(row) as usize) < row.len().max(1));
        }
        let mut sampler = sampler(SamplerParams { temperature, ..seeded(1) });
        assert_eq!(sampler.sample(&[f32::NAN, f32::NEG_INFINITY, -1e30, f32::NAN]), 2);
    }
}

#[test]
fn ties_go_to_the_lowest_id() {
    let greedy = SamplerParams { temperature: 0.0, ..SamplerParams::default() };
    assert_eq!(sampler(greedy).sample(&[1.0, 3.0, 3.0, 2.0]), 1);
    assert_eq!(sampler(SamplerParams { top_k: 1, ..seeded(1) }).sample(&[1.0, 3.0, 3.0, 2.0]), 1);
    let tokens: Vec<u32> =
        log_probabilities(&[1.0, 3.0, 3.0, 1.0], 3).iter().map(|entry| entry.token).collect();
    assert_eq!(tokens, [1, 2, 0]);
}

proptest! {
    #[test]
    fn narrow_filters_are_greedy(logits in prop::collection::vec(-20.0_f32..20.0, 1..400), seed: u64) {
        let greedy = sampler(SamplerParams { temperature: 0.0, ..seeded(seed) }).sample(&logits);
        for params in [
            SamplerParams { top_k: 1, ..seeded(seed) },
            SamplerParams { top_p: 0.0, ..seeded(seed) },
            SamplerParams { top_p: 0.0, top_k: 50, min_p: 0.3, temperature: 2.0, ..seeded(seed) },
        ] {
            prop_assert_eq!(sampler(params).sample(&logits), greedy);
        }
    }

    /// Few different values, so that many are equal; rows end in the middle of blocks, too.
    #[test]
    fn the_likeliest_are_the_first_of_the_sorted_row(
        row in prop::collection::vec(prop_oneof![
            8 => (-9_i8..9).prop_map(f32::from), 1 => Just(f32::NEG_INFINITY), 1 => Just(f32::NAN),
        ], 1..700),
        count in 0_usize..80,
    ) {
        let mut sampler = sampler(SamplerParams::default());
        sampler.weigh(&row);
        let mut sorted: Vec<(u32, f32)> = (0..).zip(row.iter().copied()).collect();
        sorted.retain(|(_, logit)| *logit > f32::NEG_INFINITY);
        sorted.sort_by(|left, right| right.1.total_cmp(&left.1));
        sorted.truncate(count);
        prop_assert_eq!(sampler.likeliest(count), sorted);
    }

    #[test]
    fn any_row_gives_a_token_of_it(
        row in prop::collection::vec(prop::num::f32::ANY, 1..200),
        temperature in 0.0_f32..2.0, top_k in 0_u32..300, top_p in 0.0_f32..1.0, min_p in 0.0_f32..1.0, seed: u64,
    ) {
        let mut sampler = sampler(SamplerParams { temperature, top_k, top_p, min_p, ..seeded(seed) });
        for _ in 0..4 {
            let token = sampler.sample(&row);
            prop_assert!((token as usize) < row.len());
            sampler.accept(token);
        }
    }

    #[test]
    fn log_probabilities_are_those_of_softmax(logits in prop::collection::vec(-30.0_f32..30.0, 1..100)) {
        let entries = log_probabilities(&logits, logits.len());
        let expected = probabilities(&logits);
        let sum: f64 = entries.iter().map(|entry| f64::from(entry.log_probability).exp()).sum();
        prop_assert!((sum - 1.0).abs() < 1e-4);
        for entry in &entries {
            let exact = expected[entry.token as usize].ln();
            prop_assert!((f64::from(entry.log_probability) - exact).abs() < 1e-4);
            prop_assert_eq!(log_probability(&logits, entry.token), Some(entry.log_probability));
        }
        prop_assert_eq!(&log_probabilities(&logits, 3)[..], &entries[..entries.len().min(3)]);
        prop_assert_eq!(log_probability(&logits, logits.len() as u32), None);
    }
}
