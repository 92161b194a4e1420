//! Whether the time to the first token tells a tenant what another has asked: the area under the curve of hits against
//! misses, by the attacker's own clock. Half is a coin; one is certainty.
//!
//! The victim asks a prompt, then the attacker asks the same one, and one that nobody has asked. As a control the
//! attacker asks its own prompt again, which its own prefix cache has.

use std::path::Path;

use anyhow::{Context, Result};

use super::{
    machine::CpuTime,
    models::Models,
    plan::Plan,
    report::Report,
    rounds::Round,
    row::{Row, Target},
    tenants::{
        client::Client,
        server::{Server, Tenant},
    },
};

/// Prompts of each kind: the error of the area is about two hundredths.
const PROMPTS: usize = 320;
/// Sentences of a prompt: about 70 tokens.
const PROMPT_ITEMS: usize = 6;
/// The most that the area across tenants may be.
const ACROSS: f64 = 0.55;
/// The least that it has to be inside a tenant, or the measurement sees nothing.
const INSIDE: f64 = 0.95;
const PARALLEL: usize = 2;

/// Measures both areas on one server.
pub(crate) fn measure(
    binary: &Path,
    plan: &Plan,
    models: &Models,
    report: &mut Report,
) -> Result<()> {
    report.say("timing of shared prefixes");
    let model = models.demo()?;
    let before = CpuTime::now();
    let Times { others, unknown, own } = {
        let server = Server::start(binary, &model, PARALLEL, plan.threads)?;
        ask(&server, plan.tokens(PROMPTS))?
    };
    let busy = CpuTime::now().zip(before).and_then(|(now, before)| now.others_since(before));
    let rows = [
        (
            area(&others, &unknown),
            "prompts of another tenant told from new ones",
            Target::AtMost(ACROSS),
        ),
        (area(&own, &unknown), "own prompts told from new ones", Target::AtLeast(INSIDE)),
    ];
    for (area, work, target) in rows {
        let mut row = Row::new(work, "area under the curve of TTFT", target);
        row.push(&Round { realm: area, repacked: None, plain: None });
        report.row(row, busy.unwrap_or(0.0));
    }
    Ok(())
}

/// Seconds to the attacker's first tokens.
#[derive(Debug, Default)]
struct Times {
    /// Of prompts that the victim has asked.
    others: Vec<f64>,
    /// Of prompts that nobody has asked.
    unknown: Vec<f64>,
    /// Of those, asked again.
    own: Vec<f64>,
}

fn ask(server: &Server, prompts: usize) -> Result<Times> {
    let victim = Client::new(server, Tenant::Quiet);
    let attacker = Client::new(server, Tenant::Noisy);
    let mut times = Times::default();
    for number in 0..prompts {
        let known = prompt(&format!("Known {number}"));
        first(&victim, &known)?;
        let fresh = prompt(&format!("Fresh {number}"));
        // Which one goes first must not matter.
        if number.is_multiple_of(2) {
            times.others.push(first(&attacker, &known)?);
            times.unknown.push(first(&attacker, &fresh)?);
        } else {
            times.unknown.push(first(&attacker, &fresh)?);
            times.others.push(first(&attacker, &known)?);
        }
        times.own.push(first(&attacker, &fresh)?);
    }
    Ok(times)
}

/// Seconds to the first token.
fn first(client: &Client<'_>, prompt: &str) -> Result<f64> {
    client.stream(prompt, 1, || true)?.first_token().context("the answer had no token")
}

/// How likely a hit came sooner than a miss; equal times count half.
fn area(hits: &[f64], misses: &[f64]) -> f64 {
    let sooner = |hit: f64| -> f64 {
        let won = |miss: &&f64| hit < **miss;
        let equal = |miss: &&f64| hit.total_cmp(miss).is_eq();
        let (won, equal) = (misses.iter().filter(won).count(), misses.iter().filter(equal).count());
        won as f64 + equal as f64 / 2.0
    };
    let pairs = (hits.len() * misses.len()).max(1);
    hits.iter().map(|&hit| sooner(hit)).sum::<f64>() / pairs as f64
}

fn prompt(name: &str) -> String {
    let item = |at| format!(" Item {at} of {name} is on the list.");
    std::iter::once(name.to_owned()).chain((0..PROMPT_ITEMS).map(item)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_the_part_of_pairs_in_order() {
        let close = |area: f64, expected: f64| (area - expected).abs() < 1e-9;
        assert!(close(area(&[1.0, 2.0], &[3.0, 4.0]), 1.0));
        assert!(close(area(&[3.0, 4.0], &[1.0, 2.0]), 0.0));
        assert!(close(area(&[1.0, 3.0], &[2.0, 3.0]), 0.625));
    }
}
