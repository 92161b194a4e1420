//! The imports between the files of one crate.

use std::collections::BTreeSet;

use syn::visit::{self, Visit};

use super::module::ModulePath;
use super::sources::{Crate, SourceFile};

/// The other files of the same crate that `file` names in code or imports; inline modules count as their file.
pub(super) fn imports(krate: &Crate, file: &SourceFile) -> BTreeSet<ModulePath> {
    let Some(own) = &file.module else { return BTreeSet::new() };
    let known: BTreeSet<ModulePath> =
        krate.files.iter().filter_map(|file| file.module.clone()).collect();
    let mut names = Names { base: own.0.clone(), inline: Vec::new(), found: Vec::new() };
    names.visit_file(&file.syntax);
    names
        .found
        .into_iter()
        .filter_map(|path| home(&known, path))
        .filter(|home| home != own)
        .collect()
}

/// The file that holds the item at `path`: its longest prefix that is a file of the crate. The crate's root is nobody's
/// import: it only re-exports.
fn home(known: &BTreeSet<ModulePath>, mut path: Vec<String>) -> Option<ModulePath> {
    while !path.is_empty() {
        let module = ModulePath(path);
        if known.contains(&module) {
            return Some(module);
        }
        path = module.0;
        path.pop();
    }
    None
}

/// Collects every `crate::`, `self::` and `super::` path as segments from the crate's root.
struct Names {
    base: Vec<String>,
    inline: Vec<String>,
    found: Vec<Vec<String>>,
}

impl Names {
    fn resolve(&self, segments: &[String]) -> Option<Vec<String>> {
        let mut here: Vec<String> = self.base.iter().chain(&self.inline).cloned().collect();
        let mut rest = segments.iter().peekable();
        match segments.first()?.as_str() {
            "crate" => {
                here.clear();
                rest.next();
            }
            "self" => {
                rest.next();
            }
            "super" => {}
            _ => return None,
        }
        while rest.peek().is_some_and(|segment| *segment == "super") {
            here.pop();
            rest.next();
        }
        here.extend(rest.cloned());
        Some(here)
    }

    fn record(&mut self, segments: &[String]) {
        self.found.extend(self.resolve(segments));
    }

    fn record_tree(&mut self, prefix: &mut Vec<String>, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.record_tree(prefix, &path.tree);
                prefix.pop();
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.record_tree(prefix, tree);
                }
            }
            syn::UseTree::Name(name) => self.record_leaf(prefix, &name.ident.to_string()),
            syn::UseTree::Rename(rename) => self.record_leaf(prefix, &rename.ident.to_string()),
            syn::UseTree::Glob(_) => self.record(prefix),
        }
    }

    fn record_leaf(&mut self, prefix: &[String], leaf: &str) {
        let mut segments = prefix.to_vec();
        if leaf != "self" {
            segments.push(leaf.to_owned());
        }
        self.record(&segments);
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_none() {
            return;
        }
        self.inline.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.inline.pop();
    }

    /// `pub(super)` names a module without importing it.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.record_tree(&mut Vec::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.record(&segments);
        visit::visit_path(self, path);
    }
}
