//! A cursor over the bytes of a file: every read is checked against what is left, every length against a limit.
use super::error::GgufError;

/// Bytes of one string value; chat templates are the longest real ones.
pub const MAX_STRING_BYTES: u64 = 16 << 20;
/// Elements of one array value; merges of large vocabularies are the longest real ones.
pub const MAX_ARRAY_ELEMENTS: u64 = 16 << 20;

/// Reads forward; never past the end.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn position(&self) -> u64 {
        self.at as u64
    }

    pub(super) fn left(&self) -> u64 {
        (self.bytes.len() - self.at) as u64
    }

    /// The next `needed` bytes. `what` is called only when they are not there.
    pub(super) fn take<W: ToString>(
        &mut self,
        needed: u64,
        what: impl FnOnce() -> W,
    ) -> Result<&'a [u8], GgufError> {
        let rest = &self.bytes[self.at..];
        let found = usize::try_from(needed).ok().and_then(|needed| rest.get(..needed));
        let Some(bytes) = found else {
            return Err(GgufError::Truncated {
                what: what().to_string(),
                at: self.position(),
                needed,
                left: self.left(),
            });
        };
        self.at += bytes.len();
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], GgufError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64, || what)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, GgufError> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, GgufError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// A 64-bit count of things, at most `limit`.
    pub(super) fn count(&mut self, what: &str, limit: u64) -> Result<u64, GgufError> {
        let at = self.position();
        let found = self.u64(what)?;
        if found > limit {
            return Err(GgufError::OverLimit {
                what: format!("the number of {what}"),
                at,
                found,
                limit,
            });
        }
        Ok(found)
    }

    /// A string with its 64-bit length before it, at most `limit` bytes.
    pub(super) fn string<W: ToString>(
        &mut self,
        what: impl Fn() -> W,
        limit: u64,
    ) -> Result<String, GgufError> {
        let at = self.position();
        let mut length = [0; 8];
        length.copy_from_slice(self.take(8, || format!("the length of {}", what().to_string()))?);
        let found = u64::from_le_bytes(length);
        if found > limit {
            let what = format!("the length of {}", what().to_string());
            return Err(GgufError::OverLimit { what, at, found, limit });
        }
        let at = self.position();
        let bytes = self.take(found, &what)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(GgufError::NotUtf8 {
                what: what().to_string(),
                at,
                valid_up_to: error.valid_up_to(),
            }),
        }
    }
}
