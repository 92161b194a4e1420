//! A SHA-256 digest as the rest of the crate may use it: 64 lowercase hex digits, checked once.
//!
//! A leaf: it must not know what the digest is of.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
    str::FromStr,
};

use sha2::{Digest as _, Sha256};

/// Hex digits of one SHA-256 digest.
pub const DIGEST_HEX_LEN: usize = 64;

/// Bytes read at a time when a file is hashed.
const HASH_BUFFER_BYTES: usize = 256 * 1024;

/// The SHA-256 of a file, as 64 lowercase hex digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

/// The text is not 64 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a sha256: expected 64 hexadecimal digits, found {found} characters")]
pub struct DigestError {
    text: String,
    found: usize,
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::finish(Sha256::new_with_prefix(bytes))
    }

    /// The digest that `hasher` has come to.
    pub fn finish(hasher: Sha256) -> Self {
        Self(hex::encode(hasher.finalize()))
    }

    /// The digest of the file at `path`, read from start to end.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        hash_into(&mut hasher, &mut File::open(path)?)?;
        Ok(Self::finish(hasher))
    }

    /// The 64 lowercase hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Feeds everything that `reader` gives into `hasher`; returns the number of bytes.
pub fn hash_into(hasher: &mut Sha256, reader: &mut impl Read) -> io::Result<u64> {
    let mut buffer = vec![0; HASH_BUFFER_BYTES];
    let mut total = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                total += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let bare = text.strip_prefix("sha256:").unwrap_or(text);
        if bare.len() == DIGEST_HEX_LEN && bare.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self(bare.to_ascii_lowercase()));
        }
        Err(DigestError {
            text: bare.chars().take(DIGEST_HEX_LEN + 1).collect(),
            found: bare.chars().count(),
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_hex_in_either_case_with_or_without_prefix() {
        let expected = Digest::of(b"");
        assert_eq!(
            expected.as_str(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        for text in [
            expected.as_str().to_owned(),
            expected.as_str().to_uppercase(),
            format!("sha256:{expected}"),
        ] {
            assert_eq!(text.parse::<Digest>().unwrap(), expected);
        }
    }

    #[test]
    fn refuses_what_is_not_a_digest() {
        for text in ["", "abc", &"g".repeat(64), &"a".repeat(65), "../../etc/passwd"] {
            let error = text.parse::<Digest>().unwrap_err().to_string();
            assert!(error.contains("expected 64 hexadecimal digits"), "{error}");
        }
    }
}
