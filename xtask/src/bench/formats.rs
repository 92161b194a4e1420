//! The prefill of every weight format on the 1.1B shape, beside Realm's own Q4_0: no format may be a poor one.

use anyhow::Result;

use super::{
    models::{LLAMA_1B, Models},
    plan::Plan,
    report::Report,
    rounds::Contestants,
    row::{Row, Target},
};

/// What the others are compared with; measured again before each, so that the machine's mood meets both.
const BASE: &str = "Q4_0";
const FORMATS: [&str; 11] =
    ["Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "F16", "BF16"];
/// Half-precision weights are no block format; they are shown without a target.
const UNQUANTIZED: [&str; 2] = ["F16", "BF16"];
const PROMPT_TOKENS: usize = 512;
/// The share of Q4_0's rate.
const TARGET: f64 = 0.85;

/// Measures each format.
pub(crate) fn measure(
    plan: &Plan,
    contestants: &Contestants,
    models: &Models,
    report: &mut Report,
) -> Result<()> {
    let tokens = plan.tokens(PROMPT_TOKENS);
    let rate = |quant: &str| {
        let mut command = contestants.realm_command(&models.synthetic(LLAMA_1B, quant)?, tokens, 0);
        contestants.run_realm(&mut command)?.number("/prefill/tokensPerSecond/median")
    };
    for quant in FORMATS {
        report.say(&format!("prefill {tokens}, {quant} beside {BASE}"));
        let target =
            if UNQUANTIZED.contains(&quant) { Target::None } else { Target::AtLeast(TARGET) };
        let name = format!("prefill {tokens}, 1.1B {quant}");
        let mut row = Row::new(name, "share of Realm's own Q4_0", target);
        for _ in 0..plan.rounds {
            let base = rate(BASE)?;
            row.realm.push(rate(quant)? / base);
        }
        report.row(row, contestants.take_others());
    }
    Ok(())
}
