//! The state of the process, and the document in which it tells it: `GET /health`.
//!
//! The operator decides readiness from this document, so it says only what is true of this process: the generation and
//! the digest that are in use, never what a newer configuration asks for.

use std::sync::{Arc, PoisonError, RwLock};

use serde::Serialize;

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The model is being opened.
    Loading,
    /// Requests are answered.
    Ok,
    /// The order to stop has come; open answers are finished.
    Draining,
    /// The process must be replaced.
    Failed,
}

/// `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthDocument {
    /// Where the process is in its life.
    pub status: Status,
    /// Served name of the model.
    pub model: String,
    /// Generation of the RealmModel that is in use.
    pub generation: i64,
    /// Version of the tenant table that is in use.
    pub tenants_version: String,
    /// What is known once the model is open.
    #[serde(flatten)]
    pub loaded: Option<LoadedDocument>,
    /// What is wrong, when something is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Tenants' programs that do not run; of every other tenant of this table it runs, if the tenant has one. Told on the
    /// management port only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<ProgramDocument>,
    /// Further such programs, for which there is no room.
    #[serde(skip_serializing_if = "is_zero")]
    pub programs_omitted: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A tenant's program that does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramDocument {
    /// Namespace of the tenant.
    pub namespace: String,
    /// Name of the tenant.
    pub name: String,
    /// Why not.
    pub state: ProgramState,
    /// More of the cause, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Why a program does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ProgramState {
    /// It is fetched, looked at or compiled.
    Preparing,
    /// It cannot be used.
    Refused,
    /// It was stopped for a while after repeated faults.
    Suspended,
}

/// The part of the health document that describes the open model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadedDocument {
    /// SHA-256 of the file in use, hexadecimal.
    pub digest: String,
    /// Format that most of its weights have.
    pub quantization: String,
    /// Number of weights.
    pub parameters: u64,
    /// Tokens that one sequence can hold here.
    pub context_length: usize,
    /// Size of the file.
    pub file_bytes: u64,
    /// Bytes reserved for keys and values.
    pub kv_bytes: usize,
}

/// The state of the process, shared.
#[derive(Debug, Clone)]
pub struct Health {
    inner: Arc<RwLock<Inner>>,
}

#[derive(Debug)]
struct Inner {
    status: Status,
    /// Whether requests are taken while draining.
    accepting: bool,
    failure: Option<String>,
    /// Why the newest configuration is not in use.
    reload_problem: Option<String>,
}

impl Health {
    /// A process that has begun to load.
    pub fn loading() -> Self {
        let inner =
            Inner { status: Status::Loading, accepting: true, failure: None, reload_problem: None };
        Self { inner: Arc::new(RwLock::new(inner)) }
    }

    /// Where the process is in its life.
    pub fn status(&self) -> Status {
        self.read(|inner| inner.status)
    }

    /// What is wrong, when something is.
    pub fn message(&self) -> Option<String> {
        self.read(|inner| inner.failure.clone().or_else(|| inner.reload_problem.clone()))
    }

    /// Whether a new request is taken: also while draining, until [`Self::refuse`].
    pub fn accepts(&self) -> bool {
        self.read(|inner| inner.accepting && matches!(inner.status, Status::Ok | Status::Draining))
    }

    /// The model is open. A process that drains or has failed stays so.
    pub fn ready(&self) {
        self.write(|inner| {
            if inner.status == Status::Loading {
                inner.status = Status::Ok;
            }
        });
    }

    /// The order to stop has come.
    pub fn drain(&self) {
        self.write(|inner| {
            if inner.status != Status::Failed {
                inner.status = Status::Draining;
            }
        });
    }

    /// New requests are refused from now on.
    pub fn refuse(&self) {
        self.write(|inner| inner.accepting = false);
    }

    /// The process must be replaced.
    pub fn fail(&self, message: String) {
        self.write(|inner| {
            inner.status = Status::Failed;
            inner.failure = Some(message);
        });
    }

    /// Why the newest configuration is not in use; `None` when it is.
    pub fn set_reload_problem(&self, problem: Option<String>) {
        self.write(|inner| inner.reload_problem = problem);
    }

    fn read<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_goes_only_forward() {
        let health = Health::loading();
        assert!(!health.accepts());
        health.ready();
        assert!(health.accepts());
        health.drain();
        health.ready();
        assert_eq!(health.status(), Status::Draining);
        assert!(health.accepts(), "requests are taken until endpoints have vanished");
        health.refuse();
        assert!(!health.accepts());
        health.fail("broken".into());
        health.drain();
        assert_eq!((health.status(), health.message()), (Status::Failed, Some("broken".into())));
    }

    #[test]
    fn a_broken_reload_shows_and_goes() {
        let health = Health::loading();
        health.ready();
        health.set_reload_problem(Some("tenants.json: line 1".into()));
        assert_eq!(
            (health.status(), health.message()),
            (Status::Ok, Some("tenants.json: line 1".into()))
        );
        health.set_reload_problem(None);
        assert_eq!(health.message(), None);
    }
}
