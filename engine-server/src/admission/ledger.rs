//! The accounts of all tenants: what each has used, and its places. They outlive a reload of the tenant table; there are
//! never more of them than tenants.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use super::{
    exceeded::{Exceeded, Limit},
    gate::{Gate, Place, Turn},
    quota::{Quota, Reserved, Standing},
};
use crate::tenant::{Tenant, TenantId};

/// Accounts by tenant.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: Mutex<HashMap<TenantId, Arc<Account>>>,
}

impl Ledger {
    /// The account of a tenant that this server knows.
    pub fn account(&self, tenant: &TenantId) -> Arc<Account> {
        let mut accounts = lock(&self.accounts);
        Arc::clone(accounts.entry(tenant.clone()).or_default())
    }

    /// Keeps the accounts of these tenants only.
    pub fn keep<'a>(&self, tenants: impl Iterator<Item = &'a TenantId>) {
        let known: HashSet<&TenantId> = tenants.collect();
        lock(&self.accounts).retain(|tenant, _| known.contains(tenant));
    }
}

/// The account of one tenant.
#[derive(Debug, Default)]
pub struct Account {
    quota: Mutex<Quota>,
    gate: Arc<Gate>,
}

/// How the limits stand that answers tell in their headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standings {
    /// Requests in a minute.
    pub requests: Option<Standing>,
    /// The limit of tokens of which least is left.
    pub tokens: Option<Standing>,
}

impl Account {
    /// Counts a request.
    pub fn request(&self, tenant: &Tenant, now: Timestamp) -> Result<(), Exceeded> {
        lock(&self.quota).request(&tenant.limits, now)
    }

    /// Counts a prompt and sets `answer` tokens aside, 0 when the request does not say.
    pub fn open(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        now: Timestamp,
        prompt: u64,
        answer: u64,
    ) -> Result<Lease, Exceeded> {
        let reserved = lock(&self.quota).prompt(&tenant.limits, now, prompt, answer)?;
        Ok(Lease {
            account: Arc::clone(self),
            tenant: Arc::clone(tenant),
            prompt,
            reserved,
            place: None,
        })
    }

    /// How the limits stand.
    pub fn standings(&self, tenant: &Tenant, now: Timestamp) -> Standings {
        let mut quota = lock(&self.quota);
        Standings {
            requests: quota.requests(&tenant.limits, now),
            tokens: quota.tokens(&tenant.limits, now),
        }
    }
}

/// What one request holds of its tenant's limits. Dropping it settles, whatever way the request ended.
#[derive(Debug)]
pub struct Lease {
    account: Arc<Account>,
    tenant: Arc<Tenant>,
    /// Prompt tokens to give back if the request ends before its turn.
    prompt: u64,
    reserved: Reserved,
    place: Option<Place>,
}

impl Lease {
    /// Waits until the tenant may have one more request answered.
    pub async fn turn(&mut self) -> Result<(), Exceeded> {
        let count = |limit: Option<u32>| limit.map_or(usize::MAX, |limit| limit as usize);
        let limits = &self.tenant.limits;
        let (places, waiting) = (count(limits.max_concurrent), count(limits.max_queued));
        let full = |waiting: usize| Exceeded {
            limit: Limit::MaxQueued,
            allowed: waiting as u64,
            wanted: 1,
            left: 0,
            retry: None,
        };
        let turn = self.account.gate.ask(places, waiting).map_err(|line| full(line.waiting))?;
        self.place = Some(match turn {
            Turn::Now(place) => place,
            // The gate lives as long as the account, so the line does not end.
            Turn::Later(place) => place.await.map_err(|_| full(waiting))?,
        });
        Ok(())
    }

    /// The prompt is going to be computed: it counts from now on.
    pub fn begun(&mut self) {
        self.prompt = 0;
    }

    /// Counts tokens that an agent reads beside its request's prompt.
    pub fn read(&mut self, now: Timestamp, tokens: u64) -> Result<(), Exceeded> {
        lock(&self.account.quota).read(&self.tenant.limits, now, tokens)
    }

    /// Whether the tenant's limits leave anything for more of the answer.
    pub fn more(&self, now: Timestamp) -> Result<(), Exceeded> {
        lock(&self.account.quota).more(&self.tenant.limits, now, self.reserved)
    }

    /// Counts tokens of the answer.
    pub fn spend(&mut self, now: Timestamp, tokens: usize) {
        let mut quota = lock(&self.account.quota);
        quota.spend(&self.tenant.limits, now, &mut self.reserved, tokens as u64);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let now = Timestamp::now();
        let mut quota = lock(&self.account.quota);
        quota.settle(&self.tenant.limits, now, self.reserved);
        quota.forget_prompt(&self.tenant.limits, now, self.reserved.day, self.prompt);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
