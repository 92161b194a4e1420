//! From a tenant and what the pods of its model were given to its status: synced only with exactly these settings.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use realm_crds::{
    RealmTenant, condition,
    realm_tenant::TenantClass,
    resolve::{KeyHashes, KeyRef, tenant_table},
};
use realm_operator::{
    programmed::ProgrammedModel,
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

/// The reason at the model, and the truth of `Ready`, when the pods hold what `programmed` resolves to.
fn told(tenant: &RealmTenant, programmed: &RealmTenant, confirmed: bool) -> (String, String) {
    let hashes = hashes(tenant);
    let table = tenant_table("ns", "m", std::slice::from_ref(programmed), &hashes).0;
    let served = confirmed.then(|| table.version.clone());
    let model = ProgrammedModel { version: table.version, tenants: table.tenants, served };
    let models = BTreeMap::from([("m".to_owned(), ModelFacts::Programmed(model))]);
    let status = observe(&Observed {
        tenant,
        namespace: "ns",
        hashes: &hashes,
        models: &models,
        now: Timestamp::UNIX_EPOCH,
    });
    let ready = status.conditions.iter().find(|found| found.type_ == condition::READY).unwrap();
    (status.models[0].reason.clone(), ready.status.clone())
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
