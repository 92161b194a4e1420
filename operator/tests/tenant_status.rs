//! From a tenant and what the pods of its model were given to its status: synced only with exactly these settings.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use realm_crds::{
    RealmTenant, RealmTenantStatus, condition,
    realm_tenant::TenantClass,
    resolve::{KeyHashes, KeyRef, tenant_table},
};
use realm_operator::{
    health::Health,
    programmed::{IdlePrograms, ProgrammedModel},
    tenant::status::{ModelFacts, Observed, observe},
};
use serde_json::json;

fn tenant() -> RealmTenant {
    serde_json::from_value(json!({
        "apiVersion": "realm.querent.io/v1alpha1", "kind": "RealmTenant",
        "metadata": {"name": "acme", "namespace": "ns", "generation": 1},
        "spec": {
            "models": [{"name": "m"}], "apiKeys": [{"name": "main", "generate": true}],
            "program": {"url": "https://example.com/p.wasm", "sha256": "a".repeat(64)}
        }
    }))
    .unwrap()
}

fn hashes(tenant: &RealmTenant) -> KeyHashes {
    let secret = tenant.spec.api_keys[0].secret("acme");
    KeyHashes::from([(KeyRef { namespace: "ns".to_owned(), secret }, "b".repeat(64))])
}

/// The status when the pods hold what `programmed` resolves to and say this of programs.
fn status(
    tenant: &RealmTenant,
    programmed: &RealmTenant,
    confirmed: bool,
    idle: IdlePrograms,
) -> RealmTenantStatus {
    let hashes = hashes(tenant);
    let table = tenant_table("ns", "m", std::slice::from_ref(programmed), &hashes).0;
    let served = confirmed.then(|| table.version.clone());
    let model = ProgrammedModel { version: table.version, tenants: table.tenants, served, idle };
    let models = BTreeMap::from([("m".to_owned(), ModelFacts::Programmed(model))]);
    observe(&Observed {
        tenant,
        namespace: "ns",
        hashes: &hashes,
        models: &models,
        now: Timestamp::UNIX_EPOCH,
    })
}

fn truth(status: &RealmTenantStatus, kind: &str) -> Option<(String, String)> {
    let found = status.conditions.iter().find(|found| found.type_ == kind)?;
    Some((found.status.clone(), found.reason.clone()))
}

/// The reason at the model, and the truth of `Ready`.
fn told(tenant: &RealmTenant, programmed: &RealmTenant, confirmed: bool) -> (String, String) {
    let status = status(tenant, programmed, confirmed, IdlePrograms::default());
    (status.models[0].reason.clone(), truth(&status, condition::READY).unwrap().0)
}

/// What pods that give these health documents say.
fn idle(pods: &[serde_json::Value]) -> IdlePrograms {
    let pods: Vec<Health> =
        pods.iter().map(|pod| serde_json::from_value(pod.clone()).unwrap()).collect();
    IdlePrograms::gather("ns", pods.iter())
}

/// Guards "ready when it is not": with a program that is not run, requests are refused.
#[test]
fn a_tenant_is_ready_only_when_its_program_runs_in_every_pod() {
    let wanted = tenant();
    let said = |name: &str, namespace: &str, state: &str| json!({"programs": [{"namespace": namespace, "name": name, "state": state, "message": "too large"}]});
    let cases = [
        (vec![json!({})], true, "True", "Running", "True"),
        (vec![said("acme", "ns", "Preparing")], true, "False", "ProgramPreparing", "False"),
        (vec![json!({}), said("acme", "ns", "Refused")], true, "False", "ProgramNotRun", "False"),
        (
            vec![said("acme", "ns", "Preparing"), said("acme", "ns", "Refused")],
            true,
            "False",
            "ProgramNotRun",
            "False",
        ),
        (vec![said("other", "ns", "Refused")], true, "True", "Running", "True"),
        (vec![said("acme", "elsewhere", "Refused")], true, "True", "Running", "True"),
        (vec![json!({"programsOmitted": 3})], true, "Unknown", "NotReported", "Unknown"),
        (vec![json!({})], false, "Unknown", "PodsBehind", "False"),
    ];
    for (pods, confirmed, program, reason, ready) in cases {
        let status = status(&wanted, &wanted, confirmed, idle(&pods));
        let found = truth(&status, condition::PROGRAM_READY).unwrap();
        assert_eq!(found, (program.to_owned(), reason.to_owned()), "{pods:?}");
        assert_eq!(truth(&status, condition::READY).unwrap().0, ready, "{pods:?}");
    }
    let mut without = wanted.clone();
    without.spec.program = None;
    let status = status(&without, &without, true, IdlePrograms::default());
    assert_eq!(truth(&status, condition::PROGRAM_READY), None);
}

#[test]
fn a_tenant_is_synced_only_with_the_settings_that_the_pods_confirm() {
    let pair = |reason: &str, ready: &str| (reason.to_owned(), ready.to_owned());
    let wanted = tenant();
    assert_eq!(told(&wanted, &wanted, true), pair("Synced", "True"));
    assert_eq!(told(&wanted, &wanted, false), pair("PodsBehind", "False"));
    let changes: [fn(&mut RealmTenant); 6] = [
        |tenant| tenant.spec.suspend = true,
        |tenant| tenant.spec.weight = 7,
        |tenant| tenant.spec.class = TenantClass::Batch,
        |tenant| tenant.spec.limits.max_queued = 1,
        |tenant| tenant.spec.program = None,
        |tenant| tenant.spec.program.as_mut().unwrap().sha256 = "c".repeat(64),
    ];
    for change in changes {
        let mut older = wanted.clone();
        change(&mut older);
        assert_eq!(told(&wanted, &older, true), pair("NotProgrammed", "False"), "{:?}", older.spec);
    }
}
