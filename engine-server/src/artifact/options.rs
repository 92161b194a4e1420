//! What a download takes from its surroundings: endpoint, token, cache folder, patience. Read from the environment
//! once, at the rim.

use std::{fmt, path::PathBuf, time::Duration};

use reqwest::Url;

use super::{error::FetchError, source::parse_url};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// How often and how patiently a transfer is tried again.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Attempts in a row that bring no new byte.
    pub fruitless_attempts: u32,
    /// Attempts in all.
    pub attempts: u32,
    /// Pause after the first failure; doubles with each fruitless one.
    pub first_pause: Duration,
    /// The longest pause, also when a server asks for more.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            fruitless_attempts: 6,
            attempts: 100,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// What a download takes from its surroundings.
#[derive(Clone)]
pub struct FetchOptions {
    /// Where Hugging Face repositories are.
    pub endpoint: Url,
    /// Sent to the endpoint's host only.
    pub token: Option<String>,
    /// The `hub` folder of the standard cache.
    pub hub_cache: Option<PathBuf>,
    /// Patience.
    pub retry: RetryPolicy,
}

impl fmt::Debug for FetchOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchOptions")
            .field("endpoint", &self.endpoint.as_str())
            .field("token", &self.token.as_ref().map(|_| "<hidden>"))
            .field("hub_cache", &self.hub_cache)
            .field("retry", &self.retry)
            .finish()
    }
}

impl FetchOptions {
    /// Reads `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME` and `HOME` through `variable`;
    /// empty values count as unset.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, FetchError> {
        let get = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let endpoint = get("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let endpoint = parse_url(endpoint.trim()).map_err(|error| FetchError::Environment {
            name: "HF_ENDPOINT",
            reason: error.to_string(),
        })?;
        let hub = |folder: &str| PathBuf::from(folder).join("hub");
        let hub_cache = get("HF_HUB_CACHE")
            .map(PathBuf::from)
            .or_else(|| get("HF_HOME").map(|home| hub(&home)))
            .or_else(|| get("XDG_CACHE_HOME").map(|cache| hub(&format!("{cache}/huggingface"))))
            .or_else(|| get("HOME").map(|home| hub(&format!("{home}/.cache/huggingface"))));
        let token = get("HF_TOKEN").map(|token| token.trim().to_owned());
        Ok(Self { endpoint, token, hub_cache, retry: RetryPolicy::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<FetchOptions, FetchError> {
        FetchOptions::from_environment(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_nearest_cache_variable_wins() {
        let all =
            [("HF_HUB_CACHE", "/a"), ("HF_HOME", "/b"), ("XDG_CACHE_HOME", "/c"), ("HOME", "/d")];
        let expected = ["/a", "/b/hub", "/c/huggingface/hub", "/d/.cache/huggingface/hub"];
        for (skip, path) in expected.iter().enumerate() {
            let options = read(&all[skip..]).unwrap();
            assert_eq!(options.hub_cache.unwrap(), PathBuf::from(path));
        }
        assert_eq!(read(&[]).unwrap().hub_cache, None);
    }

    #[test]
    fn a_bad_endpoint_is_named_and_a_token_is_never_printed() {
        let error = read(&[("HF_ENDPOINT", "ftp://x")]).unwrap_err().to_string();
        assert!(error.contains("HF_ENDPOINT"), "{error}");
        let options = read(&[("HF_TOKEN", "hf_secret"), ("HF_ENDPOINT", " ")]).unwrap();
        assert!(!format!("{options:?}").contains("hf_secret"));
        assert_eq!(options.endpoint.as_str(), "https://huggingface.co/");
    }
}
