//! From the start of the process to its end with one token computed, and what it held in memory. The files are in the
//! page cache, as they are on a node that serves the model already.

use std::{fs, fs::File, io, path::Path};

use anyhow::{Context, Result};

use super::{
    child::Ended,
    llama::Form,
    models::{LLAMA_7B, Models},
    plan::Plan,
    report::Report,
    rounds::{Contestants, Round},
    row::{Row, Target},
};

/// Seconds from start to first token.
const DEMO_SECONDS: f64 = 0.15;
const LARGE_SECONDS: f64 = 2.0;
/// Resident memory as a share of the file.
const RESIDENT: f64 = 1.05;
/// A further process on the node, as a share of the file: as good as nothing.
const FURTHER: f64 = 0.05;
/// Tokens, so that every weight has been read.
const MEMORY_TOKENS: usize = 8;

/// Start to first token.
pub(crate) fn start(
    plan: &Plan,
    contestants: &Contestants,
    models: &Models,
    report: &mut Report,
) -> Result<()> {
    let mut cases = vec![("SmolLM2 Q4_1", models.demo()?, DEMO_SECONDS)];
    if !plan.quick {
        cases.push(("7B Q4_K_M", models.synthetic(LLAMA_7B, "Q4_K_M")?, LARGE_SECONDS));
    }
    for (name, model, seconds) in cases {
        report.say(&format!("start, {name}"));
        warm(&model)?;
        // The first process on a node packs the weights; this one is not measured.
        contestants.run_realm(&mut contestants.realm_command(&model, 0, 0))?;
        let name = format!("start, one token, end, {name}");
        let mut row = Row::new(name, "s", Target::AtMost(seconds)).lower();
        for _ in 0..plan.rounds {
            row.push(&once(contestants, &model, 1, |ended| ended.seconds)?);
        }
        report.row(row, contestants.take_others());
    }
    Ok(())
}

/// Resident memory without keys and values to speak of.
pub(crate) fn memory(
    plan: &Plan,
    contestants: &Contestants,
    models: &Models,
    report: &mut Report,
) -> Result<()> {
    let (name, model) = if plan.quick {
        ("1.1B Q4_K_M", models.synthetic(super::models::LLAMA_1B, "Q4_K_M")?)
    } else {
        ("7B Q4_K_M", models.synthetic(LLAMA_7B, "Q4_K_M")?)
    };
    report.say(&format!("memory, {name}"));
    warm(&model)?;
    contestants.run_realm(&mut contestants.realm_command(&model, 0, 0))?;
    let file = fs::metadata(&model)?.len() as f64;
    let work = format!("resident memory, {name}");
    let mut resident = Row::new(work, "of the file", Target::AtMost(RESIDENT)).lower();
    let work = format!("memory of a further process, {name}");
    let mut further = Row::new(work, "of the file", Target::AtMost(FURTHER)).lower();
    let shares = once(contestants, &model, MEMORY_TOKENS, |ended| {
        vec![ended.memory.resident as f64 / file, ended.memory.anonymous as f64 / file]
    })?;
    resident.push(&shares.at(0)?);
    further.push(&shares.at(1)?);
    let others = contestants.take_others();
    report.row(resident, others);
    report.row(further, others);
    Ok(())
}

/// One process of each contestant that loads the model, decodes `tokens` tokens and ends.
fn once<T>(
    contestants: &Contestants,
    model: &Path,
    tokens: usize,
    figure: impl Fn(&Ended) -> T,
) -> Result<Round<T>> {
    contestants.round(
        || {
            // Realm computes one token when it has loaded a model; a decode test of that one would be a second.
            let more = if tokens == 1 { 0 } else { tokens };
            let mut command = contestants.realm_command(model, 0, more);
            command.arg("--no-warmup");
            Ok(figure(&contestants.run_realm(&mut command)?.ended))
        },
        |llama, form: Form| {
            let mut command = contestants.llama_command(llama, form, model, (0, tokens));
            command.arg("--no-warmup");
            Ok(figure(&contestants.run_llama(&mut command)?.ended))
        },
    )
}

/// Reads the file, so that it is in the page cache.
fn warm(model: &Path) -> Result<()> {
    let mut file = File::open(model).with_context(|| format!("open {}", model.display()))?;
    io::copy(&mut file, &mut io::sink()).with_context(|| format!("read {}", model.display()))?;
    Ok(())
}
