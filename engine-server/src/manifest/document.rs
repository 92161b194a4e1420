//! Finds the documents of a file: YAML under limits, or JSON, which is YAML too.

use serde_saphyr::{DuplicateKeyPolicy, Options, UserMessageFormatter};

use super::{
    fault::Fault,
    files::Text,
    node::{Kind, Node},
};

/// Documents in one file.
const MAX_DOCUMENTS: usize = 1000;
/// Values in one file, counted before aliases are expanded and after.
const MAX_NODES: usize = 100_000;
/// How deep values may be nested.
const MAX_DEPTH: usize = 64;
/// Aliases in one file.
const MAX_ALIASES: usize = 100;
/// Values that all aliases together may add.
const MAX_ALIAS_EVENTS: usize = 20_000;

/// All documents of a file that are not empty.
pub(super) fn documents(text: &Text) -> Result<Vec<Node>, Fault> {
    let nodes: Vec<Node> = serde_saphyr::from_multiple_with_options(&text.content, options())
        .map_err(|error| Fault {
            file: text.name.clone(),
            line: error.location().map_or(0, |location| location.line()),
            resource: String::new(),
            field: String::new(),
            message: format!("not valid YAML: {}", plain_words(&error)),
        })?;
    Ok(nodes
        .into_iter()
        .filter(|node| node.kind != Kind::Scalar(serde_json::Value::Null))
        .collect())
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: MAX_DOCUMENTS,
            max_nodes: MAX_NODES,
            max_events: MAX_NODES * 3,
            max_depth: MAX_DEPTH,
            max_aliases: MAX_ALIASES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_ALIAS_EVENTS,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
    }
}

/// The parser's words for a reader who does not know the parser, without the place, which the fault names itself.
fn plain_words(error: &serde_saphyr::Error) -> String {
    let words = error.without_snippet().render_with_formatter(&UserMessageFormatter);
    let first = words.lines().next().unwrap_or_default();
    first.split(" at line ").next().unwrap_or_default().to_owned()
}
