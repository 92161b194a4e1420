//! From manifests to what an engine-server reads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of a test fails the test")]

use std::collections::BTreeSet;

use expect_test::expect;
use realm_crds::{
    LimitsEntry, RealmModel, RealmTenant, TenantEntry,
    realm_model::SecretKey,
    realm_tenant::{TenantClass, program::TenantProgram},
    resolve::{
        BadApiKey, KeyHashes, KeyProblem, KeyRef, ResolveError, hash_api_key, key_refs, resolve,
        tenant_table,
    },
};
use serde_json::json;

fn model(source: &str) -> RealmModel {
    let yaml = format!(
        "{{apiVersion: realm.querent.io/v1alpha1, kind: RealmModel, metadata: {{name: m, namespace: ns, generation: 3}}, spec: {{source: {source}}}}}"
    );
    serde_saphyr::from_str(&yaml).unwrap()
}

fn tenant(name: &str, models: &str, keys: &str) -> RealmTenant {
    let yaml = format!(
        "{{apiVersion: realm.querent.io/v1alpha1, kind: RealmTenant, metadata: {{name: {name}, namespace: ns}}, spec: {{models: {models}, apiKeys: {keys}}}}}"
    );
    serde_saphyr::from_str(&yaml).unwrap()
}

fn place(name: &str, key: &str) -> KeyRef {
    KeyRef {
        namespace: "ns".to_owned(),
        secret: SecretKey { name: name.to_owned(), key: key.to_owned() },
    }
}

