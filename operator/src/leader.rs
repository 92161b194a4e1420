//! Leader election with a Lease: only its holder reconciles.
//!
//! A holder that dies is told by its Lease not changing for 15 s of the observer's own clock, so clocks need not agree.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, api::PostParams};
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

/// Name of the Lease.
pub const LEASE: &str = "realm-operator";
/// A Lease that does not change for so long has no holder any more.
const LEASE_SECONDS: i32 = 15;
/// A holder that cannot renew for so long stops, before others may take over.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two attempts.
const RETRY: Duration = Duration::from_secs(2);

/// One candidate.
#[derive(Clone, Debug)]
pub struct Candidate {
    api: Api<Lease>,
    identity: String,
    seen: Option<(LeaseSpec, Instant)>,
}

/// What a look at the Lease allows.
#[derive(Clone, Debug, PartialEq)]
enum Claim {
    Create,
    Replace(Box<Lease>),
    Wait,
}

impl Candidate {
    /// A candidate with an identity of its own.
    #[must_use]
    pub fn new(api: Api<Lease>, identity: String) -> Self {
        Self { api, identity, seen: None }
    }

    /// Returns when this candidate holds the Lease.
    pub async fn acquire(&mut self) {
        info!(identity = self.identity, "waiting for the lease");
        loop {
            match timeout(RENEW_DEADLINE, self.attempt()).await {
                Ok(Ok(true)) => break info!(identity = self.identity, "holds the lease"),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => warn!(%error, "the lease could not be read or written"),
                Err(_) => warn!("the API server does not answer"),
            }
            sleep(RETRY).await;
        }
    }

    /// Renews the Lease and returns when it is lost.
    pub async fn hold(&mut self) {
        let mut renewed = Instant::now();
        loop {
            sleep(RETRY).await;
            let left = RENEW_DEADLINE.saturating_sub(renewed.elapsed());
            match timeout(left, self.attempt()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return warn!("the lease has another holder"),
                Ok(Err(error)) => warn!(%error, "the lease could not be renewed"),
                Err(_) => return warn!("the lease could not be renewed in time"),
            }
            if renewed.elapsed() >= RENEW_DEADLINE {
                return warn!("the lease could not be renewed in time");
            }
        }
    }

    /// Gives the Lease back, so that the next holder need not wait.
    pub async fn release(&self) -> Result<(), kube::Error> {
        let Some(mut lease) = self.api.get_opt(LEASE).await? else { return Ok(()) };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(());
        }
        spec.holder_identity = None;
        spec.lease_duration_seconds = Some(1);
        self.api.replace(LEASE, &PostParams::default(), &lease).await?;
        info!("gave the lease back");
        Ok(())
    }

    /// Takes or renews the Lease; says whether it is held now.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let found = self.api.get_opt(LEASE).await?;
        let params = PostParams::default();
        let written = match self.claim(found, Instant::now(), Timestamp::now()) {
            Claim::Wait => return Ok(false),
            Claim::Create => {
                let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() };
                let spec = Some(self.spec(None, Timestamp::now()));
                self.api.create(&params, &Lease { metadata, spec }).await
            }
            Claim::Replace(lease) => self.api.replace(LEASE, &params, &lease).await,
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn claim(&mut self, found: Option<Lease>, clock: Instant, now: Timestamp) -> Claim {
        let Some(mut lease) = found else { return Claim::Create };
        let spec = lease.spec.clone().unwrap_or_default();
        let holder = spec.holder_identity.clone().unwrap_or_default();
        let since = match &self.seen {
            Some((seen, since)) if *seen == spec => *since,
            _ => clock,
        };
        self.seen = Some((spec.clone(), since));
        let length =
            Duration::from_secs(spec.lease_duration_seconds.unwrap_or(LEASE_SECONDS).max(1) as u64);
        let free =
            holder.is_empty() || holder == self.identity || clock.duration_since(since) >= length;
        if !free {
            return Claim::Wait;
        }
        lease.spec = Some(self.spec(Some(spec), now));
        Claim::Replace(Box::new(lease))
    }

    /// The Lease as this candidate writes it.
    fn spec(&self, old: Option<LeaseSpec>, now: Timestamp) -> LeaseSpec {
        let old = old.unwrap_or_default();
        let renewal = old.holder_identity.as_deref() == Some(&self.identity);
        let transitions = old.lease_transitions.unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            acquire_time: if renewal { old.acquire_time } else { Some(MicroTime(now)) },
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(if renewal { transitions } else { transitions + 1 }),
            ..LeaseSpec::default()
        }
    }
}
