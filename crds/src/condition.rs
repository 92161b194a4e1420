//! Condition types and reasons of both kinds, and the one way to write a condition into a list.
//!
//! Reasons are a closed set: dashboards and tests name them. It must not decide which condition holds.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

/// The spec was read and is usable.
pub const ACCEPTED: &str = "Accepted";
/// The pods hold the model file and report its digest.
pub const ARTIFACT_READY: &str = "ArtifactReady";
/// Every child object was applied.
pub const PROGRAMMED: &str = "Programmed";
/// At least one pod answers requests; stays true while a new generation rolls out.
pub const AVAILABLE: &str = "Available";
/// The pods are on their way to the newest generation.
pub const PROGRESSING: &str = "Progressing";
/// Every wanted pod reports the newest generation and the one digest.
pub const READY: &str = "Ready";
/// Scraping and dashboard were set up as asked.
pub const MONITORING_READY: &str = "MonitoringReady";
/// Every RealmModel that the tenant names exists.
pub const RESOLVED_REFS: &str = "ResolvedRefs";
/// Every API key of the tenant could be read.
pub const KEYS_READY: &str = "KeysReady";

/// The tenant's program runs in every pod; there only when it has one.
pub const PROGRAM_READY: &str = "ProgramReady";

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It cannot be told.
    Unknown,
}

impl Truth {
    /// The word that the API uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// A verdict about one condition, before it has times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Condition type, one of the constants above.
    pub kind: &'static str,
    /// Whether it holds.
    pub truth: Truth,
    /// Machine-readable cause in CamelCase.
    pub reason: &'static str,
    /// One sentence for people.
    pub message: String,
}

impl Verdict {
    /// A verdict from its four parts.
    pub fn new(
        kind: &'static str,
        truth: impl Into<Truth>,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, truth: truth.into(), reason, message: message.into() }
    }
}

/// The list of conditions after `verdicts`: a condition keeps its transition time while its status stays the same.
#[must_use]
pub fn merge(
    old: &[Condition],
    verdicts: Vec<Verdict>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    verdicts
        .into_iter()
        .map(|verdict| {
            let status = verdict.truth.as_str();
            let since = old
                .iter()
                .find(|condition| condition.type_ == verdict.kind && condition.status == status)
                .map_or_else(|| Time(now), |condition| condition.last_transition_time.clone());
            Condition {
                type_: verdict.kind.to_owned(),
                status: status.to_owned(),
                reason: verdict.reason.to_owned(),
                message: verdict.message,
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect()
}

/// Whether the list says `True` for `kind`.
#[must_use]
pub fn holds(conditions: &[Condition], kind: &str) -> bool {
    conditions
        .iter()
        .any(|condition| condition.type_ == kind && condition.status == Truth::True.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_until_its_status_changes() {
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let first =
            merge(&[], vec![Verdict::new(READY, false, "Waiting", "no pod yet")], Some(1), early);
        let same =
            merge(&first, vec![Verdict::new(READY, false, "Loading", "one pod")], Some(2), late);
        assert_eq!(same[0].last_transition_time, Time(early));
        assert_eq!((same[0].reason.as_str(), same[0].observed_generation), ("Loading", Some(2)));
        let changed = merge(&same, vec![Verdict::new(READY, true, "Serving", "")], Some(2), late);
        assert_eq!(changed[0].last_transition_time, Time(late));
        assert!(holds(&changed, READY) && !holds(&same, READY));
    }
}
