//! Servers of small random models, for what does not depend on what a model says.

use realm_crds::engine_config::TenantTable;
use realm_engine_server::config::{ConfigSource, Resolved};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    support::{Answer, Setup, TestServer},
    tiny_model::{Meta, TinyModel},
};

/// A server of a random model, and the folder of its file.
pub(crate) struct Tiny {
    pub(crate) server: TestServer,
    _folder: tempfile::TempDir,
}

/// A model of the llama family with a template, whose context the setup of a test may choose.
pub(crate) fn chatty() -> TinyModel {
    let mut model = TinyModel::new();
    let template = "{% for m in messages %}{{ m.role }}:{{ m.content }}|{% endfor %}{% if add_generation_prompt %}A:{% endif %}";
    model.set("tokenizer.chat_template", Meta::Text(template.to_owned()));
    model.set("llama.context_length", Meta::U32(4096));
    model
}

/// A setup with so much context.
pub(crate) fn context(tokens: usize) -> Setup {
    Setup::default().config("/engine/contextLength", json!(tokens))
}

pub(crate) async fn serve(model: &TinyModel, setup: Setup) -> Tiny {
    let source = setup.fixed();
    serve_from(model, setup, source).await
}

/// Tenants with the keys `key-NAME`, nobody else.
pub(crate) async fn serve_tenants(
    model: &TinyModel,
    setup: Setup,
    tenants: &[(&str, Value)],
) -> Tiny {
    let setup = setup.config("/anonymous", json!(false));
    let tenant = |(name, limits): &(&str, Value)| {
        let sha256 = hex::encode(Sha256::digest(format!("key-{name}")));
        json!({"namespace": "home", "name": name, "suspended": false, "limits": limits,
               "keys": [{"name": "main", "sha256": sha256}]})
    };
    let table = json!({"version": "v1", "tenants": tenants.iter().map(tenant).collect::<Vec<_>>()});
    let tenants: TenantTable = serde_json::from_value(table).expect("a table of tenants");
    let source = ConfigSource::fixed(Resolved { config: setup.parsed(), tenants });
    serve_from(model, setup, source).await
}

async fn serve_from(model: &TinyModel, setup: Setup, source: ConfigSource) -> Tiny {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tiny.gguf");
    model.write(&path);
    Tiny { server: setup.serve_file(source, path).await, _folder: folder }
}

impl Tiny {
    /// Asks as a tenant.
    pub(crate) async fn ask_as(&self, name: &str, path: &str, body: &Value) -> Answer {
        let request = self.server.request(path, body).bearer_auth(format!("key-{name}"));
        Answer::of(request.send().await.expect("an answer")).await
    }

    /// Asks, and expects a 400 of this code that names this field; a prompt that is too long, whichever it is.
    pub(crate) async fn refuses(&self, path: &str, body: &Value, param: &str, code: &str) {
        let answer = self.server.post(path, body).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        let error = &answer.json()["error"];
        assert_eq!((&error["param"], &error["code"]), (&json!(param), &json!(code)), "{error}");
        let named = param.split(['[', '.']).next().expect("a name");
        let named = if code == "context_length_exceeded" { "tokens" } else { named };
        assert!(error["message"].as_str().expect("text").contains(named), "{error}");
    }
}
