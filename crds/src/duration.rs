//! A length of time as manifests write it: whole seconds, minutes or hours, such as `30s`, `2m`, `1h`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// What the API server and [`Duration::seconds`] accept.
pub const PATTERN: &str = "^[1-9][0-9]{0,4}(s|m|h)$";

/// A length of time in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(pub String);

/// A text that is no [`Duration`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "duration {0:?} should match '{PATTERN}': a whole number followed by s, m or h, such as 30s"
)]
pub struct BadDuration(pub String);

impl Duration {
    /// A duration of whole seconds.
    #[must_use]
    pub fn from_seconds(seconds: u32) -> Self {
        Self(format!("{seconds}s"))
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> Result<u32, BadDuration> {
        let bad = || BadDuration(self.0.clone());
        let unit = match self.0.bytes().last() {
            Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 3600,
            _ => return Err(bad()),
        };
        let digits = self.0.get(..self.0.len() - 1).ok_or_else(bad)?;
        let plain = (1..=5).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|digit| digit.is_ascii_digit());
        let count: u32 = digits.parse().ok().filter(|_| plain).ok_or_else(bad)?;
        Ok(count * unit)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": 6 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_of_good_and_bad_texts() {
        for (text, seconds) in [("5s", 5), ("2m", 120), ("1h", 3600), ("99999s", 99_999)] {
            assert_eq!(Duration(text.to_owned()).seconds(), Ok(seconds), "{text}");
        }
        for text in ["", "s", "0s", "05s", "-1s", "1.5s", "10", "1d", "+3s", "100000s", "5é", "é"]
        {
            assert_eq!(
                Duration(text.to_owned()).seconds(),
                Err(BadDuration(text.to_owned())),
                "{text}"
            );
        }
    }
}
