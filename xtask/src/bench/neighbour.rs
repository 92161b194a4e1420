//! Decode beside one process that burns a CPU: how much of the quiet speed is kept. A fair share of two CPUs among three
//! busy threads is two thirds.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{
    child::Owned,
    models::Models,
    plan::Plan,
    report::Report,
    rounds::Contestants,
    row::{Row, Target},
};

const TOKENS: usize = 128;
/// The share of the quiet speed.
const TARGET: f64 = 0.6;

/// Measures both contestants quiet and disturbed, in turn.
pub(crate) fn measure(
    plan: &Plan,
    contestants: &Contestants,
    models: &Models,
    report: &mut Report,
) -> Result<()> {
    let model = models.demo()?;
    report.say("decode beside a busy process, SmolLM2 Q4_1");
    let name = format!("decode {TOKENS} beside one busy process, SmolLM2 Q4_1");
    let mut row = Row::new(name, "share of the quiet speed kept", Target::AtLeast(TARGET));
    for _ in 0..plan.rounds {
        row.push(&contestants.round(
            || {
                kept(|| {
                    let mut command = contestants.realm_command(&model, 0, TOKENS);
                    let measured = contestants.run_realm(&mut command)?;
                    measured.number("/decode/tokensPerSecond/median")
                })
            },
            |llama, form| {
                kept(|| {
                    let mut command = contestants.llama_command(llama, form, &model, (0, TOKENS));
                    let measured = contestants.run_llama(&mut command)?;
                    measured.decode.context("llama-bench gave no rate")
                })
            },
        )?);
    }
    // The neighbour was ours; what else ran cannot be told apart.
    contestants.take_others();
    report.row(row, 0.0);
    Ok(())
}

/// The share of the quiet rate that is left beside the neighbour.
fn kept(rate: impl Fn() -> Result<f64>) -> Result<f64> {
    let quiet = rate()?;
    let mut burn = Command::new("sh");
    burn.args(["-c", "while :; do :; done"]).stdin(Stdio::null()).stdout(Stdio::null());
    let neighbour = Owned::start(&mut burn)?;
    let busy = rate()?;
    drop(neighbour);
    Ok(busy / quiet)
}
