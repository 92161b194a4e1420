//! What can be wrong with a grammar, with compiling it, and with going on under it.

/// A grammar is not accepted as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct GrammarError {
    /// Where, below the field that holds the grammar: empty, or for example `.properties.age.pattern`.
    pub at: String,
    /// Why, and what to do.
    pub reason: String,
    /// Whether it is something that this server does not support, and not a mistake.
    pub unsupported: bool,
}

impl GrammarError {
    pub(super) fn invalid(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { at: at.into(), reason: reason.into(), unsupported: false }
    }

    pub(super) fn unsupported(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { at: at.into(), reason: reason.into(), unsupported: true }
    }
}

/// A grammar does not compile for this model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// It is wrong, too large, or asks for what is not supported.
    #[error("the grammar cannot be used: {0}")]
    Grammar(String),
    /// It takes too long.
    #[error("the grammar took more than {seconds} s to compile; make it simpler")]
    TimedOut {
        /// The limit.
        seconds: u64,
    },
    /// The model's vocabulary cannot be constrained.
    #[error("this model's vocabulary cannot be constrained: {0}")]
    Vocabulary(String),
    /// No thread to compile on.
    #[error("cannot start a thread to compile the grammar: {0}")]
    Thread(String),
}

/// A sequence cannot go on under its constraint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// The grammar allows no token of this model's vocabulary here, or only ones that `logit_bias` bans.
    #[error(
        "the constraint allows no token here; loosen the grammar, or remove entries of `logit_bias` that ban what it needs"
    )]
    NothingAllowed,
    /// A step of the grammar is too much work.
    #[error("the constraint became too complex to follow ({0}); make the grammar simpler")]
    TooComplex(String),
}
