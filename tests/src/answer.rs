//! What the engine's HTTP API answered, read from the outside.

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

/// One exchange, as the probe reports it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// HTTP status; 0 when none came.
    pub status: u16,
    /// From the request to the first byte of the body.
    pub first_byte_ms: f64,
    /// From the request to the end.
    pub total_ms: f64,
    /// The body, whole.
    pub body: String,
    /// Why the exchange broke, if it did.
    #[serde(default)]
    pub error: String,
}

impl Answer {
    /// The text of a chat completion that was not streamed.
    pub fn text(&self) -> Result<String> {
        self.expect_status(200)?;
        let body: Value = serde_json::from_str(&self.body).context("the body is not JSON")?;
        let text = body["choices"][0]["message"]["content"].as_str();
        Ok(text.with_context(|| format!("no message in {body}"))?.to_owned())
    }

    /// The text of a streamed chat completion.
    ///
    /// # Errors
    /// An event is malformed, or the stream does not end with `[DONE]`.
    pub fn streamed_text(&self) -> Result<String> {
        self.expect_status(200)?;
        let events: Vec<&str> = self
            .body
            .split("\n\n")
            .filter_map(|event| event.trim().strip_prefix("data:"))
            .map(str::trim)
            .collect();
        let (last, pieces) = events.split_last().context("the stream has no event")?;
        ensure!(*last == "[DONE]", "the stream ends with {last} instead of [DONE]");
        ensure!(
            pieces.len() > 2,
            "the answer came in {} pieces: it was not streamed",
            pieces.len()
        );
        let mut text = String::new();
        for piece in pieces {
            let piece: Value =
                serde_json::from_str(piece).with_context(|| format!("event {piece}"))?;
            text.push_str(piece["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        }
        Ok(text)
    }

    /// Fails when the status is another one.
    pub fn expect_status(&self, status: u16) -> Result<()> {
        ensure!(
            self.error.is_empty() && self.status == status,
            "expected status {status}, got {} {} {}",
            self.status,
            self.error,
            self.body
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Answer;

    fn answer(body: &str) -> Answer {
        Answer {
            status: 200,
            first_byte_ms: 0.0,
            total_ms: 0.0,
            body: body.into(),
            error: String::new(),
        }
    }

    #[test]
    fn a_stream_is_joined_and_must_be_whole() {
        let piece = |text: &str| {
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n")
        };
        let whole = format!("{}{}{}data: [DONE]\n\n", piece("Pa"), piece("ri"), piece("s"));
        assert_eq!(answer(&whole).streamed_text().expect("text"), "Paris");
        let cut = whole.replace("data: [DONE]\n\n", "");
        assert!(answer(&cut).streamed_text().is_err());
        let one = format!("{}data: [DONE]\n\n", piece("Paris"));
        assert!(answer(&one).streamed_text().is_err());
    }
}
