//! A model whose file is not the one that the spec names is never Ready, says why, and recovers when the spec is right.
#![forbid(unsafe_code)]

use anyhow::{Result, ensure};
use realm_crds::condition;
use realm_tests::{
    realm::{EXAMPLE, READY_LIMIT, await_ready, condition_of, example, holds, status_of},
    with_realm,
};
use serde_json::{Value, json};

#[test]
fn a_wrong_digest_is_never_ready_and_a_right_one_recovers() -> Result<()> {
    with_realm("digest", |namespace| {
        let mut model = example(namespace.cluster)?;
        let right = model["spec"]["source"]["huggingFace"]["sha256"].take();
        ensure!(right.is_string(), "the example names no digest");
        model["spec"]["source"]["huggingFace"]["sha256"] = json!("0".repeat(64));
        namespace.apply(&model)?;
        let refused = |model: &Value| {
            status_of(model, condition::ARTIFACT_READY) == Some("False") && is_about_digest(model)
        };
        let seen = namespace.await_object(
            "realmmodel",
            EXAMPLE,
            "ArtifactReady False",
            READY_LIMIT,
            refused,
        )?;
        ensure!(!holds(&seen, condition::READY), "Ready with a wrong file: {}", seen["status"]);
        ensure!(
            !holds(&seen, condition::AVAILABLE),
            "Available with a wrong file: {}",
            seen["status"]
        );
        println!(
            "refused: {}",
            condition_of(&seen, condition::ARTIFACT_READY).unwrap_or(&Value::Null)
        );

        model["spec"]["source"]["huggingFace"]["sha256"] = right.clone();
        namespace.apply(&model)?;
        let good = await_ready(namespace, EXAMPLE)?;
        ensure!(
            good["status"]["artifact"]["digest"] == right,
            "serves another file: {}",
            good["status"]
        );
        Ok(())
    })
}

/// The verdict names the digest, not merely that something is missing.
fn is_about_digest(model: &Value) -> bool {
    let found = condition_of(model, condition::ARTIFACT_READY);
    let text = found.map(|one| format!("{} {}", one["reason"], one["message"])).unwrap_or_default();
    let text = text.to_lowercase();
    text.contains("digest") || text.contains("sha256") || text.contains("sha-256")
}
