//! From keys and models to the status of a RealmTenant. Pure; it never shows a key or a whole hash.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;
use realm_crds::{
    RealmTenant, RealmTenantStatus,
    condition::{self, Truth, Verdict},
    realm_tenant::{KeyStatus, ModelStatus},
    resolve::{KeyHashes, KeyRef, limits_entry},
    validation::InvalidManifest,
};

use crate::programmed::{PREPARING, ProgrammedModel};

/// Digits of a key's hash that are shown.
const HASH_PREFIX_DIGITS: usize = 8;

/// What is known about a model that a tenant names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelFacts {
    /// There is no such model.
    Missing,
    /// What its pods were given and confirmed.
    Programmed(ProgrammedModel),
}

/// Everything that a status is computed from.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The resource.
    pub tenant: &'a RealmTenant,
    /// Its namespace.
    pub namespace: &'a str,
    /// Hashes of its keys.
    pub hashes: &'a KeyHashes,
    /// Its models by name.
    pub models: &'a BTreeMap<String, ModelFacts>,
    /// The present.
    pub now: Timestamp,
}

/// The status.
#[must_use]
pub fn observe(observed: &Observed<'_>) -> RealmTenantStatus {
    let tenant = observed.tenant;
    let keys = keys(observed);
    let models: Vec<ModelStatus> =
        tenant.spec.models.iter().map(|model| model_status(observed, &model.name)).collect();
    let synced = models.iter().filter(|model| model.synced).count();
    let old = tenant.status.clone().unwrap_or_default();
    let verdicts = verdicts(observed, &keys, &models);
    RealmTenantStatus {
        observed_generation: tenant.metadata.generation,
        keys_found: Some(format!("{}/{}", keys.len(), tenant.spec.api_keys.len())),
        models_synced: Some(format!("{synced}/{}", models.len())),
        models,
        keys,
        conditions: condition::merge(
            &old.conditions,
            verdicts,
            tenant.metadata.generation,
            observed.now,
        ),
    }
}

/// The status of a tenant whose spec cannot be used.
#[must_use]
pub fn refused(tenant: &RealmTenant, error: &InvalidManifest, now: Timestamp) -> RealmTenantStatus {
    let old = tenant.status.clone().unwrap_or_default();
    let why = error.to_string();
    let verdicts = vec![
        Verdict::new(condition::ACCEPTED, false, "InvalidSpec", &why),
        Verdict::new(condition::READY, false, "NotAccepted", &why),
    ];
    let conditions = condition::merge(&old.conditions, verdicts, tenant.metadata.generation, now);
    RealmTenantStatus { observed_generation: tenant.metadata.generation, conditions, ..old }
}

fn keys(observed: &Observed<'_>) -> Vec<KeyStatus> {
    let name = observed.tenant.name_any();
    let status = |key: &realm_crds::realm_tenant::ApiKey| {
        let place = KeyRef { namespace: observed.namespace.to_owned(), secret: key.secret(&name) };
        let hash = observed.hashes.get(&place)?;
        Some(KeyStatus {
            name: key.name.clone(),
            secret: place.secret.name,
            hash_prefix: hash.chars().take(HASH_PREFIX_DIGITS).collect(),
            generated: key.generate,
        })
    };
    observed.tenant.spec.api_keys.iter().filter_map(status).collect()
}

fn model_status(observed: &Observed<'_>, name: &str) -> ModelStatus {
    let row = |accepted, reason: &str, synced| ModelStatus {
        name: name.to_owned(),
        accepted,
        reason: reason.to_owned(),
        synced,
    };
    let Some(ModelFacts::Programmed(model)) = observed.models.get(name) else {
        return row(false, "ModelNotFound", false);
    };
    match (has_tenant(observed, model), model.served.as_deref() == Some(&model.version)) {
        (true, true) => row(true, "Synced", true),
        (true, false) => row(true, "PodsBehind", false),
        (false, _) => row(true, "NotProgrammed", false),
    }
}

