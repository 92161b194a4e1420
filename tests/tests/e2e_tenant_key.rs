//! A model that admits no anonymous request answers a tenant's API key, and no other.
#![forbid(unsafe_code)]

use anyhow::{Result, ensure};
use realm_crds::{
    condition,
    names::{GENERATED_KEY, generated_secret},
};
use realm_tests::{
    probe::Probe,
    realm::{EXAMPLE, READY_LIMIT, await_ready, chat_url, example, holds, question},
    wait::{Seen, await_condition},
    with_realm,
};
use serde_json::json;

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
