//! No circles: no file imports its parent, and no two files import one another, over any number of steps.

use std::collections::{BTreeMap, BTreeSet};

use super::imports;
use super::module::ModulePath;
use super::sources::Crate;

type Graph = BTreeMap<ModulePath, BTreeSet<ModulePath>>;

pub(super) fn findings(krate: &Crate) -> Vec<String> {
    let graph: Graph = krate
        .files
        .iter()
        .filter_map(|file| Some((file.module.clone()?, imports::imports(krate, file))))
        .collect();
    let mut findings = parents(krate, &graph);
    findings.extend(circle(&graph).map(|path| {
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        format!(
            "{}: circle of imports: {}; move what they share into a file below both",
            krate.folder,
            path.join(" -> ")
        )
    }));
    findings
}

fn parents(krate: &Crate, graph: &Graph) -> Vec<String> {
    let mut findings = Vec::new();
    for (module, imports) in graph {
        for parent in imports.iter().filter(|import| import.is_ancestor_of(module)) {
            findings.push(format!(
                "{}: {module} imports its parent {parent}; a parent gives arguments, a leaf gives names",
                krate.folder
            ));
        }
    }
    findings
}

/// One circle, if there is any.
fn circle(graph: &Graph) -> Option<Vec<ModulePath>> {
    let mut done = BTreeSet::new();
    graph.keys().find_map(|start| follow(graph, start, &mut Vec::new(), &mut done))
}

fn follow(
    graph: &Graph,
    module: &ModulePath,
    trail: &mut Vec<ModulePath>,
    done: &mut BTreeSet<ModulePath>,
) -> Option<Vec<ModulePath>> {
    if let Some(start) = trail.iter().position(|seen| seen == module) {
        let mut found = trail[start..].to_vec();
        found.push(module.clone());
        return Some(found);
    }
    if done.contains(module) {
        return None;
    }
    trail.push(module.clone());
    let found = graph.get(module)?.iter().find_map(|next| follow(graph, next, trail, done));
    trail.pop();
    done.insert(module.clone());
    found
}
