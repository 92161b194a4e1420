//! Where a model file comes from: a file in a Hugging Face repository, or an http(s) URL.
//!
//! Parsed once from what the user wrote, so that nothing further down meets an empty part, a `..`, or a scheme it
//! cannot fetch. Knows nothing of networks and disks.

use std::fmt;

use reqwest::Url;

use crate::digest::Digest;

/// The longest repository, revision or file name accepted, in bytes.
const MAX_PART_LEN: usize = 512;
/// The revision that is meant when none is given.
const DEFAULT_REVISION: &str = "main";
/// What a Hugging Face source begins with on the command line.
pub const HUGGING_FACE_PREFIX: &str = "hf:";

/// One file in one revision of a Hugging Face repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HuggingFaceFile {
    owner: String,
    name: String,
    revision: String,
    file: Vec<String>,
}

/// One place to fetch a model file from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file in a Hugging Face repository.
    HuggingFace(HuggingFaceFile),
    /// A plain URL; its digest must be known.
    Http(Url),
}

/// What to fetch, and the digest that it must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    source: Source,
    digest: Option<Digest>,
    file_name: String,
}

/// Why a source cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// `owner/name` was not of that form.
    #[error("`{repo}` is not a Hugging Face repository: expected owner/name")]
    Repository { repo: String },
    /// A part was empty, too long, or held characters that no repository has.
    #[error("`{value}` is not a usable {part}: {reason}")]
    Part { part: &'static str, value: String, reason: &'static str },
    /// `hf:` was not followed by owner/repo/file.
    #[error(
        "`{text}` is not a Hugging Face file: expected hf:owner/repo/file.gguf or hf:owner/repo/file.gguf@revision"
    )]
    Shape { text: String },
    /// Not a URL at all.
    #[error("`{url}` is not a URL: {reason}")]
    Url { url: String, reason: String },
    /// Neither http nor https.
    #[error("`{url}` has the scheme `{scheme}`: only http and https can be downloaded")]
    Scheme { url: String, scheme: String },
    /// Credentials in a URL end up in logs.
    #[error(
        "the URL of host `{host}` holds a user name or password: they would end up in logs; remove them"
    )]
    Credentials { host: String },
    /// A URL without a digest could give another file tomorrow.
    #[error(
        "`{url}` needs a sha256: a plain URL may give another file tomorrow; add `sha256` (on the command line: --sha256)"
    )]
    DigestRequired { url: String },
}

impl HuggingFaceFile {
    /// Checks the parts: `repo` is `owner/name`, `file` a relative path within it.
    pub fn new(repo: &str, revision: Option<&str>, file: &str) -> Result<Self, SourceError> {
        let repository = || SourceError::Repository { repo: shorten(repo) };
        let (owner, name) = repo.split_once('/').ok_or_else(repository)?;
        if name.contains('/') {
            return Err(repository());
        }
        for part in [owner, name] {
            check_part("repository name", part)?;
        }
        let revision = revision.unwrap_or(DEFAULT_REVISION);
        for part in revision.split('/') {
            check_part("revision", part)?;
        }
        let file =
            file.split('/').map(|part| check_part("file name", part)).collect::<Result<_, _>>()?;
        Ok(Self { owner: owner.into(), name: name.into(), revision: revision.into(), file })
    }

    /// Reads `hf:owner/repo/path/file.gguf[@revision]`.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        let shape = || SourceError::Shape { text: shorten(text) };
        let rest = text.strip_prefix(HUGGING_FACE_PREFIX).ok_or_else(shape)?;
        let (path, revision) = match rest.split_once('@') {
            Some((path, revision)) => (path, Some(revision)),
            None => (rest, None),
        };
        let mut parts = path.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(owner), Some(name), Some(file)) => {
                Self::new(&format!("{owner}/{name}"), revision, file)
            }
            _ => Err(shape()),
        }
    }

    /// `owner/name`.
    pub fn repo(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The folder name of the repository in the standard cache.
    pub fn cache_folder(&self) -> String {
        format!("models--{}--{}", self.owner, self.name)
    }

    /// Commit, branch or tag.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// The parts of the path within the repository; never empty.
    pub fn file_parts(&self) -> &[String] {
        &self.file
    }

    /// The path within the repository.
    pub fn file(&self) -> String {
        self.file.join("/")
    }

    /// The URL below `endpoint`.
    pub fn url(&self, endpoint: &Url) -> Result<Url, SourceError> {
        let mut url = endpoint.clone();
        url.path_segments_mut()
            .map_err(|()| SourceError::Url {
                url: endpoint.to_string(),
                reason: "it cannot have a path".into(),
            })?
            .pop_if_empty()
            .extend([&self.owner, &self.name])
            .push("resolve")
            .push(&self.revision)
            .extend(&self.file);
        Ok(url)
    }
}

