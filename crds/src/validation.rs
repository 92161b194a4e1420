//! What a refused manifest looks like, and the small checks that both kinds share.
//!
//! The API server checks the same things through the CRD schema and its CEL rules; this is the same verdict, in the
//! same words, for a laptop without an API server. A leaf: it must not know the kinds.

use std::fmt;

/// Longest name of a RealmModel or RealmTenant: child names add a suffix and must stay within 63 characters.
pub const NAME_MAX_CHARS: usize = 40;
/// Longest served name or alias.
pub const SERVED_NAME_MAX_CHARS: usize = 128;
/// Longest path, URL or reference.
pub const TEXT_MAX_CHARS: usize = 2048;

/// Rule and message for `metadata.name`.
pub const NAME_RULE: &str =
    "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')";
/// Said when `metadata.name` cannot name a Service.
pub const NAME_MESSAGE: &str = "metadata.name must start with a letter, hold only lower-case letters, digits and '-', and have at most 40 characters, because it also names a Service";

/// One field of a manifest that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field, such as `spec.source.http.sha256`.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.field, self.message)
    }
}

/// A manifest that cannot be used, with every field at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name} is invalid: {}", list(.errors))]
pub struct InvalidManifest {
    /// Kind of the manifest.
    pub kind: &'static str,
    /// Name of the manifest, or `(no name)`.
    pub name: String,
    /// The fields at fault; never empty.
    pub errors: Vec<FieldError>,
}

fn list(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Collects the fields at fault.
#[derive(Debug, Default)]
pub struct Checks {
    errors: Vec<FieldError>,
}

impl Checks {
    /// Notes `message` about `field` unless `fine`.
    pub fn require(&mut self, fine: bool, field: impl Into<String>, message: impl Into<String>) {
        if !fine {
            self.errors.push(FieldError { field: field.into(), message: message.into() });
        }
    }

    /// Notes a number outside `low..=high`, in the API server's words.
    pub fn range(&mut self, field: &str, value: i64, low: i64, high: i64) {
        self.require(value >= low, field, format!("should be greater than or equal to {low}"));
        self.require(value <= high, field, format!("should be less than or equal to {high}"));
    }

    /// Notes a text that is empty or longer than `max` characters, in the API server's words.
    pub fn length(&mut self, field: &str, value: &str, max: usize) {
        self.require(!value.is_empty(), field, "should be at least 1 chars long");
        self.require(
            value.chars().count() <= max,
            field,
            format!("may not be more than {max} bytes"),
        );
    }

    /// Notes a list whose length is outside `low..=high`, in the API server's words.
    pub fn items(&mut self, field: &str, count: usize, low: usize, high: usize) {
        self.require(count >= low, field, format!("should have at least {low} items"));
        self.require(count <= high, field, format!("must have at most {high} items"));
    }

    /// `Ok` when nothing was noted.
    pub fn finish(self, kind: &'static str, name: Option<&str>) -> Result<(), InvalidManifest> {
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(InvalidManifest {
            kind,
            name: name.unwrap_or("(no name)").to_owned(),
            errors: self.errors,
        })
    }
}

/// Whether the text is an address that can be downloaded.
#[must_use]
pub fn is_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_host = |host: &str| !host.is_empty() && !host.contains(['?', '#']);
    rest.and_then(|rest| rest.split_once('/'))
        .is_some_and(|(host, file)| is_host(host) && !file.is_empty())
}

/// 64 lower-case hexadecimal digits.
#[must_use]
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A name that can also name a Service and leaves room for suffixes.
#[must_use]
pub fn is_object_name(name: &str) -> bool {
    name.len() <= NAME_MAX_CHARS
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && is_label(name)
}

/// A DNS label: lower-case letters, digits and inner `-`.
#[must_use]
pub fn is_label(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// A model id as clients send it: letters, digits and `._:/-`, starting with a letter or digit.
#[must_use]
pub fn is_served_name(name: &str) -> bool {
    name.len() <= SERVED_NAME_MAX_CHARS
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte))
}

/// A path that stays below its root: not absolute, no `..`, no empty part.
#[must_use]
pub fn is_relative_path(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !part.is_empty() && part != "..")
}

/// Whether no text occurs twice.
#[must_use]
pub fn all_unique<'a>(texts: impl IntoIterator<Item = &'a str>) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    texts.into_iter().all(|text| seen.insert(text))
}
