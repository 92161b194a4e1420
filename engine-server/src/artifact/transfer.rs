//! Moves the bytes of one source into a part file over HTTP: resumes by Range, starts again when the source changed,
//! and tries again, with growing pauses, as long as that makes sense.

use std::time::Duration;

use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE, RETRY_AFTER},
};

use super::{
    error::FetchError,
    options::{FetchOptions, RetryPolicy},
    part::{Origin, Part},
    progress::Progress,
    source::{Source, Wanted},
};

/// The largest file that is downloaded: 1 TiB.
const MAX_FILE_BYTES: u64 = 1 << 40;

/// One source, ready to be fetched.
#[derive(Debug)]
pub(super) struct Transfer<'a> {
    client: &'a Client,
    retry: &'a RetryPolicy,
    url: Url,
    token: Option<&'a str>,
    name: String,
    file_name: &'a str,
    /// The content will be proven by its digest, so resuming without an entity tag is safe.
    proven_by_digest: bool,
}

impl<'a> Transfer<'a> {
    /// Builds the URL; only requests to the Hugging Face endpoint carry the token.
    pub(super) fn new(
        client: &'a Client,
        options: &'a FetchOptions,
        wanted: &'a Wanted,
    ) -> Result<Self, FetchError> {
        let (url, token) = match wanted.source() {
            Source::HuggingFace(file) => (file.url(&options.endpoint)?, options.token.as_deref()),
            Source::Http(url) => (url.clone(), None),
        };
        Ok(Self {
            client,
            retry: &options.retry,
            url,
            token,
            name: wanted.source().to_string(),
            file_name: wanted.file_name(),
            proven_by_digest: wanted.digest().is_some(),
        })
    }

