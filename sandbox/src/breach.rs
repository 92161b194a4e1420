//! How a program fails: which hook, which limit, and how much of it was spent.

use std::{fmt, time::Duration};

use thiserror::Error;

/// A place where the host calls the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hook {
    /// Making the instance: start functions and initializers.
    Start,
    /// Before the prompt reaches the model.
    OnRequest,
    /// While the answer is made.
    OnTokens,
    /// Before a token is chosen.
    OnLogits,
    /// When the answer is whole.
    OnResponse,
    /// The agent.
    Run,
}

impl Hook {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Start, Self::OnRequest, Self::OnTokens, Self::OnLogits, Self::OnResponse, Self::Run];

    /// Its name in the interface and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::OnRequest => "on-request",
            Self::OnTokens => "on-tokens",
            Self::OnLogits => "on-logits",
            Self::OnResponse => "on-response",
            Self::Run => "run",
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Which bound a program broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BreachKind {
    /// One call took too long.
    Deadline,
    /// All calls of a request together took too long.
    RequestTime,
    /// All calls of the tenant within a minute took too long.
    MinuteTime,
    /// A whole run of an agent took too long, the model's time included.
    RunTime,
    /// It wanted more memory.
    Memory,
    /// It wanted larger tables.
    Table,
    /// It called too deep.
    Stack,
    /// It trapped.
    Trap,
    /// It sent too many bytes to the host at once.
    Crossing,
    /// It called capabilities too often.
    Operations,
    /// It sent too much to the client.
    Output,
    /// It used up the tokens that it may read and generate.
    Tokens,
    /// What it returned cannot be used.
    Answer,
    /// The program was stopped after too many failures.
    Suspended,
    /// The server has no free instance.
    Busy,
    /// The host failed; no fault of the program.
    Host,
}

impl BreachKind {
    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::RequestTime => "request_time",
            Self::MinuteTime => "minute_time",
            Self::RunTime => "run_time",
            Self::Memory => "memory",
            Self::Table => "table",
            Self::Stack => "stack",
            Self::Trap => "trap",
            Self::Crossing => "crossing",
            Self::Operations => "operations",
            Self::Output => "output",
            Self::Tokens => "tokens",
            Self::Answer => "answer",
            Self::Suspended => "suspended",
            Self::Busy => "busy",
            Self::Host => "host",
        }
    }

    /// Whether the program is to blame, so that its breaker counts it.
    pub fn is_fault(self) -> bool {
        !matches!(self, Self::MinuteTime | Self::Suspended | Self::Busy | Self::Host)
    }
}

/// A program broke a bound; its request ends, or goes on without it, as its failure policy says.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the program's {hook} hook {what}", what = self.what())]
pub struct Breach {
    /// Where.
    pub hook: Hook,
    /// Which bound.
    pub kind: BreachKind,
    /// The bound in its own unit: microseconds, bytes, elements, calls or tokens; 0 where there is none.
    pub limit: u64,
    /// How much was spent or wanted, in the same unit.
    pub spent: u64,
    /// More of the cause, where there is more.
    pub detail: String,
}

impl Breach {
    /// The host failed where the program is not to blame.
    pub fn host(hook: Hook, detail: impl Into<String>) -> Self {
        Self::plain(hook, BreachKind::Host, detail)
    }

    /// A breach without numbers.
    pub(crate) fn plain(hook: Hook, kind: BreachKind, detail: impl Into<String>) -> Self {
        Self { hook, kind, limit: 0, spent: 0, detail: detail.into() }
    }

    /// A breach of a bound on time.
    pub(crate) fn time(hook: Hook, kind: BreachKind, limit: Duration, spent: Duration) -> Self {
        Self {
            hook,
            kind,
            limit: limit.as_micros() as u64,
            spent: spent.as_micros() as u64,
            detail: String::new(),
        }
    }

    /// A breach of a bound on a count.
    pub(crate) fn count(hook: Hook, kind: BreachKind, limit: u64, spent: u64) -> Self {
        Self { hook, kind, limit, spent, detail: String::new() }
    }

    fn what(&self) -> String {
        let Self { kind, limit, spent, detail, .. } = self;
        match kind {
            BreachKind::Deadline => format!(
                "ran for {spent} us, past its deadline of {limit} us, and was ended; do less in one call or raise its deadline"
            ),
            BreachKind::RequestTime => format!(
                "used {spent} us of this request's {limit} us for all hooks; do less in each call"
            ),
            BreachKind::MinuteTime => format!(
                "may not run: the tenant's programs have used their {limit} us of this minute; try again later"
            ),
            BreachKind::RunTime => format!(
                "took {spent} us together with the model, and a run may take {limit} us; generate less or raise runSeconds"
            ),
            BreachKind::Memory => format!(
                "wanted {spent} bytes of memory and may have {limit}; use less or raise memoryLimit"
            ),
            BreachKind::Table => {
                format!("wanted tables of {spent} elements and may have {limit}; use smaller tables")
            }
            BreachKind::Stack => {
                format!("called too deep for its stack of {limit} bytes; bound the recursion")
            }
            BreachKind::Trap => format!("trapped: {detail}"),
            BreachKind::Crossing => format!(
                "sent more than {limit} bytes to the host in one call; send less at a time"
            ),
            BreachKind::Operations => {
                format!("called capabilities more than {limit} times in one request; call less often")
            }
            BreachKind::Output => {
                format!("sent {spent} bytes to the client and may send {limit}; send less")
            }
            BreachKind::Tokens => {
                format!("wanted {spent} tokens and may read and generate {limit} in one request")
            }
            BreachKind::Answer => format!("gave the host what cannot be used: {detail}"),
            BreachKind::Suspended => {
                "may not run: the program failed too often and is stopped for a while; fix it or wait".to_owned()
            }
            BreachKind::Busy => {
                "found no free instance: too many programs run at once; try again".to_owned()
            }
            BreachKind::Host => format!("could not run: {detail}"),
        }
    }
}

/// What becomes of a request when a hook fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// The request ends with an error.
    #[default]
    Closed,
    /// The request goes on as if the program had no such hook.
    Open,
}
