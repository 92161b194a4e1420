//! Prefill, decode and batched decode: the models, the tokens and what must be reached.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{
    models::{LLAMA_1B, LLAMA_7B, Models},
    plan::{Part, Plan},
    report::Report,
    rounds::Contestants,
    row::{Row, Target},
};

const UNIT: &str = "tok/s";
/// Sequences that decode together; the target holds for one of these sizes.
const BATCHES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const QUICK_BATCHES: [usize; 3] = [1, 4, 16];
const TARGET_BATCH: usize = 16;
const BATCH_PROMPT_TOKENS: usize = 128;
const BATCH_TOKENS: usize = 32;
/// Tokens a second of a 7B model, all sequences together.
const LARGE_BATCH_RATE: f64 = 35.0;
/// What the machine's mood alone does to a figure: less is no dip.
const DIP: f64 = 0.95;

/// A model, how many tokens of it are measured, and the ratio to reach.
struct Case {
    name: &'static str,
    model: fn(&Models) -> Result<PathBuf>,
    tokens: usize,
    target: f64,
    large: bool,
}

const PREFILL: [Case; 4] = [
    Case { name: "SmolLM2 Q4_1", model: Models::demo, tokens: 512, target: 5.5, large: false },
    Case { name: "1.1B Q4_0", model: small_q4_0, tokens: 512, target: 1.45, large: false },
    Case { name: "1.1B Q4_K_M", model: small_q4_k_m, tokens: 512, target: 1.3, large: false },
    Case { name: "7B Q4_K_M", model: large_q4_k_m, tokens: 256, target: 1.3, large: true },
];

const DECODE: [Case; 4] = [
    Case { name: "SmolLM2 Q4_1", model: Models::demo, tokens: 128, target: 1.5, large: false },
    Case { name: "1.1B Q4_0", model: small_q4_0, tokens: 128, target: 1.1, large: false },
    Case { name: "1.1B Q4_K_M", model: small_q4_k_m, tokens: 128, target: 1.1, large: false },
    Case { name: "7B Q4_K_M", model: large_q4_k_m, tokens: 64, target: 1.1, large: true },
];

fn small_q4_0(models: &Models) -> Result<PathBuf> {
    models.synthetic(LLAMA_1B, "Q4_0")
}

fn small_q4_k_m(models: &Models) -> Result<PathBuf> {
    models.synthetic(LLAMA_1B, "Q4_K_M")
}

fn large_q4_k_m(models: &Models) -> Result<PathBuf> {
    models.synthetic(LLAMA_7B, "Q4_K_M")
}

/// One sequence.
pub(crate) fn single(
    part: Part,
    plan: &Plan,
    contestants: &Contestants,
    models: &Models,
    report: &mut Report,
) -> Result<()> {
    let prefill = part == Part::Prefill;
    let (word, pointer, cases) = if prefill {
        ("prefill", "/prefill/tokensPerSecond/median", &PREFILL)
    } else {
        ("decode", "/decode/tokensPerSecond/median", &DECODE)
    };
    for case in cases.iter().filter(|case| !(plan.quick && case.large)) {
        let model = (case.model)(models)?;
        let tokens = plan.tokens(case.tokens);
        let work = if prefill { (tokens, 0) } else { (0, tokens) };
        report.say(&format!("{word} {tokens}, {}", case.name));
        let name = format!("{word} {tokens}, {}", case.name);
        let mut row = Row::new(name, UNIT, Target::Ratio(case.target));
        for _ in 0..plan.rounds {
            row.push(&contestants.round(
                || {
                    let mut command = contestants.realm_command(&model, work.0, work.1);
                    contestants.run_realm(&mut command)?.number(pointer)
                },
                |llama, form| {
                    let mut command = contestants.llama_command(llama, form, &model, work);
                    let measured = contestants.run_llama(&mut command)?;
                    let rate = if prefill { measured.prefill } else { measured.decode };
                    rate.context("llama-bench gave no rate")
                },
            )?);
        }
        report.row(row, contestants.take_others());
    }
    Ok(())
}