    /// Fills `part` until the source has no more bytes.
    pub(super) async fn run(
        &self,
        part: &mut Part,
        progress: &mut dyn Progress,
    ) -> Result<(), FetchError> {
        let (mut attempts, mut fruitless) = (0, 0);
        loop {
            let before = part.len();
            let outcome = self.attempt(part, progress).await;
            part.flush().await?;
            let error = match outcome {
                Ok(()) => return Ok(()),
                Err(error) if error.is_worth_retrying() => error,
                Err(error) => return Err(error),
            };
            attempts += 1;
            fruitless = if part.len() > before { 1 } else { fruitless + 1 };
            if matches!(error, FetchError::Changed { .. } | FetchError::Protocol { .. }) {
                part.restart().await?;
            }
            if attempts >= self.retry.attempts || fruitless >= self.retry.fruitless_attempts {
                return Err(FetchError::GaveUp { attempts, last: Box::new(error) });
            }
            let pause = self.pause(&error, fruitless);
            progress.note(&format!("{error}; trying again in {:.1} s", pause.as_secs_f32()));
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(
        &self,
        part: &mut Part,
        progress: &mut dyn Progress,
    ) -> Result<(), FetchError> {
        self.drop_what_cannot_be_resumed(part).await?;
        let response = self.request(part).send().await.map_err(|error| self.connection(error))?;
        let total = match response.status() {
            StatusCode::PARTIAL_CONTENT => Some(self.check_range(&response, part)?),
            StatusCode::RANGE_NOT_SATISFIABLE => return self.judge_unsatisfiable(&response, part),
            StatusCode::OK => {
                part.restart().await?;
                response.content_length()
            }
            status => return Err(self.refusal(status, response.headers())),
        };
        self.check_size(total)?;
        if total.is_none() && !self.proven_by_digest {
            return Err(FetchError::NoLength { url: self.url.to_string() });
        }
        let etag = header(response.headers(), &ETAG);
        part.set_origin(Origin { source: self.name.clone(), etag, bytes: total })?;
        progress.begin(self.file_name, total, part.len());
        self.receive(response, part, total, progress).await
    }

    /// Streams the body into the part.
    async fn receive(
        &self,
        mut response: Response,
        part: &mut Part,
        total: Option<u64>,
        progress: &mut dyn Progress,
    ) -> Result<(), FetchError> {
        while let Some(bytes) = response.chunk().await.map_err(|error| self.connection(error))? {
            part.append(&bytes).await?;
            progress.advance(bytes.len() as u64);
            self.check_size(Some(part.len()))?;
        }
        match total {
            Some(expected) if part.len() < expected => {
                Err(FetchError::Truncated { host: self.host(), found: part.len(), expected })
            }
            Some(expected) if part.len() > expected => {
                Err(self.changed(format!("{} bytes arrived of {expected}", part.len())))
            }
            _ => Ok(()),
        }
    }

    /// Bytes of another source, or of unknown origin where no digest will prove them, are thrown away.
    async fn drop_what_cannot_be_resumed(&self, part: &mut Part) -> Result<(), FetchError> {
        let resumable = self.proven_by_digest
            || part.origin().is_some_and(|origin| {
                origin.source == self.name && origin.etag.as_deref().is_some_and(is_strong)
            });
        if part.len() > 0 && !resumable {
            part.restart().await?;
        }
        Ok(())
    }

    fn request(&self, part: &Part) -> reqwest::RequestBuilder {
        let mut request = self.client.get(self.url.clone());
        if let Some(token) = self.token {
            request = request.bearer_auth(token);
        }
        if part.len() > 0 {
            request = request.header(RANGE, format!("bytes={}-", part.len()));
            let origin = part.origin().filter(|origin| origin.source == self.name);
            if let Some(etag) =
                origin.and_then(|origin| origin.etag.as_deref()).filter(|tag| is_strong(tag))
            {
                request = request.header(IF_RANGE, etag);
            }
        }
        request
    }

    /// A partial answer must begin where the part ends, and be of the same file; returns that file's length.
    fn check_range(&self, response: &Response, part: &Part) -> Result<u64, FetchError> {
        let text = header(response.headers(), &CONTENT_RANGE).unwrap_or_default();
        let (start, total) = parse_content_range(&text).ok_or_else(|| FetchError::Protocol {
            host: self.host(),
            reason: format!("status 206 with Content-Range `{text}`"),
        })?;
        if start != part.len() {
            let reason = format!("asked for bytes from {}, got them from {start}", part.len());
            return Err(FetchError::Protocol { host: self.host(), reason });
        }
        let Some(origin) = part.origin().filter(|origin| origin.source == self.name) else {
            return Ok(total);
        };
        if let Some(bytes) = origin.bytes.filter(|bytes| *bytes != total) {
            return Err(self.changed(format!("it had {bytes} bytes, now {total}")));
        }
        match (&origin.etag, header(response.headers(), &ETAG)) {
            (Some(old), Some(new)) if *old != new => {
                Err(self.changed(format!("its entity tag was {old}, now {new}")))
            }
            _ => Ok(total),
        }
    }

    /// "No bytes from there on": right if the part is complete already, else the file is another one now.
    fn judge_unsatisfiable(&self, response: &Response, part: &Part) -> Result<(), FetchError> {
        let total = header(response.headers(), &CONTENT_RANGE)
            .and_then(|text| text.strip_prefix("bytes */").and_then(|total| total.parse().ok()));
        if total == Some(part.len()) {
            return Ok(());
        }
        Err(self.changed(format!("{} bytes have arrived, it has {}", part.len(), shown(total))))
    }

    fn check_size(&self, bytes: Option<u64>) -> Result<(), FetchError> {
        if bytes.is_some_and(|bytes| bytes > MAX_FILE_BYTES) {
            return Err(FetchError::TooLarge { url: self.url.to_string(), limit: MAX_FILE_BYTES });
        }
        Ok(())
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap) -> FetchError {
        let url = self.url.to_string();
        if status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        {
            let retry_after_seconds =
                header(headers, &RETRY_AFTER).and_then(|text| text.parse().ok());
            return FetchError::ServerFailed { url, status, retry_after_seconds };
        }
        let advice = match (status, self.token) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, None) => {
                "set HF_TOKEN to a token that may read it, and accept the model's licence on its page"
            }
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(_)) => {
                "HF_TOKEN may not read it; accept the model's licence on its page or use another token"
            }
            (StatusCode::NOT_FOUND | StatusCode::GONE, _) => {
                "there is no such file; check repository, revision and file name"
            }
            _ => "the file cannot be downloaded from there",
        };
        FetchError::Refused { url, status, advice }
    }

    fn connection(&self, error: reqwest::Error) -> FetchError {
        let error = error.without_url();
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            reason = format!("{reason}: {inner}");
            cause = inner.source();
        }
        let host = self.host();
        if error.is_redirect() || error.is_builder() {
            return FetchError::Client(format!("{host}: {reason}"));
        }
        FetchError::Connection { host, reason }
    }

    fn pause(&self, error: &FetchError, fruitless: u32) -> Duration {
        let doubled =
            self.retry.first_pause.saturating_mul(1 << fruitless.saturating_sub(1).min(16));
        let asked = match error {
            FetchError::ServerFailed { retry_after_seconds: Some(seconds), .. } => {
                Duration::from_secs(*seconds)
            }
            _ => Duration::ZERO,
        };
        doubled.max(asked).min(self.retry.longest_pause)
    }

    fn changed(&self, reason: String) -> FetchError {
        FetchError::Changed { host: self.host(), reason }
    }

    fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }
}

fn header(headers: &HeaderMap, name: &reqwest::header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// A weak tag promises an equivalent file, not the same bytes (RFC 9110, 8.8.1).
fn is_strong(etag: &str) -> bool {
    !etag.starts_with("W/")
}

/// `bytes 5-9/10` gives `(5, 10)`; a range that does not run to the file's end is refused.
fn parse_content_range(text: &str) -> Option<(u64, u64)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end, total): (u64, u64, u64) =
        (start.parse().ok()?, end.parse().ok()?, total.parse().ok()?);
    (start <= end && end.checked_add(1)? == total).then_some((start, total))
}

fn shown(total: Option<u64>) -> String {
    total.map_or_else(|| "another length".to_owned(), |total| format!("{total}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_range_is_read_strictly() {
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, 10)));
        for text in [
            "",
            "bytes",
            "bytes */10",
            "bytes 5-9/*",
            "bytes 5-8/10",
            "bytes 9-5/10",
            "items 5-9/10",
            "bytes 5-18446744073709551615/0",
        ] {
            assert_eq!(parse_content_range(text), None, "{text}");
        }
    }
}