#[test]
fn defaults_are_resolved_and_the_source_keeps_its_form() {
    let model = model("{huggingFace: {repo: a/b, file: x.gguf}}");
    let resolved = resolve(&model, &[], &KeyHashes::new()).unwrap();
    let json = serde_json::to_string_pretty(&resolved.engine).unwrap();
    expect![[r#"
        {
          "namespace": "ns",
          "resource": "m",
          "generation": 3,
          "servedName": "m",
          "aliases": [],
          "source": {
            "huggingFace": {
              "repo": "a/b",
              "file": "x.gguf",
              "revision": "main"
            }
          },
          "engine": {
            "parallel": 4,
            "batchTokens": 512,
            "prefillTokens": 128,
            "kvCacheType": "F16",
            "speculation": {
              "mode": "Auto",
              "maxDraftTokens": 8
            }
          },
          "anonymous": false,
          "drainTimeoutSeconds": 120
        }"#]]
    .assert_eq(&json);
    assert_eq!(serde_json::from_str::<realm_crds::EngineConfig>(&json).unwrap(), resolved.engine);
}

#[test]
fn mounted_sources_name_their_file() {
    for (source, file) in [
        ("{pvc: {claimName: c, path: a/b.gguf}}", Some("/var/lib/realm/source/a/b.gguf")),
        ("{image: {reference: r, path: b.gguf}}", Some("/var/lib/realm/source/b.gguf")),
        ("{huggingFace: {repo: a/b, file: x.gguf}}", None),
    ] {
        let resolved = resolve(&model(source), &[], &KeyHashes::new()).unwrap();
        assert_eq!(resolved.engine.source.mounted_file().as_deref(), file, "{source}");
    }
}

#[test]
fn a_refused_model_names_the_field() {
    let error = resolve(&model("{}"), &[], &KeyHashes::new()).unwrap_err();
    assert!(matches!(error, ResolveError::Invalid(_)));
    let wanted =
        "RealmModel m is invalid: spec.source: set exactly one of huggingFace, http, pvc and image";
    assert_eq!(error.to_string(), wanted);
}

#[test]
fn tables_hold_hashes_and_name_what_is_missing_or_shared() {
    let tenants = [
        tenant("b", "[{name: m}]", "[{name: k, secretKeyRef: {name: s, key: x}}]"),
        tenant("a", "[{name: m}]", "[{name: one, generate: true}, {name: two, generate: true}]"),
        tenant("other", "[{name: another}]", "[{name: k, generate: true}]"),
    ];
    let places = key_refs("ns", "m", &tenants);
    assert_eq!(places, [place("a-one", "apiKey"), place("a-two", "apiKey"), place("s", "x")]);
    let hashes: KeyHashes =
        [(place("a-one", "apiKey"), "h".to_owned()), (place("s", "x"), "h".to_owned())].into();
    let (table, problems) = tenant_table("ns", "m", &tenants, &hashes);
    let names: Vec<(&str, usize)> =
        table.tenants.iter().map(|entry| (&*entry.name, entry.keys.len())).collect();
    assert_eq!(names, [("a", 1), ("b", 0)]);
    assert_eq!(
        problems,
        [
            KeyProblem::Missing {
                tenant: "a".into(),
                key: "two".into(),
                place: place("a-two", "apiKey")
            },
            KeyProblem::Shared { tenant: "b".into(), key: "k".into(), holder: "a".into() },
        ]
    );
}

#[test]
fn settings_of_a_tenant_are_resolved() {
    let yaml = "{apiVersion: realm.querent.io/v1alpha1, kind: RealmTenant, metadata: {name: t, namespace: ns}, spec: \
        {models: [{name: m}], weight: 300, class: Realtime, limits: {requestsPerMinute: 60, tokensPerDay: 1000000, \
        maxQueued: 8, kvBytes: 1.5Mi}, apiKeys: [{name: k, generate: true, expiresAt: '2027-01-31T00:00:00Z'}]}}";
    let tenant: RealmTenant = serde_saphyr::from_str(yaml).unwrap();
    tenant.validate().unwrap();
    let hashes: KeyHashes = [(place("t-k", "apiKey"), "h".to_owned())].into();
    let (table, problems) = tenant_table("ns", "m", &[tenant], &hashes);
    assert_eq!(problems, []);
    let json = serde_json::to_string(&table.tenants).unwrap();
    expect![[r#"[{"namespace":"ns","name":"t","suspended":false,"weight":300,"class":"Realtime","limits":{"requestsPerMinute":60,"tokensPerDay":1000000,"maxConcurrent":4,"maxQueued":8,"kvBytes":1572864},"keys":[{"name":"k","sha256":"h","expiresAt":"2027-01-31T00:00:00Z"}]}]"#]]
    .assert_eq(&json);
    assert_eq!(serde_json::from_str::<Vec<TenantEntry>>(&json).unwrap(), table.tenants);
}

#[test]
fn a_table_of_an_older_operator_reads_with_the_defaults_of_a_manifest() {
    let old =
        r#"{"namespace":"ns","name":"a","suspended":false,"keys":[{"name":"k","sha256":"h"}]}"#;
    let old: TenantEntry = serde_json::from_str(old).unwrap();
    let hashes: KeyHashes = [(place("a-k", "apiKey"), "h".to_owned())].into();
    let new = tenant("a", "[{name: m}]", "[{name: k, generate: true}]");
    assert_eq!(tenant_table("ns", "m", &[new], &hashes).0.tenants, [old]);
    let unlimited = serde_json::to_string(&LimitsEntry::NONE).unwrap();
    assert_eq!(serde_json::from_str::<LimitsEntry>(&unlimited).unwrap(), LimitsEntry::NONE);
}

fn program(policy: &str) -> TenantProgram {
    let program = json!({"url": "http://h/p", "sha256": "a".repeat(64), "failurePolicy": policy});
    serde_json::from_value(program).unwrap()
}

#[test]
fn versions_differ_when_tables_do() {
    let version =
        |tenants: &[RealmTenant]| tenant_table("ns", "m", tenants, &KeyHashes::new()).0.version;
    let active = tenant("a", "[{name: m}]", "[{name: k, generate: true}]");
    let mut suspended = active.clone();
    suspended.spec.suspend = true;
    let with = |change: fn(&mut RealmTenant)| {
        let mut tenant = active.clone();
        change(&mut tenant);
        version(&[tenant])
    };
    let versions = BTreeSet::from([
        version(&[]),
        version(std::slice::from_ref(&active)),
        version(&[suspended]),
        with(|tenant| tenant.spec.weight = 101),
        with(|tenant| tenant.spec.class = TenantClass::Batch),
        with(|tenant| tenant.spec.limits.max_queued = 33),
        with(|tenant| tenant.spec.limits.tokens_per_day = Some(5)),
        with(|tenant| tenant.spec.program = Some(program("Closed"))),
        with(|tenant| tenant.spec.program = Some(program("Open"))),
    ]);
    assert_eq!(versions.len(), 9);
    assert_eq!(version(std::slice::from_ref(&active)), version(&[active]));
}

#[test]
fn api_keys_are_trimmed_and_checked() {
    let key = b"0123456789abcdef";
    assert_eq!(hash_api_key(key), hash_api_key(b" 0123456789abcdef\n"));
    assert_eq!(
        hash_api_key(key).unwrap(),
        "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f"
    );
    assert_eq!(hash_api_key(b"\n"), Err(BadApiKey::Short(0)));
    assert_eq!(hash_api_key(&[b'x'; 513]), Err(BadApiKey::Long(513)));
    assert_eq!(hash_api_key(b"0123456789 abcdef"), Err(BadApiKey::Characters));
    assert_eq!(hash_api_key("0123456789abcdé0".as_bytes()), Err(BadApiKey::Characters));
}
