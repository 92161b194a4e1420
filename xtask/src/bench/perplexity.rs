//! The perplexity of a fixed text, the repository's licence, on the same file: fast kernels must not cost accuracy.

use std::path::Path;

use anyhow::Result;

use super::{
    models::Models,
    plan::Plan,
    report::Report,
    rounds::Contestants,
    row::{Row, Target},
};

const TEXT: &str = "LICENSE";
const CONTEXT: usize = 512;
/// The relative difference, percent.
const TARGET: f64 = 0.1;

/// Computes both, and the difference.
pub(crate) fn measure(
    root: &Path,
    plan: &Plan,
    contestants: &Contestants,
    models: &Models,
    report: &mut Report,
) -> Result<()> {
    let (model, text) = (models.demo()?, root.join(TEXT));
    report.say("perplexity, SmolLM2 Q4_1");
    let mut realm = contestants.realm_command(&model, 0, 0);
    realm.arg("--perplexity").arg(&text);
    realm.args(["--perplexity-context", &CONTEXT.to_string()]);
    let pointer = "/perplexity/value";
    let fast = contestants.run_realm(&mut realm)?.number(pointer)?;
    let exact = contestants.run_realm(realm.arg("--exact"))?.number(pointer)?;
    let theirs = contestants
        .llama()
        .map(|llama| llama.perplexity(&model, &text, CONTEXT, plan.threads))
        .transpose()?;
    let name = format!("perplexity of {TEXT} ({CONTEXT}), SmolLM2 Q4_1");
    let mut row = Row::new(name, "less is better", Target::None).lower();
    row.realm.push(fast);
    row.repacked.extend(theirs);
    report.row(row, 0.0);
    report.note(format!("Perplexity with unrounded activations (`--exact`): {exact:.4}."));
    for (reference, perplexity) in [("llama.cpp", theirs), ("Realm's own exact path", Some(exact))]
    {
        if let Some(perplexity) = perplexity {
            let name = format!("perplexity, difference to {reference}");
            let mut row = Row::new(name, "%", Target::AtMost(TARGET));
            row.realm.push(100.0 * (fast - perplexity).abs() / perplexity);
            report.row(row, 0.0);
        }
    }
    contestants.take_others();
    Ok(())
}
