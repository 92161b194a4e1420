//! How a download tells its caller where it stands. A leaf: who prints, and where, is the caller's affair.

/// Receives the course of one download.
pub trait Progress: Send {
    /// Bytes begin to arrive: `done` of `total` bytes are there from an earlier attempt. May be called again after a
    /// restart.
    fn begin(&mut self, what: &str, total: Option<u64>, done: u64);
    /// `bytes` more have arrived.
    fn advance(&mut self, bytes: u64);
    /// Something worth knowing happened: a retry, a wait, a restart.
    fn note(&mut self, text: &str);
    /// The transfer ended, well or not.
    fn end(&mut self);
}

/// Tells nobody.
#[derive(Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&mut self, _what: &str, _total: Option<u64>, _done: u64) {}
    fn advance(&mut self, _bytes: u64) {}
    fn note(&mut self, _text: &str) {}
    fn end(&mut self) {}
}
