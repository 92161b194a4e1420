//! A tenant's program, named in its manifest, answers for that tenant in the model's running pod; its removal too takes
//! effect without a new pod.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the guests of the sandbox's tests fail the test by panicking"
)]

#[allow(
    dead_code,
    clippy::format_collect,
    reason = "the sandbox's own tests use more of it; texts of guests are not large"
)]
#[path = "../../sandbox/tests/sandbox/guests.rs"]
mod guests;

use anyhow::{Result, ensure};
use realm_crds::{
    condition,
    names::{GENERATED_KEY, generated_secret},
};
use realm_tests::{
    mirror::Mirror,
    namespace::Namespace,
    probe::Probe,
    realm::{EXAMPLE, READY_LIMIT, await_ready, chat_url, condition_of, example, holds, question},
    wait::{Seen, await_condition},
    with_realm,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use guests::Guest;

const WORDS: &str = "closed by the program";

#[test]
fn a_tenants_program_runs_in_the_pods_that_are_there() -> Result<()> {
    with_realm("program", |namespace| {
        let mut model = example(namespace.cluster)?;
        model["spec"]["access"] = json!({"anonymous": false});
        namespace.apply(&model)?;
        let probe = Probe::start(namespace)?;
        await_ready(namespace, EXAMPLE)?;
        let wasm = Guest::refusing(403, "closed", WORDS).build();
        let digest = hex::encode(Sha256::digest(&wasm));
        let files = Mirror::offer(namespace.cluster, wasm)?;
        namespace.apply(&json!({
            "apiVersion": model["apiVersion"],
            "kind": "RealmTenant",
            "metadata": {"name": "acme"},
            "spec": {
                "models": [{"name": EXAMPLE}], "apiKeys": [{"name": "main", "generate": true}],
                "program": {
                    "url": format!("{}/acme.wasm", files.url), "sha256": digest,
                    // A busy machine of a test does not reach these.
                    "limits": {"hookMillis": 1000, "requestMillis": 5000}
                }
            },
        }))?;
        let ready = |tenant: &serde_json::Value| holds(tenant, condition::READY);
        namespace.await_object("realmtenant", "acme", "Ready", READY_LIMIT, ready)?;
        let pods = pods(namespace)?;

        let url = chat_url(&namespace.service_address(EXAMPLE)?);
        let bearer = format!("Authorization: Bearer {}", key(namespace)?);
        await_condition("the program's refusal", READY_LIMIT, || {
            let answer = probe.post(&url, &question(false), &[&bearer])?;
            let refused = answer.status == 403 && answer.body.contains(WORDS);
            Ok(Seen::when(refused, format!("{} {}", answer.status, answer.body)))
        })?;

        let patch = |spec: serde_json::Value| {
            let patch = json!({"spec": spec}).to_string();
            namespace.kubectl(&["patch", "realmtenant", "acme", "--type=merge", "--patch", &patch])
        };
        patch(json!({"program": {"sha256": "0".repeat(64)}}))?;
        let told = |tenant: &serde_json::Value| {
            let condition = condition_of(tenant, condition::PROGRAM_READY);
            condition.is_some_and(|condition| condition["reason"] == "ProgramNotRun")
                && !holds(tenant, condition::READY)
        };
        namespace.await_object("realmtenant", "acme", "not Ready", READY_LIMIT, told)?;

        patch(json!({"program": null}))?;
        await_condition("an answer without the program", READY_LIMIT, || {
            let answer = probe.post(&url, &question(false), &[&bearer])?;
            Ok(Seen::when(answer.status == 200, format!("{} {}", answer.status, answer.body)))
        })?;
        ensure!(self::pods(namespace)? == pods, "the pods are not those from before");
        Ok(())
    })
}

fn pods(namespace: &Namespace<'_>) -> Result<String> {
    namespace.kubectl(&["get", "pods", "--output", "jsonpath={.items[*].metadata.uid}"])
}

fn key(namespace: &Namespace<'_>) -> Result<String> {
    let template = format!("go-template={{{{.data.{GENERATED_KEY} | base64decode}}}}");
    let secret = generated_secret("acme", "main");
    namespace.kubectl(&["get", "secret", &secret, "--output", &template])
}
