//! The generated definitions: fresh on disk, small enough for client-side apply, complete, and in step with `validate`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

/// `kubectl apply` keeps the whole object in an annotation of at most 256 KiB; ours stay far below.
const CRD_MAX_BYTES: usize = 64 * 1024;

fn definitions() -> [(&'static str, Value); 2] {
    realm_crds::crd::definitions().unwrap()
}

fn schema(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

#[test]
fn files_are_fresh() {
    for (name, content) in realm_crds::crd::files().unwrap() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let on_disk = fs::read_to_string(&path).unwrap_or_default();
        assert!(on_disk == content, "crds/{name} is stale: run `cargo xtask codegen`");
    }
}

#[test]
fn files_hold_the_same_as_the_types() {
    for ((name, content), (_, json)) in
        realm_crds::crd::files().unwrap().into_iter().zip(definitions())
    {
        let read: Value =
            serde_saphyr::from_str(&content).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read, json, "{name}");
    }
}

#[test]
fn definitions_are_small() {
    for (name, json) in definitions() {
        let bytes = json.to_string().len();
        assert!(bytes < CRD_MAX_BYTES, "{name} has {bytes} bytes");
    }
}

#[test]
fn every_field_of_the_spec_is_documented() {
    fn undocumented(schema: &Value, path: &str, out: &mut BTreeSet<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if field["description"].as_str().is_none_or(str::is_empty) {
                out.insert(path.clone());
            }
            undocumented(field, &path, out);
            undocumented(&field["items"], &format!("{path}[]"), out);
        }
    }
    for (_, json) in definitions() {
        let mut out = BTreeSet::new();
        undocumented(&schema(&json)["properties"]["spec"], "spec", &mut out);
        undocumented(&schema(&json)["properties"]["status"], "status", &mut out);
        assert_eq!(out, BTreeSet::new());
    }
}

#[test]
fn every_rule_says_what_to_do() {
    fn rules<'a>(schema: &'a Value, out: &mut Vec<&'a Value>) {
        match schema {
            Value::Object(fields) => {
                out.extend(
                    fields
                        .get("x-kubernetes-validations")
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten(),
                );
                fields.values().for_each(|value| rules(value, out));
            }
            Value::Array(items) => items.iter().for_each(|value| rules(value, out)),
            _ => {}
        }
    }
    let definitions = definitions();
    let mut out = Vec::new();
    for (_, json) in &definitions {
        rules(json, &mut out);
    }
    assert!(out.len() >= 25, "only {} rules", out.len());
    for rule in out {
        assert!(rule["message"].as_str().is_some_and(|message| message.len() > 20), "{rule}");
    }
}

#[test]
fn subresources_and_names() {
    let [(_, model), (_, tenant)] = definitions();
    let version = &model["spec"]["versions"][0];
    assert_eq!(version["subresources"]["scale"]["specReplicasPath"], ".spec.replicas");
    assert_eq!(version["subresources"]["status"], json!({}));
    assert_eq!(model["spec"]["names"]["shortNames"], json!(["rm"]));
    assert_eq!(tenant["spec"]["names"]["shortNames"], json!(["rt"]));
    for definition in [&model, &tenant] {
        assert_eq!(definition["spec"]["names"]["categories"], json!(["realm"]));
        assert_eq!(definition["spec"]["group"], realm_crds::names::GROUP);
        let conditions = &schema(definition)["properties"]["status"]["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]));
    }
}

#[test]
fn defaults_of_the_schema_are_the_defaults_of_the_types() {
    let [(_, model), (_, tenant)] = definitions();
    let limits = &schema(&tenant)["properties"]["spec"]["properties"]["limits"];
    assert_eq!(limits["default"], json!({"maxConcurrent": 4, "maxQueued": 32}));
    let spec = &schema(&model)["properties"]["spec"]["properties"];
    assert_eq!(spec["replicas"]["default"], 1);
    assert_eq!(
        spec["engine"]["default"],
        json!({
            "parallel": 4,
            "batchTokens": 512,
            "prefillTokens": 128,
            "kvCacheType": "F16",
            "speculation": {"mode": "Auto", "maxDraftTokens": 8},
        })
    );
    assert_eq!(
        spec["cache"]["default"],
        json!({"mode": "Ephemeral", "accessMode": "ReadWriteOnce"})
    );
    assert_eq!(spec["rollout"]["default"]["drainTimeout"], "120s");
    assert_eq!(spec["rollout"]["properties"]["maxSurge"]["default"], 1);
    assert_eq!(
        spec["source"]["properties"]["huggingFace"]["properties"]["revision"]["default"],
        "main"
    );
}
