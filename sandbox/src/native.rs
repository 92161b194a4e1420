//! What the host does for a plan by itself: looking for triggers in a stream of text, and replacing matches, without a
//! call of the guest. Linear in the text, with a bounded window and bounded memory.

mod patterns;
mod redactor;
mod scanner;
mod waker;

pub use patterns::{MAX_PATTERN_BYTES, Patterns, PatternsError};
pub use redactor::{Redact, Redactor};
pub use scanner::WINDOW_BYTES;
pub use waker::Waker;
