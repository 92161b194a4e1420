//! Asks pods what they serve. The only file that calls engine-servers; it must not judge the answers.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Pod;
use realm_crds::names::MANAGEMENT_PORT;
use serde::Deserialize;
use tokio::sync::Semaphore;

/// Time for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Largest answer that is read.
const ANSWER_MAX_BYTES: usize = 64 * 1024;
/// Pods of one model asked at the same time.
const PARALLEL_PER_MODEL: usize = 8;
/// Pods of all models asked at the same time.
const PARALLEL_TOTAL: usize = 64;

/// The health document of an engine-server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// `ok`, `loading`, `draining` or `failed`.
    pub status: String,
    /// Generation of the engine settings in use.
    pub generation: i64,
    /// SHA-256 of the file in use.
    pub digest: String,
    /// Version of the tenant table in use.
    pub tenants_version: String,
    /// Format of the weights.
    pub quantization: String,
    /// Number of parameters.
    pub parameters: i64,
    /// Tokens of one sequence.
    pub context_length: i64,
    /// Size of the file in bytes.
    pub file_bytes: i64,
    /// What is wrong, when something is.
    pub message: String,
    /// Tenants' programs that do not run.
    pub programs: Vec<ProgramReport>,
    /// Further ones, which the document has no room for.
    pub programs_omitted: u32,
}

/// A tenant's program that does not run in a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ProgramReport {
    /// Namespace of the tenant.
    pub namespace: String,
    /// Name of the tenant.
    pub name: String,
    /// `Preparing`, `Refused` or `Suspended`.
    pub state: String,
    /// More of the cause.
    pub message: String,
}

/// Why a pod gave no health document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HealthError {
    /// It has no address yet.
    #[error("the pod has no address yet")]
    NoAddress,
    /// It did not answer.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// Its answer is too long.
    #[error("the answer is longer than {ANSWER_MAX_BYTES} bytes")]
    TooLong,
    /// Its answer is no health document.
    #[error("the answer is no health document: {0}")]
    Malformed(String),
}

/// What one pod said about itself.
#[derive(Clone, Debug)]
pub struct PodReport {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Its answer.
    pub health: Result<Health, HealthError>,
}

/// Asks pods, a bounded number at a time.
#[derive(Clone, Debug)]
pub struct HealthClient {
    http: reqwest::Client,
    permits: Arc<Semaphore>,
}

impl HealthClient {
    /// A client that keeps few idle connections and follows no redirect.
    pub fn new() -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .timeout(ANSWER_TIMEOUT)
            .connect_timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()?;
        Ok(Self { http, permits: Arc::new(Semaphore::new(PARALLEL_TOTAL)) })
    }

    /// The reports of `pods`, in their order.
    pub async fn ask(&self, pods: Vec<Arc<Pod>>) -> Vec<PodReport> {
        stream::iter(pods)
            .map(|pod| async move { PodReport { health: self.ask_pod(&pod).await, pod } })
            .buffered(PARALLEL_PER_MODEL)
            .collect()
            .await
    }

    async fn ask_pod(&self, pod: &Pod) -> Result<Health, HealthError> {
        let address = pod
            .status
            .as_ref()
            .and_then(|status| status.pod_ip.as_deref())
            .filter(|ip| !ip.is_empty());
        let url = health_url(address.ok_or(HealthError::NoAddress)?);
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|error| HealthError::NoAnswer(error.to_string()))?;
        let no_answer =
            |error: reqwest::Error| HealthError::NoAnswer(error.without_url().to_string());
        let mut response = self.http.get(url).send().await.map_err(no_answer)?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(no_answer)? {
            if body.len() + piece.len() > ANSWER_MAX_BYTES {
                return Err(HealthError::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        serde_json::from_slice(&body).map_err(|error| HealthError::Malformed(error.to_string()))
    }
}

/// Address of a pod's health document; an IPv6 address needs brackets.
fn health_url(address: &str) -> String {
    if address.contains(':') {
        format!("http://[{address}]:{MANAGEMENT_PORT}/health")
    } else {
        format!("http://{address}:{MANAGEMENT_PORT}/health")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_both_address_families() {
        assert_eq!(health_url("10.1.2.3"), "http://10.1.2.3:8081/health");
        assert_eq!(health_url("fd00::1"), "http://[fd00::1]:8081/health");
    }
}
