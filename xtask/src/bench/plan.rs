//! What is measured and how often.

use clap::ValueEnum;

/// A group of measurements that can be asked for alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// One sequence's prompt
    Prefill,
    /// One sequence's tokens, one by one
    Decode,
    /// Several sequences together
    Batched,
    /// Requests that begin alike
    Prefix,
    /// The prefill of every weight format
    Formats,
    /// Decode beside a process that burns a CPU
    Neighbour,
    /// A tenant within its share beside one that floods the server
    NoisyNeighbour,
    /// Whether the time to the first token tells a tenant what another has asked
    PrefixTiming,
    /// Decode in a control group with one CPU
    Quota,
    /// From the start of the process to the first token
    Start,
    /// Resident memory
    Memory,
    /// Perplexity of a text
    Perplexity,
}

/// How the parts are measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// In this order.
    pub(crate) parts: Vec<Part>,
    /// How often the contestants run in turn.
    pub(crate) rounds: usize,
    /// Of each contestant.
    pub(crate) threads: usize,
    /// Fewer tokens and no 7B model.
    pub(crate) quick: bool,
}

impl Plan {
    /// `tokens`, or fewer of them in a quick run.
    pub(crate) fn tokens(&self, tokens: usize) -> usize {
        if self.quick { tokens / 4 } else { tokens }
    }
}
