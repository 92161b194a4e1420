//! A client that streams one answer after another and looks at the clock at each token.

use std::{
    io::{BufRead as _, BufReader},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use ureq::Agent;

use super::server::{Server, Tenant};

/// The longest that one answer may take.
const LIMIT: Duration = Duration::from_mins(3);
/// Pause after the server has refused a request for its load.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// Tokens that end an answer of the demo model: never chosen, so that answers have the length that was asked for.
const ENDS: [&str; 2] = ["0", "2"];
const OVERLOADED: u16 = 429;

/// One connection of a tenant.
#[derive(Debug)]
pub(crate) struct Client<'s> {
    agent: Agent,
    server: &'s Server,
    tenant: Tenant,
}

/// Seconds to first tokens and between tokens.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    first: Vec<f64>,
    between: Vec<f64>,
}

impl Latencies {
    /// Seconds to the first token of the first answer.
    pub(crate) fn first_token(&self) -> Option<f64> {
        self.first.first().copied()
    }

    /// Adds those of another client.
    pub(crate) fn extend(&mut self, other: Self) {
        self.first.extend(other.first);
        self.between.extend(other.between);
    }

    /// p50 and p99 of the first tokens, p50 and p99 between tokens, in seconds.
    pub(crate) fn figures(&self) -> [f64; 4] {
        let of = |samples: &[f64], part| percentile(samples, part).unwrap_or(f64::NAN);
        [
            of(&self.first, 0.5),
            of(&self.first, 0.99),
            of(&self.between, 0.5),
            of(&self.between, 0.99),
        ]
    }

    /// The figures in milliseconds, and of how many samples.
    pub(crate) fn text(&self) -> String {
        let [first, late_first, between, late_between] =
            self.figures().map(|seconds| 1e3 * seconds);
        format!(
            "{first:.0} (p99 {late_first:.0}, {} samples) and {between:.1} (p99 {late_between:.1}, {} samples) ms",
            self.first.len(),
            self.between.len()
        )
    }
}

/// The value that this part of the samples does not exceed.
fn percentile(samples: &[f64], part: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied()
}

impl<'s> Client<'s> {
    /// Of a tenant.
    pub(crate) fn new(server: &'s Server, tenant: Tenant) -> Self {
        let config =
            Agent::config_builder().timeout_global(Some(LIMIT)).http_status_as_error(false);
        Self { agent: Agent::new_with_config(config.build()), server, tenant }
    }

    /// Asks once and reads the answer token by token, as long as `go_on` says so. A refusal for load is tried again.
    pub(crate) fn stream(
        &self,
        prompt: &str,
        tokens: usize,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<Latencies> {
        let ends = ENDS.map(|token| (token.to_owned(), json!(-100)));
        let body = json!({
            "model": "bench", "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": true,
            "logit_bias": Value::Object(ends.into_iter().collect()),
        });
        let started = Instant::now();
        let response = loop {
            let url = format!("{}/v1/completions", self.server.url());
            let key = format!("Bearer {}", self.tenant.key());
            let request = self.agent.post(url).header("authorization", key);
            let mut response = request.send_json(&body).context("ask the server")?;
            match response.status().as_u16() {
                200 => break response,
                OVERLOADED if go_on() => std::thread::sleep(REFUSED_PAUSE),
                OVERLOADED => return Ok(Latencies::default()),
                status => {
                    let said = response.body_mut().read_to_string().unwrap_or_default();
                    bail!("the server answered {status}: {said}");
                }
            }
        };
        let mut latencies = Latencies::default();
        let mut last = None;
        for line in BufReader::new(response.into_body().into_reader()).lines() {
            let line = line.context("read the answer")?;
            if !line.strip_prefix("data: ").is_some_and(has_text) {
                continue;
            }
            let now = Instant::now();
            match last.replace(now) {
                None => latencies.first.push((now - started).as_secs_f64()),
                Some(last) => latencies.between.push((now - last).as_secs_f64()),
            }
            if !go_on() {
                break;
            }
        }
        Ok(latencies)
    }
}

/// Whether an event brings text.
fn has_text(data: &str) -> bool {
    let chunk: Option<Value> = serde_json::from_str(data).ok();
    let text = chunk.as_ref().and_then(|chunk| chunk.pointer("/choices/0/text")?.as_str());
    text.is_some_and(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let samples: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&samples, 0.5), Some(100.0));
        assert_eq!(percentile(&samples, 0.99), Some(198.0));
        assert_eq!(percentile(&[3.0], 0.99), Some(3.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn only_text_counts_as_a_token() {
        assert!(has_text(r#"{"choices":[{"text":"a"}]}"#));
        assert!(!has_text(r#"{"choices":[{"text":"","finish_reason":"length"}]}"#));
        assert!(!has_text("[DONE]"));
    }
}
