//! The peer's side: llama-bench, llama-batched-bench and llama-perplexity, and the figures in what they print.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::child::{self, Ended};

/// Where the tools lie.
#[derive(Debug)]
pub(crate) struct Llama {
    tools: PathBuf,
}

/// Whether the peer repacks weights when it loads them: its default, but not always its best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Repacked,
    Plain,
}

/// Prompt and decode rates of one run; 0 tokens leave a test out.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) prefill: Option<f64>,
    pub(crate) decode: Option<f64>,
    pub(crate) ended: Ended,
}

impl Llama {
    /// The names of the tools.
    pub(crate) const TOOLS: [&str; 3] = ["llama-bench", "llama-batched-bench", "llama-perplexity"];

    /// The tools in `folder`.
    pub(crate) fn at(folder: &Path) -> Result<Self> {
        for tool in Self::TOOLS {
            if !folder.join(tool).is_file() {
                bail!("{} has no {tool}; build it, or leave --peer-tools out", folder.display());
            }
        }
        let tools = folder.canonicalize().with_context(|| format!("find {}", folder.display()))?;
        Ok(Self { tools })
    }

    /// `llama-bench` on `model`.
    pub(crate) fn bench(
        &self,
        model: &Path,
        form: Form,
        prompt: usize,
        generate: usize,
    ) -> Command {
        let mut command = Command::new(self.tools.join("llama-bench"));
        command.arg("-m").arg(model).args(["-o", "json", "-r", "1"]);
        command.args(["-p", &prompt.to_string(), "-n", &generate.to_string()]);
        command.args(["--repack", if form == Form::Repacked { "1" } else { "0" }]);
        command
    }

    /// Runs a command of [`bench`](Self::bench).
    pub(crate) fn run(command: &mut Command) -> Result<Measured> {
        let ended = child::run(command)?;
        let (prefill, decode) = bench_rates(&ended.stdout)?;
        Ok(Measured { prefill, decode, ended })
    }

    /// Aggregate decode rates of several sequences together, in the order of `sequences`.
    pub(crate) fn batched(
        &self,
        model: &Path,
        form: Form,
        sequences: &[usize],
        (prompt, generate, threads): (usize, usize, usize),
    ) -> Result<(Vec<f64>, Ended)> {
        let most = sequences.iter().max().copied().unwrap_or(1);
        let list: Vec<String> = sequences.iter().map(usize::to_string).collect();
        let mut command = Command::new(self.tools.join("llama-batched-bench"));
        command.arg("-m").arg(model).args(["--output-format", "jsonl"]);
        for (option, value) in [
            ("-c", most * (prompt + generate)),
            ("-npp", prompt),
            ("-ntg", generate),
            ("-t", threads),
            ("-tb", threads),
        ] {
            command.args([option, &value.to_string()]);
        }
        command.args(["-npl", &list.join(",")]);
        if form == Form::Plain {
            command.arg("--no-repack");
        }
        let ended = child::run(&mut command)?;
        let rates = batched_rates(&ended.stdout)?;
        if rates.len() != sequences.len() {
            bail!("llama-batched-bench gave {} rates of {}", rates.len(), sequences.len());
        }
        Ok((rates, ended))
    }

    /// The perplexity of the text file `text` in pieces of `context` tokens.
    pub(crate) fn perplexity(
        &self,
        model: &Path,
        text: &Path,
        context: usize,
        threads: usize,
    ) -> Result<f64> {
        let mut command = Command::new(self.tools.join("llama-perplexity"));
        command.arg("-m").arg(model).arg("-f").arg(text);
        command.args(["-c", &context.to_string(), "-t", &threads.to_string()]);
        let ended = child::run(&mut command)?;
        final_estimate(&ended.stdout)
            .or_else(|| final_estimate(&ended.stderr))
            .context("llama-perplexity printed no final estimate")
    }
}

/// Prompt and decode rates in llama-bench's JSON.
fn bench_rates(text: &str) -> Result<(Option<f64>, Option<f64>)> {
    let tests: Vec<Value> = serde_json::from_str(text).context("read what llama-bench printed")?;
    let rate = |kind: &str| {
        let test = tests.iter().find(|test| test[kind].as_u64().is_some_and(|n| n > 0))?;
        test["avg_ts"].as_f64()
    };
    Ok((rate("n_prompt"), rate("n_gen")))
}

/// Aggregate decode rates in llama-batched-bench's lines of JSON; other lines are its log.
fn batched_rates(text: &str) -> Result<Vec<f64>> {
    text.lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| {
            let test: Value =
                serde_json::from_str(line).context("read what llama-batched-bench printed")?;
            test["speed_tg"].as_f64().context("llama-batched-bench gave no decode rate")
        })
        .collect()
}

/// The perplexity in llama-perplexity's last line.
fn final_estimate(text: &str) -> Option<f64> {
    let (_, rest) = text.split_once("Final estimate: PPL = ")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_found_in_what_the_tools_print() {
        let bench = r#"[{"n_prompt": 512, "n_gen": 0, "avg_ts": 106.5}, {"n_prompt": 0, "n_gen": 4, "avg_ts": 40.25}]"#;
        assert_eq!(bench_rates(bench).unwrap(), (Some(106.5), Some(40.25)));
        assert_eq!(bench_rates("[]").unwrap(), (None, None));
        let batched = "loading\n{\"pl\": 1, \"speed_tg\": 74.5}\n{\"pl\": 2, \"speed_tg\": 75.5}\n";
        assert_eq!(batched_rates(batched).unwrap(), [74.5, 75.5]);
        assert!(batched_rates("{\"pl\": 1}").is_err());
        let perplexity = "[1]4.1,[2]5.2,\nFinal estimate: PPL = 15.8123 +/- 0.51\n";
        assert_eq!(final_estimate(perplexity), Some(15.8123));
    }
}
