//! The same manifests, the same verdict: `tests/manifests.json` lists what an API server with our CRDs admits and
//! refuses, with the words of the refusal; `validate` must say the same. The cluster tests feed the file to a real one.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

use realm_crds::{RealmModel, RealmTenant};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Case {
    refusal: Option<String>,
    manifest: Manifest,
}

#[derive(Deserialize)]
struct Manifest {
    kind: String,
    name: String,
    spec: Value,
}

/// The refusal of a manifest: by its type, or by `validate`.
fn refusal(manifest: &Manifest) -> Option<String> {
    fn read<K: DeserializeOwned>(manifest: &Manifest) -> Result<K, String> {
        let object = json!({
            "apiVersion": "realm.querent.io/v1alpha1",
            "kind": manifest.kind,
            "metadata": { "name": manifest.name, "namespace": "default" },
            "spec": manifest.spec,
        });
        serde_json::from_value(object).map_err(|error| format!("type: {error}"))
    }
    let verdict = match manifest.kind.as_str() {
        "RealmModel" => read::<RealmModel>(manifest)
            .and_then(|model| model.validate().map_err(|error| error.to_string())),
        "RealmTenant" => read::<RealmTenant>(manifest)
            .and_then(|tenant| tenant.validate().map_err(|error| error.to_string())),
        kind => Err(format!("unknown kind {kind}")),
    };
    verdict.err()
}

#[test]
fn laptop_and_cluster_say_the_same() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("manifests.json")).unwrap();
    assert!(cases.len() >= 50);
    for Case { refusal: wanted, manifest } in cases {
        let given = refusal(&manifest);
        match (&wanted, &given) {
            (None, None) => {}
            (Some(_), Some(given)) if given.starts_with("type: ") => {}
            (Some(wanted), Some(given)) if given.contains(wanted.as_str()) => {}
            _ => panic!("{} {}: wanted {wanted:?}, got {given:?}", manifest.kind, manifest.spec),
        }
    }
}

#[test]
fn examples_are_valid() {
    let model = include_str!("../../manifests/examples/realmmodel.yaml");
    let model: RealmModel = serde_saphyr::from_str(model).unwrap();
    model.validate().unwrap();
    let tenant = include_str!("../../manifests/examples/realmtenant.yaml");
    let tenant: RealmTenant = serde_saphyr::from_str(tenant).unwrap();
    tenant.validate().unwrap();
    assert!(
        tenant.wants_model(model.metadata.name.as_deref().unwrap()),
        "the example tenant uses the example model"
    );
}