impl Wanted {
    /// A file of a Hugging Face repository; without a digest the first download decides and pins it.
    pub fn hugging_face(file: HuggingFaceFile, digest: Option<Digest>) -> Self {
        let file_name = file.file.last().cloned().unwrap_or_default();
        Self { source: Source::HuggingFace(file), digest, file_name }
    }

    /// A URL and the digest that its content must have.
    pub fn http(url: &str, digest: Option<Digest>) -> Result<Self, SourceError> {
        let url = parse_url(url)?;
        let Some(digest) = digest else {
            return Err(SourceError::DigestRequired { url: url.to_string() });
        };
        let last = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
        let file_name = if check_part("file name", last).is_ok() && !last.contains('%') {
            last.to_owned()
        } else {
            "model.gguf".to_owned()
        };
        Ok(Self { source: Source::Http(url), digest: Some(digest), file_name })
    }

    /// Where it comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The digest that the file must have, if it is known beforehand.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The file's name in the store.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }
}

impl fmt::Display for HuggingFaceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HUGGING_FACE_PREFIX}{}/{}@{}", self.repo(), self.file(), self.revision)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HuggingFace(file) => file.fmt(f),
            Self::Http(url) => url.fmt(f),
        }
    }
}

/// Parses a URL that can be downloaded from and may be logged.
pub fn parse_url(text: &str) -> Result<Url, SourceError> {
    let url = Url::parse(text)
        .map_err(|error| SourceError::Url { url: shorten(text), reason: error.to_string() })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(SourceError::Scheme { url: shorten(text), scheme: url.scheme().into() });
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SourceError::Credentials { host: url.host_str().unwrap_or_default().into() });
    }
    Ok(url)
}

/// One path part: not empty, not `.` or `..`, no separators or control characters, not too long.
fn check_part(part: &'static str, value: &str) -> Result<String, SourceError> {
    let reason = match value {
        "" => "it is empty",
        "." | ".." => "it would leave the folder",
        _ if value.len() > MAX_PART_LEN => "it is longer than 512 bytes",
        _ if value.contains(['/', '\\', '\0']) || value.chars().any(char::is_control) => {
            "it holds a path separator or a control character"
        }
        _ if value.starts_with('.') => "it begins with a dot",
        _ => return Ok(value.to_owned()),
    };
    Err(SourceError::Part { part, value: shorten(value), reason })
}

fn shorten(text: &str) -> String {
    text.chars().take(MAX_PART_LEN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_command_line_form() {
        let file = HuggingFaceFile::parse("hf:owner/repo/sub/model.gguf@v1").unwrap();
        assert_eq!((file.repo().as_str(), file.revision()), ("owner/repo", "v1"));
        assert_eq!(file.file(), "sub/model.gguf");
        let endpoint = Url::parse("https://example.org/mirror/").unwrap();
        assert_eq!(
            file.url(&endpoint).unwrap().as_str(),
            "https://example.org/mirror/owner/repo/resolve/v1/sub/model.gguf"
        );
        assert_eq!(HuggingFaceFile::parse("hf:o/r/m.gguf").unwrap().revision(), "main");
    }

    #[test]
    fn names_what_is_wrong() {
        let long = format!("hf:o/r/{}", "x".repeat(600));
        for (text, expected) in [
            ("o/r/m.gguf", "expected hf:owner/repo/file.gguf"),
            ("hf:o/r", "expected hf:owner/repo/file.gguf"),
            ("hf:o//m.gguf", "`` is not a usable repository name: it is empty"),
            ("hf:o/r/../m.gguf", "`..` is not a usable file name: it would leave the folder"),
            ("hf:o/r/a\\b", "path separator"),
            ("hf:o/r/m.gguf@", "`` is not a usable revision: it is empty"),
            (&long, "longer than 512 bytes"),
        ] {
            let error = HuggingFaceFile::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_url_needs_scheme_digest_and_no_password() {
        let digest = Some(Digest::of(b"x"));
        for (url, digest, expected) in [
            ("ftp://h/m.gguf", digest.clone(), "only http and https"),
            ("http://u:p@h/m.gguf", digest.clone(), "user name or password"),
            ("http://h/m.gguf", None, "needs a sha256"),
            ("m.gguf", digest.clone(), "is not a URL"),
        ] {
            let error = Wanted::http(url, digest).unwrap_err().to_string();
            assert!(error.contains(expected), "{url}: {error}");
        }
        let name = |url| Wanted::http(url, digest.clone()).unwrap().file_name().to_owned();
        assert_eq!(name("http://h/a/m.gguf?x=1"), "m.gguf");
        assert_eq!(name("http://h/"), "model.gguf");
        assert_eq!(name("http://h/a/..%2f"), "model.gguf");
    }
}
