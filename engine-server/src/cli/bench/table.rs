//! The report for people: a few lines about the run, then one row a test.

use std::fmt::Write;

use indicatif::BinaryBytes;

use super::{report::Report, spread::Spread};

const MILLISECONDS: f64 = 1000.0;

/// The whole text.
pub(super) fn render(report: &Report) -> String {
    let mut text = String::new();
    for (name, value) in facts(report) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<10}{value}");
    }
    let rows = rows(report);
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    let _ = writeln!(text, "\n{:width$}  {:>10}  {:>10}  {:>10}", "TEST", "MIN", "MEDIAN", "MAX");
    for (name, spread, unit) in rows {
        let [min, median, max] = [spread.min, spread.median, spread.max].map(number);
        let _ = writeln!(text, "{name:width$}  {min:>10}  {median:>10}  {max:>10}  {unit}");
    }
    text
}

/// Lines of name and value.
fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let (model, run) = (&report.model, &report.conditions);
    let size = BinaryBytes(model.file_bytes);
    let mut facts = vec![
        (
            "model",
            format!("{}, {}, {} weights, {size}", model.name, model.quantization, model.parameters),
        ),
        (
            "machine",
            format!(
                "{}, {} threads, {} kernels, KV cache {}, packed weights in {}",
                run.cpu, run.threads, run.kernels, run.kv_type, run.packed
            ),
        ),
    ];
    if let Some(disturbance) = run.disturbance {
        let (others, stolen) = (100.0 * disturbance.others, 100.0 * disturbance.stolen);
        let line = format!(
            "other processes took {others:.1} % of the machine's CPU time, its host {stolen:.1} %"
        );
        facts.push(("others", line));
    }
    facts.push((
        "load",
        format!(
            "{:.1} ms until the model was open, {:.1} ms until the first token",
            report.load_seconds * MILLISECONDS,
            report.first_token_seconds * MILLISECONDS
        ),
    ));
    if let Some(memory) = report.memory {
        let [resident, anonymous, file] =
            [memory.resident_bytes, memory.anonymous_bytes, memory.file_bytes].map(BinaryBytes);
        let kv = BinaryBytes(report.kv_bytes as u64);
        facts.push((
            "memory",
            format!("{resident} resident: {anonymous} of its own (KV cache {kv}), {file} of files"),
        ));
    }
    if let Some(prefix) = report.shared_prefix {
        facts.push((
            "prefix",
            format!(
                "{} of {} prompt tokens computed, {:.2} times less: {} tenants, {} requests each, {} of {} tokens shared",
                prefix.computed_tokens,
                prefix.total_tokens,
                prefix.work_saved,
                prefix.tenants,
                prefix.requests_per_tenant,
                prefix.shared_tokens,
                prefix.prompt_tokens
            ),
        ));
    }
    if let Some(text) = report.perplexity {
        let line = format!(
            "{:.4} over {} tokens in {} pieces of {}",
            text.value, text.tokens, text.pieces, text.context
        );
        facts.push(("perplexity", format!(" {line}")));
    }
    facts
}

/// Name, figures and unit of each test.
fn rows(report: &Report) -> Vec<(String, Spread, &'static str)> {
    let mut rows = Vec::new();
    if let Some(prefill) = &report.prefill {
        rows.push((format!("prefill {}", prefill.tokens), prefill.tokens_per_second, "tokens/s"));
        rows.push((format!("TTFT {}", prefill.tokens), milliseconds(prefill.seconds), "ms"));
    }
    if let Some(decode) = &report.decode {
        rows.push((format!("decode {}", decode.tokens), decode.tokens_per_second, "tokens/s"));
    }
    if let Some(prefix) = &report.shared_prefix {
        let times = [("first", prefix.first_seconds), ("later", prefix.later_seconds)];
        rows.extend(times.into_iter().filter_map(|(which, seconds)| {
            let name = format!("TTFT {} of a tenant's {which} request", prefix.prompt_tokens);
            Some((name, milliseconds(seconds?), "ms"))
        }));
    }
    for batch in &report.batched {
        let name = format!("batch {}, decode {}", batch.sequences, batch.tokens);
        rows.extend(batch.tokens_per_second.map(|spread| (name, spread, "tokens/s together")));
        let name = format!("batch {}, prefill {}", batch.sequences, batch.prompt_tokens);
        rows.extend(
            batch.prefill_tokens_per_second.map(|spread| (name, spread, "tokens/s together")),
        );
    }
    rows
}

fn milliseconds(seconds: Spread) -> Spread {
    let Spread { min, median, max } = seconds;
    let [min, median, max] = [min, median, max].map(|seconds| seconds * MILLISECONDS);
    Spread { min, median, max }
}

/// Four digits, as many as mean something.
fn number(value: f64) -> String {
    let digits = if value >= 1000.0 {
        0
    } else if value >= 100.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}")
}
