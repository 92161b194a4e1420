//! Children come and go with their model, are put back when somebody removes them, and are left alone otherwise.
#![forbid(unsafe_code)]

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use realm_tests::{
    namespace::Namespace,
    realm::{self, EXAMPLE, REACTION_LIMIT, await_ready, children_selector, example},
    wait::{Seen, await_condition},
    with_realm,
};
use serde_json::{Value, json};

const GONE_LIMIT: Duration = Duration::from_secs(90);
/// Every kind that the operator makes.
const KINDS: &str = "serviceaccounts,configmaps,secrets,services,deployments,servicemonitors,persistentvolumeclaims";

#[test]
fn children_follow_their_model_and_a_second_apply_works() -> Result<()> {
    with_realm("lifecycle", |namespace| {
        let model = example(namespace.cluster)?;
        namespace.apply(&model)?;
        await_ready(namespace, EXAMPLE)?;
        let made = children(namespace)?;
        for kind in
            ["ServiceAccount", "ConfigMap", "Secret", "Service", "Deployment", "ServiceMonitor"]
        {
            let found = made.keys().any(|name| name.starts_with(&format!("{kind}/")));
            ensure!(found, "no {kind} among {:?}", made.keys());
        }

        namespace.kubectl(&["delete", "deployment", EXAMPLE, "--wait=false"])?;
        let new = |deployment: &Value| deployment["metadata"]["deletionTimestamp"].is_null();
        namespace.await_object("deployment", EXAMPLE, "put back", REACTION_LIMIT, new)?;

        namespace.kubectl(&["delete", "realmmodel", EXAMPLE])?;
        await_condition("the end of all children", GONE_LIMIT, || {
            let (left, pods) = (children(namespace)?, namespace.list(&["pods"])?);
            let found = format!("{:?} and {} pods", left.keys(), pods.len());
            Ok(Seen::when(left.is_empty() && pods.is_empty(), found))
        })?;

        namespace.apply(&model)?;
        await_ready(namespace, EXAMPLE)?;
        Ok(())
    })
}

#[test]
fn a_reconcile_without_a_change_writes_nothing() -> Result<()> {
    const RECONCILES: u64 = 5;
    with_realm("idempotent", |namespace| {
        namespace.apply(&example(namespace.cluster)?)?;
        await_ready(namespace, EXAMPLE)?;
        let before = children(namespace)?;
        let (status, written) = (status(namespace)?, writes(namespace)?);
        for round in 0..RECONCILES {
            let start = reconciles(namespace)?;
            let note = format!("realm.test/round={round}");
            namespace.kubectl(&["annotate", "realmmodel", EXAMPLE, &note, "--overwrite"])?;
            await_condition("another reconcile", REACTION_LIMIT, || {
                let now = reconciles(namespace)?;
                Ok(Seen::when(now > start, format!("{now} reconciles")))
            })?;
        }
        let more = writes(namespace)? - written;
        ensure!(more == 0.0, "{RECONCILES} reconciles without a change wrote {more} times");
        let after = children(namespace)?;
        ensure!(before == after, "children were written: {before:?} became {after:?}");
        ensure!(status == self::status(namespace)?, "the status was written: {status}");
        Ok(())
    })
}

/// Versions of all objects that the model owns, by kind and name.
fn children(namespace: &Namespace<'_>) -> Result<BTreeMap<String, String>> {
    let objects = namespace.list(&[KINDS, "--selector", &children_selector(EXAMPLE)])?;
    objects
        .iter()
        .map(|object| {
            let text =
                |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let kind = text("/kind").context("object without a kind")?;
            let name = text("/metadata/name").context("object without a name")?;
            let version = version(object).context("object without a version")?;
            let owner = &object["metadata"]["ownerReferences"][0];
            ensure!(
                owner["kind"] == "RealmModel" && owner["name"] == EXAMPLE,
                "{kind} {name} has no owner: {owner}"
            );
            Ok((format!("{kind}/{name}"), version))
        })
        .collect()
}

/// What changes with every write of ours. An object whose own controller writes a status (a Deployment) changes
/// its generation only with its spec.
fn version(object: &Value) -> Option<String> {
    match object.pointer("/status/observedGeneration") {
        Some(_) => Some(format!("generation {}", object.pointer("/metadata/generation")?)),
        None => object.pointer("/metadata/resourceVersion")?.as_str().map(str::to_owned),
    }
}

fn status(namespace: &Namespace<'_>) -> Result<Value> {
    let mut model = namespace.get("realmmodel", EXAMPLE)?.context("the model is gone")?;
    Ok(json!(model["status"].take()))
}

/// How many reconciles of models the operator has ended.
fn reconciles(namespace: &Namespace<'_>) -> Result<f64> {
    realm::operator_count(namespace.cluster, "realm_operator_reconcile_total", |labels| {
        labels.contains("kind=\"RealmModel\"")
    })
}

/// How many writes the operator has sent to the API server; the Lease is renewed by updates, which nothing else uses.
fn writes(namespace: &Namespace<'_>) -> Result<f64> {
    realm::operator_count(namespace.cluster, "realm_operator_apiserver_requests_total", |labels| {
        ["create", "patch", "delete"]
            .iter()
            .any(|verb| labels.contains(&format!("verb=\"{verb}\"")))
    })
}
