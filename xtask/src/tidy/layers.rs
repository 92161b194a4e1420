//! Who may import whom: between crates, between the layers inside a crate, and where `unsafe` and clients may stand.
//! The table is ARCHITECTURE.md's section "Who may import whom" in code.

use super::imports;
use super::sources::{Crate, SourceFile};

/// Dependencies that a crate must never name in its manifest.
const FORBIDDEN_DEPENDENCIES: [(&str, &[&str]); 5] = [
    (
        "crds",
        &["realm-engine", "realm-engine-server", "realm-operator", "tokio", "axum", "reqwest"],
    ),
    (
        "engine",
        &["realm-crds", "tokio", "axum", "kube", "wasmtime", "realm-sandbox", "reqwest", "hyper"],
    ),
    ("engine-server", &["realm-operator", "kube"]),
    ("operator", &["realm-engine", "realm-engine-server", "realm-sandbox"]),
    (
        "sandbox",
        &[
            "realm-crds",
            "realm-engine",
            "realm-engine-server",
            "realm-operator",
            "tokio",
            "axum",
            "kube",
        ],
    ),
];

/// Layers inside a crate, lowest first: a module may import its own layer's modules and those below.
/// Every top-level module of these crates stands in exactly one layer.
const LAYERS: [(&str, &[&[&str]]); 3] = [
    (
        "engine",
        &[
            &["gguf", "quant", "team"],
            &["kernels", "tokenizer", "chat_template"],
            &["weights"],
            &["ops", "kv_cache"],
            &["model", "sampler"],
            &["engine"],
            &["speculation"],
        ],
    ),
    (
        "sandbox",
        &[
            &["breach", "breaker", "budget", "grants", "native", "random", "wire"],
            &["answer", "counters", "host", "limits", "plan"],
            &["memory_store", "state", "ticker"],
            &["capabilities", "engine"],
            &["admission", "guest"],
            &["program"],
            &["run"],
            &["filter"],
        ],
    ),
    (
        "engine-server",
        &[
            &["digest", "metrics", "telemetry", "config", "health", "threads", "constraint"],
            &["tenant", "store", "manifest"],
            &["artifact", "admission"],
            &["program"],
            &["scheduler"],
            &["agent"],
            &["state"],
            &["api"],
            &["server"],
            &["cli"],
        ],
    ),
];

/// Text that may not stand in the files whose path starts so: (crate, path below src, text, why).
const FORBIDDEN_TEXT: [(&str, &str, &str, &str); 5] = [
    (
        "engine-server",
        "api/",
        "realm_engine::kernels",
        "handlers speak to the scheduler, not to kernels",
    ),
    ("operator", "model/build", "kube::Client", "builders are pure"),
    (
        "operator",
        "model/status",
        "kube::Client",
        "status is computed from what was applied and reported",
    ),
    ("operator", "tenant/build", "kube::Client", "builders are pure"),
    (
        "operator",
        "tenant/status",
        "kube::Client",
        "status is computed from what was applied and reported",
    ),
];

/// Where `unsafe` may stand, below `src/`.
const UNSAFE_ALLOWED: [(&str, &[&str]); 2] = [
    ("engine", &["kernels/", "kernels.rs", "weights/", "weights.rs", "team.rs"]),
    ("sandbox", &["admission/load.rs"]),
];

pub(super) fn findings(krate: &Crate) -> Vec<String> {
    let mut findings = dependency_findings(krate);
    for file in &krate.files {
        findings.extend(layer_findings(krate, file));
        findings.extend(text_findings(krate, file));
        findings.extend(unsafe_findings(krate, file));
    }
    findings.extend(forbid_findings(krate));
    findings
}

fn dependency_findings(krate: &Crate) -> Vec<String> {
    let names = normal_dependencies(&krate.manifest);
    FORBIDDEN_DEPENDENCIES
        .iter()
        .filter(|(folder, _)| *folder == krate.folder)
        .flat_map(|(_, forbidden)| forbidden.iter())
        .filter(|forbidden| names.iter().any(|name| name == *forbidden))
        .map(|name| {
            format!("{}/Cargo.toml: depends on {name}, which its layer forbids", krate.folder)
        })
        .collect()
}

/// Names in `[dependencies]`; development dependencies may reach further.
fn normal_dependencies(manifest: &str) -> Vec<String> {
    manifest
        .lines()
        .skip_while(|line| line.trim() != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['=', '.', ' ']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn layer_findings(krate: &Crate, file: &SourceFile) -> Vec<String> {
    let Some((_, layers)) = LAYERS.iter().find(|(folder, _)| *folder == krate.folder) else {
        return Vec::new();
    };
    let Some(own) = file.module.as_ref().and_then(|module| module.top()) else { return Vec::new() };
    if file.path.ends_with("src/main.rs") {
        return Vec::new();
    }
    let rank = |name: &str| layers.iter().position(|layer| layer.contains(&name));
    let path = file.path.display();
    let Some(own_rank) = rank(own) else {
        return vec![format!(
            "{path}: module {own} has no layer; add it to tidy/layers.rs and ARCHITECTURE.md"
        )];
    };
    imports::imports(krate, file)
        .iter()
        .filter_map(|import| import.top())
        .filter(|import| rank(import).is_some_and(|rank| rank > own_rank))
        .map(|import| format!("{path}: {own} imports {import}, which stands above it"))
        .collect()
}

fn below_src<'a>(krate: &Crate, file: &'a SourceFile) -> Option<std::borrow::Cow<'a, str>> {
    let src = format!("{}/src", krate.folder);
    file.path.strip_prefix(src).ok().map(std::path::Path::to_string_lossy)
}

fn text_findings(krate: &Crate, file: &SourceFile) -> Vec<String> {
    let Some(below) = below_src(krate, file) else { return Vec::new() };
    FORBIDDEN_TEXT
        .iter()
        .filter(|(folder, start, text, _)| {
            *folder == krate.folder && below.starts_with(start) && file.text.contains(text)
        })
        .map(|(_, _, text, why)| format!("{}: names {text}: {why}", file.path.display()))
        .collect()
}

/// Only the engine can allow it: the other crates forbid it, which no inner attribute takes back.
fn unsafe_findings(krate: &Crate, file: &SourceFile) -> Vec<String> {
    if krate.folder != "engine" {
        return Vec::new();
    }
    let Some(below) = below_src(krate, file) else { return Vec::new() };
    let allowed = UNSAFE_ALLOWED
        .iter()
        .filter(|(folder, _)| *folder == krate.folder)
        .flat_map(|(_, starts)| starts.iter())
        .any(|start| below.starts_with(start));
    let says =
        |line: &&str| line.contains("allow(unsafe_code") || line.contains("expect(unsafe_code");
    if !allowed && file.text.lines().any(|line| says(&line)) {
        return vec![format!(
            "{}: allows unsafe code outside kernels and mmap",
            file.path.display()
        )];
    }
    Vec::new()
}

/// Every crate but the engine forbids `unsafe` in each of its roots; the engine denies it.
fn forbid_findings(krate: &Crate) -> Vec<String> {
    let allows = UNSAFE_ALLOWED.iter().any(|(folder, _)| *folder == krate.folder);
    let wanted = if allows { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
    krate
        .files
        .iter()
        .filter(|file| file.path.ends_with("src/lib.rs") || file.path.ends_with("src/main.rs"))
        .filter(|file| !file.text.contains(wanted))
        .map(|file| format!("{}: lacks {wanted}", file.path.display()))
        .collect()
}