/// Several sequences together: a sweep in the first round, and more rounds of the size that has a target.
pub(crate) fn batched(
    plan: &Plan,
    contestants: &Contestants,
    models: &Models,
    report: &mut Report,
) -> Result<()> {
    let model = small_q4_k_m(models)?;
    let sizes: &[usize] = if plan.quick { &QUICK_BATCHES } else { &BATCHES };
    let mut rows: Vec<Row> = sizes.iter().map(|size| batch_row("1.1B Q4_K_M", *size)).collect();
    for round in 0..plan.rounds {
        let sizes: Vec<usize> =
            sizes.iter().copied().filter(|size| round == 0 || *size == TARGET_BATCH).collect();
        report.say(&format!("batched {sizes:?}, 1.1B Q4_K_M"));
        let rates = contestants.round(
            || realm_batches(contestants, &model, &sizes),
            |llama, form| {
                let tokens = (BATCH_PROMPT_TOKENS, BATCH_TOKENS, plan.threads);
                let (rates, ended) = llama.batched(&model, form, &sizes, tokens)?;
                contestants.heard(&ended);
                Ok(rates)
            },
        )?;
        for (index, size) in sizes.iter().enumerate() {
            let row = rows.iter_mut().find(|row| row.work == batch_row("1.1B Q4_K_M", *size).work);
            if let Some(row) = row {
                row.push(&rates.at(index)?);
            }
        }
    }
    let others = contestants.take_others();
    report.note(dips(&rows));
    for row in rows {
        report.row(row, others);
    }
    if !plan.quick {
        large_batch(plan, contestants, models, report)?;
    }
    Ok(())
}

/// A 7B model has a target of its own, whatever the peer does.
fn large_batch(
    plan: &Plan,
    contestants: &Contestants,
    models: &Models,
    report: &mut Report,
) -> Result<()> {
    let model = large_q4_k_m(models)?;
    report.say("batched, 7B Q4_K_M");
    let mut row = batch_row("7B Q4_K_M", TARGET_BATCH);
    row.target = Target::AtLeast(LARGE_BATCH_RATE);
    for _ in 0..plan.rounds {
        row.realm.extend(realm_batches(contestants, &model, &[TARGET_BATCH])?);
    }
    report.row(row, contestants.take_others());
    Ok(())
}

fn batch_row(model: &str, sequences: usize) -> Row {
    let target = if sequences == TARGET_BATCH { Target::Ratio(2.0) } else { Target::None };
    Row::new(format!("{sequences} sequences together, {model}"), UNIT, target)
}

fn realm_batches(contestants: &Contestants, model: &Path, sizes: &[usize]) -> Result<Vec<f64>> {
    let list: Vec<String> = sizes.iter().map(usize::to_string).collect();
    let mut command = contestants.realm_command(model, 0, 0);
    command.args(["--batch", &list.join(",")]);
    command.args(["--prompt-per-sequence", &BATCH_PROMPT_TOKENS.to_string()]);
    command.args(["--generate-per-sequence", &BATCH_TOKENS.to_string()]);
    let measured = contestants.run_realm(&mut command)?;
    (0..sizes.len())
        .map(|index| measured.number(&format!("/batched/{index}/tokensPerSecond/median")))
        .collect()
}

/// Whether more sequences ever gave fewer tokens a second.
fn dips(rows: &[Row]) -> String {
    let rates: Vec<(&str, f64)> =
        rows.iter().filter_map(|row| Some((row.work.as_str(), *row.realm.first()?))).collect();
    let dips: Vec<String> = rates
        .windows(2)
        .filter(|pair| pair[1].1 < DIP * pair[0].1)
        .map(|pair| format!("{}: {:.1} after {:.1}", pair[1].0, pair[1].1, pair[0].1))
        .collect();
    if dips.is_empty() {
        "Realm's aggregate rate never falls as sequences are added.".to_owned()
    } else {
        format!("Realm's aggregate rate falls at: {}.", dips.join("; "))
    }
}
