//! `kubectl apply -f manifests/examples/realmmodel.yaml`, and a pod gets "Paris" from the Service.
#![forbid(unsafe_code)]

use std::time::Instant;

use anyhow::{Result, ensure};
use realm_tests::{
    monitoring,
    probe::Probe,
    realm::{
        EXAMPLE, OPERATOR, OPERATOR_NAMESPACE, REACTION_LIMIT, await_ready, chat_url, example_file,
        question,
    },
    wait::{Seen, await_condition},
    with_realm,
};

#[test]
fn the_applied_example_answers_paris_through_its_service() -> Result<()> {
    with_realm("first-answer", |namespace| {
        let probe = Probe::start(namespace)?;
        let start = Instant::now();
        namespace.kubectl(&["apply", "--filename", &example_file()])?;
        let model = await_ready(namespace, EXAMPLE)?;
        let ready = start.elapsed();
        let url = chat_url(&namespace.service_address(EXAMPLE)?);
        // The Service's rules reach the node a moment after the Service says that it has endpoints.
        let streamed = await_condition("the first answer", REACTION_LIMIT, || {
            let answer = probe.post(&url, &question(true), &[])?;
            let connected = answer.status != 0;
            Ok(if connected { Seen::Yes(answer) } else { Seen::NotYet(answer.error) })
        })?;
        let after =
            start.elapsed().as_secs_f64() - (streamed.total_ms - streamed.first_byte_ms) / 1e3;
        println!(
            "from kubectl apply to Ready: {:.1} s; to the first token: {after:.1} s",
            ready.as_secs_f64()
        );

        let text = streamed.streamed_text()?;
        ensure!(text.contains("Paris"), "streamed answer: {text}");
        let whole = probe.post(&url, &question(false), &[])?.text()?;
        ensure!(whole.contains("Paris"), "whole answer: {whole}");
        ensure!(whole == text, "streamed and whole answers differ: {text:?} and {whole:?}");

        let (wanted, served) = (
            &model["spec"]["source"]["huggingFace"]["sha256"],
            &model["status"]["artifact"]["digest"],
        );
        ensure!(
            wanted.is_string() && wanted == served,
            "spec wants {wanted}, the pods serve {served}"
        );
        Ok(())
    })
}

#[test]
fn the_operator_stays_small() -> Result<()> {
    /// Twice what the design allows for 200 models; here is one.
    const LIMIT_BYTES: u64 = 128 << 20;
    with_realm("memory", |namespace| {
        let system = realm_tests::namespace::Namespace {
            cluster: namespace.cluster,
            name: OPERATOR_NAMESPACE.to_owned(),
        };
        let bytes =
            await_condition("the kubelet's measurement of the operator", REACTION_LIMIT, || {
                let measured =
                    monitoring::resident_bytes(&system, OPERATOR)?.filter(|bytes| *bytes > 0);
                Ok(measured.map_or_else(|| Seen::NotYet("nothing".to_owned()), Seen::Yes))
            })?;
        println!("resident memory of the operator: {:.1} MiB", bytes as f64 / f64::from(1 << 20));
        ensure!(bytes < LIMIT_BYTES, "the operator holds {bytes} bytes");
        Ok(())
    })
}
