//! Drafts change how many steps a text takes, never the text: for any model, any sampling parameters and any draft.
//! And what steps cost and how often drafts are right decide how long drafts are.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is wrong"
)]

use proptest::prelude::*;
use realm_engine::{
    sampler::{Sampler, SamplerParams},
    speculation::{
        Acceptance, Choice, DraftSource, MAX_DRAFT, MAX_STEP_GUESSES, Offer, PromptLookup,
        StepCosts, StepRoom, plan, verify,
    },
    tokenizer::TokenId,
};

/// Tokens of a made-up model whose logits depend on the last two tokens only, so that its texts repeat themselves.
const VOCABULARY: usize = 7;

/// A table of logits for each pair of last tokens.
#[derive(Debug, Clone)]
struct TableModel(Vec<f32>);

impl TableModel {
    fn row(&self, text: &[TokenId]) -> &[f32] {
        let token = |back: usize| text.len().checked_sub(back).map_or(0, |at| text[at] as usize);
        let start = (token(2) * VOCABULARY + token(1)) * VOCABULARY;
        &self.0[start..start + VOCABULARY]
    }

    /// The rows of a step that adds the draft: one after the text, one after each guess.
    fn rows(&self, text: &[TokenId], draft: &[TokenId]) -> Vec<f32> {
        let whole = [text, draft].concat();
        (text.len()..=whole.len()).flat_map(|end| self.row(&whole[..end]).to_vec()).collect()
    }
}

/// One token a step.
fn plainly(
    model: &TableModel,
    prompt: &[TokenId],
    params: &SamplerParams,
    length: usize,
) -> Vec<TokenId> {
    let mut sampler = Sampler::new(params.clone()).unwrap();
    let mut text = prompt.to_vec();
    for _ in 0..length {
        let token = sampler.sample(model.row(&text));
        sampler.accept(token);
        text.push(token);
    }
    text.split_off(prompt.len())
}

/// What a run with drafts gave and took.
struct Run {
    tokens: Vec<TokenId>,
    steps: usize,
    accepted: usize,
}

/// Drafts of up to `most` tokens in every step, from `guess`.
fn speculatively(
    model: &TableModel,
    prompt: &[TokenId],
    params: &SamplerParams,
    length: usize,
    mut guess: impl FnMut(&[TokenId], usize) -> Vec<TokenId>,
) -> Run {
    let mut sampler = Sampler::new(params.clone()).unwrap();
    let mut text = prompt.to_vec();
    let mut run = Run { tokens: Vec::new(), steps: 0, accepted: 0 };
    while run.tokens.len() < length {
        let left = length - run.tokens.len();
        let draft = guess(&text, left - 1);
        assert!(draft.len() < left, "a draft never reaches past the limit");
        let rows = model.rows(&text, &draft);
        let verified = verify(&draft, &rows, VOCABULARY, |row| {
            let token = sampler.sample(row);
            sampler.accept(token);
            run.tokens.push(token);
            Choice { token, over: run.tokens.len() == length }
        });
        text.truncate(prompt.len());
        text.extend(&run.tokens);
        run.steps += 1;
        run.accepted += verified.accepted;
    }
    run
}

/// Guesses by what stood in the text before.
fn by_lookup(most: usize) -> impl FnMut(&[TokenId], usize) -> Vec<TokenId> {
    let mut lookup = PromptLookup::new();
    move |text, limit| {
        let known = lookup.tokens().len();
        lookup.extend(&text[known..]);
        lookup.find().map(|found| lookup.draft(found, most.min(limit))).unwrap_or_default()
    }
}

fn table() -> impl Strategy<Value = TableModel> {
    proptest::collection::vec(-4.0_f32..4.0, VOCABULARY.pow(3)).prop_map(TableModel)
}

