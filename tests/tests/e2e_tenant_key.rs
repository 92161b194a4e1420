//! A model that admits no anonymous request answers a tenant's API key, and no other; an edit of the tenant is in force at
//! once, without a new pod.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use realm_crds::{
    condition,
    names::{GENERATED_KEY, generated_secret},
};
use realm_tests::{
    namespace::Namespace,
    probe::Probe,
    realm::{EXAMPLE, READY_LIMIT, await_ready, chat_url, example, holds, question},
    wait::{Seen, await_condition},
    with_realm,
};
use serde_json::json;

/// Three seconds are the aim, and printed; the machine of a test is busy with other pods.
const IN_FORCE_LIMIT: Duration = Duration::from_mins(1);

#[test]
fn a_tenant_key_opens_a_closed_model() -> Result<()> {
    with_realm("tenant", |namespace| {
        let mut model = example(namespace.cluster)?;
        model["spec"]["access"] = json!({"anonymous": false});
        namespace.apply(&model)?;
        let probe = Probe::start(namespace)?;
        await_ready(namespace, EXAMPLE)?;
        let url = chat_url(&namespace.service_address(EXAMPLE)?);
        let ask = |headers: &[&str]| probe.post(&url, &question(false), headers);
        await_condition("the refusal of an anonymous request", READY_LIMIT, || {
            let answer = ask(&[])?;
            ensure!(answer.status == 0 || answer.status == 401, "anonymous request: {answer:?}");
            Ok(Seen::when(answer.status == 401, answer.error))
        })?;

        namespace.apply(&json!({
            "apiVersion": model["apiVersion"],
            "kind": "RealmTenant",
            "metadata": {"name": "acme"},
            "spec": {"models": [{"name": EXAMPLE}], "apiKeys": [{"name": "main", "generate": true}]},
        }))?;
        let ready = |tenant: &serde_json::Value| holds(tenant, condition::READY);
        namespace.await_object("realmtenant", "acme", "Ready", READY_LIMIT, ready)?;
        let template = format!("go-template={{{{.data.{GENERATED_KEY} | base64decode}}}}");
        let secret = generated_secret("acme", "main");
        let key = namespace.kubectl(&["get", "secret", &secret, "--output", &template])?;
        let bearer = format!("Authorization: Bearer {key}");
        let text = ask(&[&bearer])?.text()?;
        ensure!(text.contains("Paris"), "with the key: {text}");
        ask(&["Authorization: Bearer rlm_wrong"])?.expect_status(401)?;
        ask(&[])?.expect_status(401)?;

        let hidden = namespace.kubectl(&["get", "secrets,configmaps", "--output", "json"])?;
        let stored = hidden.matches(key.as_str()).count();
        ensure!(stored == 0, "the key stands in plain text in {stored} places");

        edits_are_in_force(namespace, || Ok(ask(&[&bearer])?.status))?;

        namespace.kubectl(&["delete", "realmtenant", "acme"])?;
        await_condition("the end of the deleted tenant's key", READY_LIMIT, || {
            let answer = ask(&[&bearer])?;
            Ok(Seen::when(
                answer.status == 401,
                format!("status {} {}", answer.status, answer.error),
            ))
        })
    })
}

/// Edits the tenant, and waits until its key is answered as the edit says. `status` asks once.
fn edits_are_in_force(namespace: &Namespace<'_>, status: impl Fn() -> Result<u16>) -> Result<()> {
    let past = json!([{"name": "main", "generate": true, "expiresAt": "2026-01-01T00:00:00Z"}]);
    for (spec, wanted) in [
        (json!({"suspend": true}), 403),
        (json!({"suspend": false}), 200),
        (json!({"limits": {"requestsPerMinute": 1}}), 429),
        (json!({"apiKeys": past}), 401),
        (json!({"apiKeys": [{"name": "main", "generate": true}], "limits": null}), 200),
    ] {
        let edit = json!({"spec": spec}).to_string();
        let start = Instant::now();
        namespace.kubectl(&[
            "patch",
            "realmtenant",
            "acme",
            "--type",
            "merge",
            "--patch",
            &edit,
        ])?;
        await_condition(&edit, IN_FORCE_LIMIT, || {
            let seen = status()?;
            Ok(Seen::when(seen == wanted, format!("status {seen}")))
        })?;
        println!("{edit}: in force after {:.1} s", start.elapsed().as_secs_f64());
    }
    Ok(())
}
