//! Requests that begin alike inside a tenant: prompt work that is left, and how soon a second request answers. The peer's
//! bench tools have no such test, and its server reuses only an idle slot's beginning.

use anyhow::Result;

use super::{
    models::{LLAMA_7B, Models},
    plan::Plan,
    report::Report,
    rounds::Contestants,
    row::{Row, Target},
};

/// Of each tenant's prompt of this many tokens...
const PROMPT_TOKENS: usize = 512;
/// ...this many are shared.
const SHARED_TOKENS: usize = 448;
const TENANTS: usize = 16;
const REQUESTS: usize = 16;
/// Times less prompt work.
const WORK_SAVED: f64 = 4.0;
/// A question of a few words after a beginning of 512 tokens.
const QUESTION_TOKENS: usize = 8;
/// Milliseconds until the first token of a second request.
const SECOND_TTFT: f64 = 200.0;

/// Measures Realm.
pub(crate) fn measure(
    plan: &Plan,
    contestants: &Contestants,
    models: &Models,
    report: &mut Report,
) -> Result<()> {
    let model = models.demo()?;
    report.say("shared beginnings, SmolLM2 Q4_1");
    let name = format!(
        "{TENANTS} tenants, {REQUESTS} requests each, {SHARED_TOKENS} of {PROMPT_TOKENS} tokens shared, SmolLM2 Q4_1"
    );
    let mut row = Row::new(name, "times less prompt work", Target::AtLeast(WORK_SAVED));
    let mut command = contestants.realm_command(&model, PROMPT_TOKENS, 0);
    command.args(["--shared-prefix", &SHARED_TOKENS.to_string()]);
    command.args(["--tenants", &TENANTS.to_string()]);
    command.args(["--requests-per-tenant", &REQUESTS.to_string()]);
    row.realm.push(contestants.run_realm(&mut command)?.number("/sharedPrefix/workSaved")?);
    report.row(row, contestants.take_others());
    if plan.quick {
        return Ok(());
    }
    let model = models.synthetic(LLAMA_7B, "Q4_K_M")?;
    report.say("second request, 7B Q4_K_M");
    let name = format!(
        "TTFT of a second request, {PROMPT_TOKENS} tokens shared and {QUESTION_TOKENS} new, 7B Q4_K_M"
    );
    let mut row = Row::new(name, "ms", Target::AtMost(SECOND_TTFT)).lower();
    for _ in 0..plan.rounds {
        let prompt = PROMPT_TOKENS + QUESTION_TOKENS;
        let mut command = contestants.realm_command(&model, prompt, 0);
        command.args(["--no-warmup", "--shared-prefix", &PROMPT_TOKENS.to_string()]);
        let measured = contestants.run_realm(&mut command)?;
        row.realm.push(1000.0 * measured.number("/sharedPrefix/laterSeconds/median")?);
    }
    report.row(row, contestants.take_others());
    Ok(())
}
