//! Bad manifests and the exact words that their author reads: file, line, resource, field, what to do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    clippy::needless_raw_string_hashes,
    reason = "helpers of tests fail the test by panicking; expect-test writes its own literals"
)]

use std::path::PathBuf;

use expect_test::{Expect, expect};
use realm_engine_server::manifest::{KeyFolder, Text, parse, read_all, resolve};

fn texts(content: &str) -> Vec<Text> {
    vec![Text { name: "bad.yaml".into(), content: content.into() }]
}

/// Parses, and resolves if that went well; shows the error.
#[track_caller]
fn check(content: &str, expected: Expect) {
    let folder = tempfile::tempdir().unwrap();
    let outcome = parse(&texts(content))
        .and_then(|manifests| resolve(&manifests, None, Some(&KeyFolder::below(folder.path()))));
    expected.assert_eq(&outcome.unwrap_err().to_string());
}

const MODEL: &str = "\
apiVersion: realm.querent.io/v1alpha1
kind: RealmModel
metadata:
  name: smol
spec:
  source:
    huggingFace:
      repo: o/r
      file: m.gguf
";

/// The good model with more lines below it.
fn model_and(more: &str) -> String {
    format!("{MODEL}{more}")
}

#[test]
fn unknown_fields() {
    check(
        &model_and("  engine:\n    contextLenght: 5\n"),
        expect![
            "bad.yaml:11: RealmModel smol (document at line 1): spec.engine.contextLenght: no such field; did you mean `contextLength`?"
        ],
    );
    check(
        &model_and("      revison: main\n"),
        expect![
            "bad.yaml:10: RealmModel smol (document at line 1): spec.source.huggingFace.revison: no such field; did you mean `revision`?"
        ],
    );
    check(
        &model_and("  replica: 2\n  colour: red\n"),
        expect![[r#"
        bad.yaml:10: RealmModel smol (document at line 1): spec.replica: no such field; did you mean `replicas`?
        bad.yaml:11: RealmModel smol (document at line 1): spec.colour: no such field; known are access, aliases, cache, engine, exposure, observability, replicas, resources, rollout, servedName, source, suspend"#]],
    );
    check(
        &MODEL.replace("  name: smol", "  name: smol\n  nmespace: x"),
        expect![
            "bad.yaml:5: RealmModel smol (document at line 1): metadata.nmespace: no such field; did you mean `namespace`?"
        ],
    );
    check(
        &MODEL.replace("spec:", "specs:"),
        expect![[r#"
        bad.yaml:1: RealmModel smol (document at line 1): missing field `spec`
        bad.yaml:5: RealmModel smol (document at line 1): specs: no such field; did you mean `spec`?"#]],
    );
}

#[test]
fn wrong_types() {
    check(
        &model_and("  replicas: two\n"),
        expect![[
            r#"bad.yaml:10: RealmModel smol (document at line 1): spec.replicas: invalid type: string "two", expected i32"#
        ]],
    );
    check(
        &model_and("  aliases: a\n"),
        expect![[
            r#"bad.yaml:10: RealmModel smol (document at line 1): spec.aliases: invalid type: string "a", expected a sequence"#
        ]],
    );
    check(
        &model_and("  aliases:\n  - a\n  - 5\n"),
        expect![
            "bad.yaml:12: RealmModel smol (document at line 1): spec.aliases[1]: invalid type: integer `5`, expected a string"
        ],
    );
    check(
        &model_and("  access:\n    anonymous: maybe\n"),
        expect![[
            r#"bad.yaml:11: RealmModel smol (document at line 1): spec.access.anonymous: invalid type: string "maybe", expected a boolean"#
        ]],
    );
    check(
        &model_and("  engine:\n    threads: -1\n"),
        expect![
            "bad.yaml:11: RealmModel smol (document at line 1): spec.engine.threads: invalid value: integer `-1`, expected u32"
        ],
    );
    check(
        &model_and("  engine:\n    parallel: 1.5\n"),
        expect![
            "bad.yaml:11: RealmModel smol (document at line 1): spec.engine.parallel: invalid type: floating point `1.5`, expected u32"
        ],
    );
    check(
        &model_and("  cache:\n    mode: Disk\n"),
        expect![
            "bad.yaml:11: RealmModel smol (document at line 1): spec.cache.mode: unknown variant `Disk`, expected `Ephemeral` or `PVC`"
        ],
    );
    check(
        &model_and("  engine: []\n"),
        expect![
            "bad.yaml:10: RealmModel smol (document at line 1): spec.engine: invalid type: list, expected fields (`name: value`)"
        ],
    );
    check(
        "just text",
        expect![
            "bad.yaml:1: resource without kind (no name) (document at line 1): apiVersion: missing or not a text; for example `apiVersion: realm.querent.io/v1alpha1`"
        ],
    );
    check(
        "- a list",
        expect![
            "bad.yaml:1: resource without kind (no name) (document at line 1): apiVersion: missing or not a text; for example `apiVersion: realm.querent.io/v1alpha1`"
        ],
    );
}

#[test]
fn missing_and_broken_rules() {
    check(
        &MODEL.replace("      file: m.gguf\n", ""),
        expect![
            "bad.yaml:7: RealmModel smol (document at line 1): spec.source.huggingFace: missing field `file`"
        ],
    );
    check(
        &MODEL.replace("m.gguf", "../m.gguf"),
        expect![
            "bad.yaml:9: RealmModel smol (document at line 1): spec.source.huggingFace.file: the path must be relative, without empty parts and without '..'"
        ],
    );
    check(
        &MODEL.replace("name: smol", "name: Smol_1"),
        expect![
            "bad.yaml:4: RealmModel Smol_1 (document at line 1): metadata.name: metadata.name must start with a letter, hold only lower-case letters, digits and '-', and have at most 40 characters, because it also names a Service"
        ],
    );
    check(
        &model_and("    http:\n      url: http://h/m.gguf\n      sha256: abc\n"),
        expect![[r#"
        bad.yaml:6: RealmModel smol (document at line 1): spec.source: set exactly one of huggingFace, http, pvc and image
        bad.yaml:12: RealmModel smol (document at line 1): spec.source.http.sha256: sha256 must be 64 lower-case hexadecimal digits: the output of `sha256sum FILE`"#]],
    );
    check(
        &model_and("  engine:\n    parallel: 0\n"),
        expect![
            "bad.yaml:11: RealmModel smol (document at line 1): spec.engine.parallel: should be greater than or equal to 1"
        ],
    );
    check(
        &model_and("  rollout:\n    drainTimeout: soon\n"),
        expect![[
            r#"bad.yaml:11: RealmModel smol (document at line 1): spec.rollout.drainTimeout: duration "soon" should match '^[1-9][0-9]{0,4}(s|m|h)$': a whole number followed by s, m or h, such as 30s"#
        ]],
    );
}

#[test]
fn kinds_and_versions() {
    check(
        &MODEL.replace("kind: RealmModel", "kind: RealmModell"),
        expect![
            "bad.yaml:2: RealmModell smol (document at line 1): kind: no such kind; did you mean `RealmModel`?"
        ],
    );
    check(
        &MODEL.replace("kind: RealmModel", "kind: realmmodel"),
        expect![
            "bad.yaml:2: realmmodel smol (document at line 1): kind: no such kind; did you mean `RealmModel`?"
        ],
    );
    check(
        &MODEL.replace("kind: RealmModel\n", ""),
        expect![
            "bad.yaml:1: resource without kind smol (document at line 1): kind: missing or not a text; for example `kind: RealmModel`"
        ],
    );
    check(
        &MODEL.replace("v1alpha1", "v1"),
        expect![
            "bad.yaml:1: RealmModel smol (document at line 1): apiVersion: `realm.querent.io/v1` is not known; RealmModel is of realm.querent.io/v1alpha1"
        ],
    );
    check(
        &MODEL.replace("realm.querent.io", "realm.querent.oi"),
        expect![
            "bad.yaml:1: RealmModel smol (document at line 1): apiVersion: `realm.querent.oi/v1alpha1` is not known; RealmModel is of realm.querent.io/v1alpha1"
        ],
    );
    check(
        &MODEL.replace("kind: RealmModel", "kind: RealmGateway"),
        expect![
            "bad.yaml:2: RealmGateway smol (document at line 1): kind: no such kind; realm.querent.io has RealmModel and RealmTenant"
        ],
    );
    check(
        "apiVersion: v1\nkind: List\nitems: []\n",
        expect![
            "bad.yaml:2: List (no name) (document at line 1): kind: give the items of the List as documents of their own"
        ],
    );
    check(
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n",
        expect!["no RealmModel in the files: `realm serve -f` needs one"],
    );
    check("", expect!["no RealmModel in the files: `realm serve -f` needs one"]);
}

#[test]
fn documents_and_yaml() {
    check(
        &format!("# a comment\n---\n{MODEL}---\n{MODEL}"),
        expect![
            "bad.yaml:16: RealmModel smol (document at line 13): metadata.name: the same resource stands at bad.yaml:3 already"
        ],
    );
    check(
        &format!("{MODEL}---\n{}", MODEL.replace("smol", "other")),
        expect![
            "2 RealmModels in the files (smol, other): this version serves one at a time, choose it with --model NAME"
        ],
    );
    check(
        &model_and("\treplicas: 2\n"),
        expect!["bad.yaml:9: not valid YAML: while scanning a plain scalar, found a tab"],
    );
    check(
        &model_and("  replicas: 2\n  replicas: 3\n"),
        expect![
            "bad.yaml:11: not valid YAML: duplicate mapping key `replicas` is not allowed here"
        ],
    );
    check(
        &model_and("  engine: {parallel: 2\n"),
        expect!["bad.yaml:10: not valid YAML: unclosed bracket '{'"],
    );
    check(
        "{\"apiVersion\": \"realm.querent.io/v1alpha1\",\n \"kind\": \"RealmModel\",\n \"spec\": {\"x\": 1}}",
        expect![[r#"
        bad.yaml:3: RealmModel (no name) (document at line 1): spec.x: no such field; known are access, aliases, cache, engine, exposure, observability, replicas, resources, rollout, servedName, source, suspend
        bad.yaml:3: RealmModel (no name) (document at line 1): spec: missing field `source`"#]],
    );
}

#[test]
fn tenants_and_secrets() {
    let tenant = |keys: &str| {
        format!(
            "{MODEL}---\napiVersion: realm.querent.io/v1alpha1\nkind: RealmTenant\nmetadata:\n  name: acme\nspec:\n  models: [{{name: smol}}]\n  apiKeys:\n{keys}"
        )
    };
    let secret = |content: &str| {
        format!(
            "{}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\n{content}",
            tenant("  - name: main\n    secretKeyRef: {name: s, key: k}\n")
        )
    };
    check(
        &tenant("  - name: main\n    secretKeyRef: {name: s, key: k}\n"),
        expect![
            "bad.yaml:18: RealmTenant acme (document at line 11): spec.apiKeys[0]: the Secret s with the key k in namespace default is not in the files; add it with another -f"
        ],
    );
    check(
        &tenant("  - name: main\n"),
        expect![
            "bad.yaml:18: RealmTenant acme (document at line 11): spec.apiKeys[0]: set exactly one of secretKeyRef and generate: true"
        ],
    );
    check(
        &tenant("  - name: main\n    generated: true\n"),
        expect![
            "bad.yaml:19: RealmTenant acme (document at line 11): spec.apiKeys[0].generated: no such field; did you mean `generate`?"
        ],
    );
    check(
        &secret("data: {k: '???'}\n"),
        expect![
            "bad.yaml:24: Secret s (document at line 21): data.k: not base64 (Invalid symbol 63, offset 0.); plain text belongs in stringData"
        ],
    );
    check(
        &secret("stringData: {k: short}\n"),
        expect![
            "bad.yaml:24: Secret s (document at line 21): stringData.k: the API key has 5 characters, it should have at least 16"
        ],
    );
    check(
        &secret("stringdata: {k: sk-0123456789abcdef}\n"),
        expect![
            "bad.yaml:24: Secret s (document at line 21): stringdata: no such field; did you mean `stringData`?"
        ],
    );
    check(
        &secret("stringData: {other: sk-0123456789abcdef}\n"),
        expect![
            "bad.yaml:18: RealmTenant acme (document at line 11): spec.apiKeys[0]: the Secret s with the key k in namespace default is not in the files; add it with another -f"
        ],
    );
}

#[test]
fn hostile_yaml_ends_quickly_and_with_words() {
    let laughs = {
        let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let inner = vec![format!("*a{}", level - 1); 10].join(",");
            text.extend([format!("a{level}: &a{level} [{inner}]\n")]);
        }
        text
    };
    let deep = "[".repeat(5000);
    let many = "---\na: 1\n".repeat(5000);
    let wide = format!("[{}]", "1,".repeat(200_000));
    for (name, text) in [("laughs", laughs), ("deep", deep), ("many", many), ("wide", wide)] {
        let error = parse(&texts(&text)).unwrap_err().to_string();
        assert!(error.starts_with("bad.yaml") && error.len() < 3000, "{name}: {error}");
    }
}

#[test]
fn unreadable_files() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let latin = folder.path().join("latin.yaml");
    std::fs::write(&latin, b"a: 1\nb: \xe4\n").unwrap();
    let huge = folder.path().join("huge.yaml");
    std::fs::write(&huge, vec![b'#'; 5 * 1024 * 1024]).unwrap();
    for (path, words) in [
        (folder.path().join("missing.yaml"), "No such file or directory"),
        (empty, "holds no .yaml, .yml or .json file"),
        (latin, "latin.yaml:2: not UTF-8 text"),
        (huge, "larger than 4194304 bytes"),
    ] {
        let error =
            read_all(std::slice::from_ref(&path), &mut std::io::empty()).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(path.to_str().unwrap()), "{error}");
    }
    let endless = &mut std::io::repeat(b'#');
    let error = read_all(&[PathBuf::from("-")], endless).unwrap_err().to_string();
    assert!(error.contains("larger than"), "{error}");
}