/// Whether the model's table holds exactly this tenant's keys and settings.
fn has_tenant(observed: &Observed<'_>, model: &ProgrammedModel) -> bool {
    let name = observed.tenant.name_any();
    let Some(entry) = model.tenants.iter().find(|entry| entry.name == name) else { return false };
    let place = |key: &realm_crds::realm_tenant::ApiKey| KeyRef {
        namespace: observed.namespace.to_owned(),
        secret: key.secret(&name),
    };
    let wanted =
        observed.tenant.spec.api_keys.iter().filter_map(|key| {
            Some((&key.name, observed.hashes.get(&place(key))?, &key.expires_at))
        });
    let spec = &observed.tenant.spec;
    entry.suspended == spec.suspend
        && (entry.weight, entry.class) == (spec.weight, spec.class)
        && entry.limits == limits_entry(&spec.limits)
        && entry.program == spec.program
        && wanted.eq(entry.keys.iter().map(|key| (&key.name, &key.sha256, &key.expires_at)))
}

fn verdicts(observed: &Observed<'_>, keys: &[KeyStatus], models: &[ModelStatus]) -> Vec<Verdict> {
    let tenant = observed.tenant;
    let missing: Vec<&str> =
        models.iter().filter(|model| !model.accepted).map(|model| &*model.name).collect();
    let unread: Vec<&str> = tenant
        .spec
        .api_keys
        .iter()
        .map(|key| key.name.as_str())
        .filter(|name| keys.iter().all(|key| key.name != *name))
        .collect();
    let behind: Vec<&str> =
        models.iter().filter(|model| !model.synced).map(|model| &*model.name).collect();
    let refs = verdict(
        condition::RESOLVED_REFS,
        &missing,
        "ModelNotFound",
        "no RealmModel of this namespace is named",
    );
    let found = verdict(
        condition::KEYS_READY,
        &unread,
        "KeyUnusable",
        "no usable key of at least 16 visible characters in the Secret for",
    );
    let programmed = verdict(
        condition::PROGRAMMED,
        &behind,
        "PodsBehind",
        "not every pod reports the newest keys of model",
    );
    let program = tenant.spec.program.as_ref().map(|_| program(observed, &behind));
    let reason = [&refs, &found, &programmed]
        .into_iter()
        .chain(&program)
        .find(|verdict| verdict.truth != condition::Truth::True)
        .cloned();
    let ready = match reason {
        Some(cause) => Verdict { kind: condition::READY, ..cause },
        None if tenant.spec.suspend => Verdict::new(
            condition::READY,
            false,
            "Suspended",
            "spec.suspend is true: every pod refuses the tenant's requests",
        ),
        None => Verdict::new(condition::READY, true, "Synced", "every key works at every model"),
    };
    let accepted = Verdict::new(condition::ACCEPTED, true, "Accepted", "the spec can be used");
    [accepted, refs, found, programmed, ready].into_iter().chain(program).collect()
}

/// Whether the tenant's program runs in every pod of its models. Pods that are behind speak of an older one.
fn program(observed: &Observed<'_>, behind: &[&str]) -> Verdict {
    let verdict = |truth, reason, message: String| {
        Verdict::new(condition::PROGRAM_READY, truth, reason, message)
    };
    if !behind.is_empty() {
        let message = format!("not every pod reports the newest settings of {}", behind.join(", "));
        return verdict(Truth::Unknown, "PodsBehind", message);
    }
    let name = observed.tenant.name_any();
    let idle = || {
        observed.models.iter().filter_map(|(model, facts)| match facts {
            ModelFacts::Programmed(programmed) => Some((model, &programmed.idle)),
            ModelFacts::Missing => None,
        })
    };
    let known = idle().find_map(|(model, idle)| Some((model, idle.known.get(&name)?)));
    match known {
        Some((model, report)) if report.state == PREPARING => {
            let message = format!("a pod of {model} fetches, checks or compiles the program");
            verdict(Truth::False, "ProgramPreparing", message)
        }
        Some((model, report)) => {
            let message = format!("a pod of {model} does not run it: {}", report.message);
            verdict(Truth::False, "ProgramNotRun", message)
        }
        None if idle().any(|(_, idle)| idle.more) => {
            let message = "more programs do not run than the pods name; this may be one of them";
            verdict(Truth::Unknown, "NotReported", message.to_owned())
        }
        None => verdict(Truth::True, "Running", "the program runs in every pod".to_owned()),
    }
}

fn verdict(kind: &'static str, wrong: &[&str], reason: &'static str, message: &str) -> Verdict {
    if wrong.is_empty() {
        return Verdict::new(kind, true, "Ok", "as asked for");
    }
    Verdict::new(kind, false, reason, format!("{message} {}", wrong.join(", ")))
}