fn sampling() -> impl Strategy<Value = SamplerParams> {
    let temperature = prop_oneof![Just(0.0_f32), 0.1_f32..1.5];
    let penalties = (0.7_f32..1.5, -1.0_f32..1.0, -1.0_f32..1.0);
    let filters = (0_u32..6, 0.3_f32..1.0, 0.0_f32..0.3);
    let bias = proptest::collection::vec((0..VOCABULARY as TokenId, -5.0_f32..5.0), 0..3);
    (temperature, penalties, filters, bias, any::<u64>()).prop_map(
        |(
            temperature,
            (repetition_penalty, presence_penalty, frequency_penalty),
            (top_k, top_p, min_p),
            logit_bias,
            seed,
        )| {
            SamplerParams {
                temperature,
                top_k,
                top_p,
                min_p,
                repetition_penalty,
                presence_penalty,
                frequency_penalty,
                seed: Some(seed),
                logit_bias,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn drafts_from_the_text_never_change_the_text(
        model in table(),
        prompt in proptest::collection::vec(0..VOCABULARY as TokenId, 1..12),
        params in sampling(),
        length in 1_usize..60,
        most in 1_usize..=MAX_DRAFT,
    ) {
        let plain = plainly(&model, &prompt, &params, length);
        let run = speculatively(&model, &prompt, &params, length, by_lookup(most));
        prop_assert_eq!(&run.tokens, &plain);
        prop_assert_eq!(run.steps + run.accepted, length, "each step gives one token beside the accepted ones");
    }

    #[test]
    fn neither_do_drafts_that_are_anything_at_all(
        model in table(),
        params in sampling(),
        guesses in proptest::collection::vec(proptest::collection::vec(0..VOCABULARY as TokenId, 0..6), 40),
    ) {
        let plain = plainly(&model, &[1, 2], &params, 40);
        let mut guesses = guesses.into_iter();
        let run = speculatively(&model, &[1, 2], &params, 40, |_, limit| {
            let mut draft = guesses.next().unwrap_or_default();
            draft.truncate(limit);
            draft
        });
        prop_assert_eq!(run.tokens, plain);
    }

    #[test]
    fn a_match_is_the_newest_of_the_longest(text in proptest::collection::vec(0_u32..4, 0..200)) {
        let mut lookup = PromptLookup::new();
        lookup.extend(&text);
        // By looking at every place.
        let expected = (2..=5).rev().find_map(|length| {
            let end = text.get(text.len().checked_sub(length)?..)?;
            let places = (length..text.len()).rev();
            places.into_iter().find(|&next| text[next - length..next] == *end).map(|next| (length, next))
        });
        match (lookup.find(), expected) {
            (None, None) => {}
            (Some(found), Some((length, next))) => {
                prop_assert_eq!(found.length, length);
                let draft = lookup.draft(found, 3);
                let mut whole = text.clone();
                for guess in draft {
                    let index = whole.len() - text.len();
                    prop_assert_eq!(guess, whole[next + index]);
                    whole.push(guess);
                }
            }
            (found, expected) => prop_assert!(false, "{found:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn a_text_that_repeats_takes_few_steps() {
    // The most likely token after (a, b) is a + 1 (mod 5), so texts run in circles.
    let mut table = vec![0.0; VOCABULARY.pow(3)];
    for before in 0..VOCABULARY {
        for last in 0..VOCABULARY {
            table[(before * VOCABULARY + last) * VOCABULARY + (last + 1) % 5] = 3.0;
        }
    }
    let greedy = SamplerParams { temperature: 0.0, ..SamplerParams::default() };
    let run = speculatively(&TableModel(table), &[0], &greedy, 100, by_lookup(8));
    assert!(run.steps < 24, "{} steps", run.steps);
}

/// 99.9 % quantile for 6 degrees of freedom.
const CHI_SQUARE_LIMIT: f64 = 22.5;

#[test]
fn sampled_tokens_keep_their_distribution_under_drafts() {
    const RUNS: usize = 20_000;
    let logits = [1.0_f32, 2.0, 0.5, -1.0, 2.5, 0.0, 1.5];
    let model = TableModel(logits.repeat(VOCABULARY * VOCABULARY));
    let weights = logits.map(|logit| f64::from(logit).exp());
    let sum: f64 = weights.iter().sum();
    let mut counts = [[0_u32; VOCABULARY]; 3];
    for seed in 0..RUNS {
        let params = SamplerParams { seed: Some(seed as u64), ..SamplerParams::default() };
        // A draft that is always the likeliest token: accepting by anything but a fair draw would favour it.
        let run = speculatively(&model, &[0], &params, 3, |_, limit| vec![4; limit]);
        for (place, &token) in run.tokens.iter().enumerate() {
            counts[place][token as usize] += 1;
        }
    }
    for (place, counts) in counts.iter().enumerate() {
        let term = |(&count, weight): (&u32, &f64)| {
            let expected = weight / sum * RUNS as f64;
            (f64::from(count) - expected).powi(2) / expected
        };
        let statistic: f64 = counts.iter().zip(&weights).map(term).sum();
        assert!(statistic < CHI_SQUARE_LIMIT, "token {place}: {statistic}");
    }
}

#[test]
fn verification_stops_at_the_first_wrong_guess_and_at_the_end() {
    let rows: Vec<f32> = (0..4).flat_map(|row| [f32::from(row == 9), row as f32]).collect();
    let chosen = [5, 6, 7, 8];
    let run = |draft: &[TokenId], last: usize| {
        let mut count = 0;
        let verified = verify(draft, &rows[..2 * (draft.len() + 1)], 2, |row| {
            assert_eq!(row[1], count as f32, "rows come in order");
            count += 1;
            Choice { token: chosen[count - 1], over: count == last }
        });
        (verified.chosen, verified.accepted, verified.over)
    };
    assert_eq!(run(&[], 9), (1, 0, false));
    assert_eq!(run(&[5, 6, 7], 9), (4, 3, false), "all right, and one more");
    assert_eq!(run(&[5, 0, 7], 9), (2, 1, false), "what follows a wrong guess does not count");
    assert_eq!(run(&[0, 6, 7], 9), (1, 0, false));
    assert_eq!(run(&[5, 6, 7], 2), (2, 2, true), "an end inside the draft");
}

fn costs(measures: &[(usize, f64)]) -> StepCosts {
    let mut costs = StepCosts::new();
    for _ in 0..50 {
        for &(rows, seconds) in measures {
            costs.observe(rows, seconds);
        }
    }
    costs
}

/// Memory-bound up to eight rows, then a cost for each row.
fn cpu_like() -> StepCosts {
    costs(&[
        (1, 20e-3),
        (2, 21e-3),
        (4, 24e-3),
        (8, 30e-3),
        (16, 60e-3),
        (32, 120e-3),
        (64, 240e-3),
    ])
}

fn alone(rows: usize) -> StepRoom {
    StepRoom { rows, spare: 100, shared: false, round_seconds: 0.0 }
}

fn offer(probability: f64) -> Offer {
    Offer { probability, most: 8, by_model: false, due: false }
}

#[test]
fn drafts_are_as_long_as_they_pay() {
    let costs = cpu_like();
    let length = |probability| plan(&costs, alone(1), &[offer(probability)])[0];
    assert_eq!(length(0.0), 0);
    assert_eq!(length(0.02), 0, "wrong guesses are not free");
    assert!((1..=4).contains(&length(0.5)), "{}", length(0.5));
    assert!((5..=8).contains(&length(0.9)), "{}", length(0.9));
    assert!(length(0.9) <= 7, "the kernel's step beyond eight rows is seen: {}", length(0.9));
    // Where every row costs as much as the first, nothing pays.
    let linear = self::costs(&[(1, 1.0), (2, 2.0), (4, 4.0), (8, 8.0)]);
    assert_eq!(plan(&linear, alone(1), &[offer(0.9)]), [0]);
}

#[test]
fn wide_steps_and_other_tenants_come_first() {
    let costs = cpu_like();
    let offers = vec![offer(0.7); 32];
    assert!(plan(&costs, alone(32), &offers).iter().all(|&count| count == 0));
    let shared = StepRoom { shared: true, ..alone(2) };
    let drafts: usize = plan(&costs, shared, &[offer(0.95), offer(0.95)]).iter().sum();
    let free: usize = plan(&costs, alone(2), &[offer(0.95), offer(0.95)]).iter().sum();
    assert!(drafts > 0 && drafts < free, "{drafts} of {free}");
    assert!(costs.seconds(2 + drafts) <= costs.seconds(2) * 1.25);
    let full = StepRoom { spare: 0, ..alone(1) };
    assert_eq!(plan(&costs, full, &[Offer { due: true, ..offer(0.9) }]), [0], "no room, no draft");
    let many = vec![Offer { most: 16, ..offer(1.0) }; 40];
    let total: usize =
        plan(&self::costs(&[(1, 1.0), (512, 1.0)]), StepRoom { spare: 4096, ..alone(1) }, &many)
            .iter()
            .sum();
    assert_eq!(total, MAX_STEP_GUESSES);
}

#[test]
fn likely_guesses_go_first_and_a_slow_draft_model_is_left_out() {
    let costs = cpu_like();
    let counts = plan(&costs, alone(2), &[offer(0.3), offer(0.9)]);
    assert!(counts[1] > counts[0], "{counts:?}");
    let by_model = Offer { by_model: true, ..offer(0.8) };
    let rounds =
        |seconds| plan(&costs, StepRoom { round_seconds: seconds, ..alone(1) }, &[by_model])[0];
    assert!(rounds(1e-3) > rounds(8e-3), "{} and {}", rounds(1e-3), rounds(8e-3));
    assert_eq!(rounds(20e-3), 0, "a draft model as slow as the model");
}

#[test]
fn costs_follow_what_is_measured() {
    let fresh = StepCosts::new();
    assert!(fresh.seconds(1) == 1.0 && fresh.seconds(5) > 1.0 && fresh.seconds(5) < 2.0);
    let mut costs = cpu_like();
    assert!((costs.seconds(1) - 20e-3).abs() < 1e-6);
    let between = costs.seconds(3);
    assert!(between > costs.seconds(2) && between < costs.seconds(4), "{between}");
    assert!(costs.seconds(200) > costs.seconds(64));
    for _ in 0..50 {
        costs.observe(4, 48e-3);
    }
    assert!((costs.seconds(4) - 48e-3).abs() < 1e-3, "{}", costs.seconds(4));
    // One stalled step is no news; what is not seen for long is forgotten.
    costs.observe(1, 5.0);
    assert!(costs.seconds(1) < 25e-3, "{}", costs.seconds(1));
    for _ in 0..600 {
        costs.observe(1, 20e-3);
    }
    assert!(
        costs.seconds(4) < 30e-3,
        "the bad measure of four rows has aged: {}",
        costs.seconds(4)
    );
    costs.observe(0, 1.0);
    costs.observe(1, f64::NAN);
    assert!((costs.seconds(1) - 20e-3).abs() < 1e-4);
}

#[test]
fn acceptance_is_learnt_for_each_source_and_tried_again_ever_more_rarely() {
    let (short, long) = (DraftSource::Lookup { length: 2 }, DraftSource::Lookup { length: 5 });
    let mut acceptance = Acceptance::new();
    assert!(acceptance.probability(long) > acceptance.probability(short));
    for _ in 0..40 {
        acceptance.record(short, 4, 0);
        acceptance.record(long, 4, 4);
    }
    assert!(acceptance.probability(short) < 0.1, "{}", acceptance.probability(short));
    assert!(acceptance.probability(long) > 0.9, "{}", acceptance.probability(long));
    let mut gaps = Vec::new();
    for _ in 0..7 {
        let mut gap = 0;
        while !acceptance.is_due() {
            acceptance.pass();
            gap += 1;
        }
        acceptance.record(short, 1, 0);
        gaps.push(gap);
    }
    assert_eq!(gaps, [32, 64, 128, 256, 512, 512, 512]);
    while !acceptance.is_due() {
        acceptance.pass();
    }
    acceptance.record(short, 1, 1);
    for _ in 0..32 {
        assert!(!acceptance.is_due());
        acceptance.pass();
    }
    assert!(acceptance.is_due(), "a retry that was right is followed by an early one");
}

#[test]
fn switched_off_where_it_does_not_pay_and_on_again_where_it_does() {
    let costs = cpu_like();
    let source = DraftSource::Lookup { length: 3 };
    let mut acceptance = Acceptance::new();
    // A text in which guesses are wrong, then one in which they are right.
    let mut drafted = [0, 0];
    for (half, right) in [false, true].into_iter().enumerate() {
        for _ in 0..2000 {
            let offer = Offer {
                probability: acceptance.probability(source),
                most: 8,
                by_model: false,
                due: acceptance.is_due(),
            };
            let count = plan(&costs, alone(1), &[offer])[0];
            drafted[half] += count;
            match count {
                0 => acceptance.pass(),
                _ => acceptance.record(source, count, if right { count } else { 0 }),
            }
        }
    }
    assert!(drafted[0] < 60, "{} wrong guesses in 2000 steps", drafted[0]);
    assert!(drafted[1] > 2000, "{} right guesses in 2000 steps", drafted[1]);
}
