//! A model whose file lies in an OCI image is mounted, not downloaded, and its digest is what the file has.
#![forbid(unsafe_code)]

use anyhow::{Result, ensure};
use realm_tests::{
    probe::Probe,
    realm::{EXAMPLE, REACTION_LIMIT, await_ready, chat_url, example, question},
    wait::{Seen, await_condition},
    with_realm,
};
use serde_json::json;

/// The image that the tests' set-up makes of the demo model; the file stands at its root.
const IMAGE: &str = "realm.test/model:1";

#[test]
fn a_model_in_an_image_is_mounted_and_answers() -> Result<()> {
    with_realm("image", |namespace| {
        let mut model = example(namespace.cluster)?;
        let hub = model["spec"]["source"]["huggingFace"].take();
        model["spec"]["source"] = json!({"image": {"reference": IMAGE, "path": hub["file"]}});
        namespace.apply(&model)?;
        let probe = Probe::start(namespace)?;
        let ready = await_ready(namespace, EXAMPLE)?;
        let served = &ready["status"]["artifact"]["digest"];
        ensure!(
            *served == hub["sha256"],
            "the pods serve {served}, the file has {}",
            hub["sha256"]
        );

        let template = namespace.kubectl(&["get", "deployment", EXAMPLE, "--output", "json"])?;
        let deployment: serde_json::Value = serde_json::from_str(&template)?;
        let init = &deployment["spec"]["template"]["spec"]["initContainers"];
        ensure!(init.is_null(), "nothing is to be downloaded, but there are {init}");

        let url = chat_url(&namespace.service_address(EXAMPLE)?);
        let answer = await_condition("the first answer", REACTION_LIMIT, || {
            let answer = probe.post(&url, &question(false), &[])?;
            let connected = answer.status != 0;
            Ok(if connected { Seen::Yes(answer) } else { Seen::NotYet(answer.error) })
        })?;
        let text = answer.text()?;
        ensure!(text.contains("Paris"), "answer: {text}");
        Ok(())
    })
}
