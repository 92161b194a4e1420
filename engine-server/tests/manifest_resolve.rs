//! Good manifests: what the server gets from files, folders, standard input, YAML and JSON.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail the test by panicking"
)]

use std::{os::unix::fs::PermissionsExt, path::PathBuf};

use realm_engine_server::manifest::{
    KeyFolder, ManifestError, Served, Text, parse, read_all, resolve,
};

const ALL: &str = r"
# Everything that kubectl would take as well.
apiVersion: v1
kind: Namespace
metadata: {name: team}
---
apiVersion: realm.querent.io/v1alpha1
kind: RealmModel
metadata: {name: smol, namespace: team, labels: {a: b}}
spec:
  servedName: SmolLM2
  aliases: [gpt-4o]
  source:
    huggingFace: {repo: o/r, file: m.gguf, revision: abc}
  engine: {parallel: 2, contextLength: 1024}
  access: {anonymous: true}
---
---
apiVersion: realm.querent.io/v1alpha1
kind: RealmTenant
metadata: {name: acme, namespace: team}
spec:
  models: [{name: smol}]
  apiKeys:
  - {name: main, secretKeyRef: {name: keys, key: acme}}
  - {name: second, secretKeyRef: {name: keys, key: acme2}}
---
apiVersion: v1
kind: Secret
metadata: {name: keys, namespace: team}
data: {acme: c2stMDEyMzQ1Njc4OWFiY2RlZgo=, acme2: QUFBQQ==}
stringData: {acme2: sk-second-0123456789}
";

fn text(content: &str) -> Vec<Text> {
    vec![Text { name: "all.yaml".into(), content: content.into() }]
}

fn served(content: &str, wanted: Option<&str>) -> Result<Served, ManifestError> {
    parse(&text(content)).and_then(|manifests| resolve(&manifests, wanted, None))
}

#[test]
fn one_file_holds_model_tenant_secret_and_more() {
    let manifests = parse(&text(ALL)).unwrap();
    assert_eq!(
        manifests.warnings,
        [
            "all.yaml:3: Namespace team (document at line 3) skipped: only RealmModel, RealmTenant and Secret mean something here"
        ]
    );
    let resolved = resolve(&manifests, None, None).unwrap().resolved;
    let engine = &resolved.engine;
    assert_eq!(
        (engine.namespace.as_str(), engine.resource.as_str(), engine.served_name.as_str()),
        ("team", "smol", "SmolLM2")
    );
    assert_eq!(
        (engine.engine.parallel, engine.engine.context_length, engine.anonymous),
        (2, Some(1024), true)
    );
    let keys: Vec<_> = resolved.tenants.tenants[0]
        .keys
        .iter()
        .map(|key| (key.name.as_str(), key.sha256.len()))
        .collect();
    assert_eq!(keys, [("main", 64), ("second", 64)]);
    let spelled = serde_json::to_string(&resolved.tenants).unwrap();
    assert!(!spelled.contains("sk-"), "only hashes leave the manifests");
}

#[test]
fn json_and_yaml_mean_the_same() {
    let yaml = served(ALL, None).unwrap().resolved;
    let json = r#"{"apiVersion":"realm.querent.io/v1alpha1","kind":"RealmModel","metadata":{"name":"smol","namespace":"team"},
        "spec":{"servedName":"SmolLM2","aliases":["gpt-4o"],"source":{"huggingFace":{"repo":"o/r","file":"m.gguf","revision":"abc"}},
        "engine":{"parallel":2,"contextLength":1024},"access":{"anonymous":true}}}"#;
    assert_eq!(served(json, None).unwrap().resolved.engine, yaml.engine);
}

#[test]
fn several_models_need_a_choice() {
    let other = ALL
        .replace("name: smol, namespace: team, labels: {a: b}", "name: other, namespace: team")
        .replace("SmolLM2", "Other");
    let start = other.find("apiVersion: realm").unwrap();
    let end = other.find("---\n---").unwrap();
    let two = format!("{ALL}---\n{}", &other[start..end]);
    let error = served(&two, None).unwrap_err().to_string();
    assert!(
        error.contains("2 RealmModels")
            && error.contains("smol, other")
            && error.contains("--model"),
        "{error}"
    );
    for wanted in ["other", "Other"] {
        assert_eq!(served(&two, Some(wanted)).unwrap().resolved.engine.resource, "other");
    }
    let error = served(&two, Some("third")).unwrap_err().to_string();
    assert!(error.contains("no RealmModel `third`") && error.contains("smol, other"), "{error}");
}

#[test]
fn folders_and_standard_input_are_read_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("b.yaml", "b"), ("a.json", "a"), ("c.yml", "c"), ("readme.md", "x")] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let paths = [PathBuf::from("-"), folder.path().to_owned()];
    let texts = read_all(&paths, &mut "in".as_bytes()).unwrap();
    let contents: Vec<_> = texts.iter().map(|text| text.content.as_str()).collect();
    assert_eq!(contents, ["in", "a", "b", "c"]);
}

#[test]
fn a_generated_key_is_shown_once_kept_private_and_stays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyFolder::below(folder.path());
    let manifest = ALL.replace("secretKeyRef: {name: keys, key: acme2}", "generate: true");
    let manifests = parse(&text(&manifest)).unwrap();
    let first = resolve(&manifests, None, Some(&keys)).unwrap();
    let [made] = first.generated.as_slice() else { panic!("one key is made: {first:?}") };
    assert!(made.key.starts_with("rlm_") && made.key.len() == 68, "256 random bits");
    assert!(!format!("{first:?}").contains(&made.key), "a key is never in a debug print");
    assert_eq!(made.path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let second = resolve(&manifests, None, Some(&keys)).unwrap();
    assert!(second.generated.is_empty());
    assert_eq!(second.resolved.tenants, first.resolved.tenants);
    let other =
        resolve(&manifests, None, Some(&KeyFolder::below(&folder.path().join("other")))).unwrap();
    assert_ne!(other.resolved.tenants, first.resolved.tenants);
}
