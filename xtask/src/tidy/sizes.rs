//! Files and functions that a reader can hold, and files that say what they are.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::sources::{Crate, SourceFile};

/// Lines a file may have.
const FILE_LINES_MAX: usize = 800;
/// Lines a function may have, from its signature to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn findings(krate: &Crate) -> Vec<String> {
    krate.files.iter().flat_map(file_findings).collect()
}

fn file_findings(file: &SourceFile) -> Vec<String> {
    let path = file.path.display();
    let mut findings = Vec::new();
    let lines = file.text.lines().count();
    if lines > FILE_LINES_MAX {
        findings.push(format!("{path}: {lines} lines, at most {FILE_LINES_MAX}; split it by noun"));
    }
    if !file.text.trim_start().starts_with("//!") {
        findings.push(format!("{path}:1: opens without `//!`; say what the file holds and why"));
    }
    let mut functions = LongFunctions::default();
    functions.visit_file(&file.syntax);
    findings.extend(functions.found.into_iter().map(|(name, line, lines)| {
        format!("{path}:{line}: function {name} has {lines} lines, at most {FUNCTION_LINES_MAX}")
    }));
    findings
}

#[derive(Default)]
struct LongFunctions {
    found: Vec<(String, usize, usize)>,
}

impl LongFunctions {
    fn check(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        let lines = block.span().end().line + 1 - first;
        if lines > FUNCTION_LINES_MAX {
            self.found.push((signature.ident.to_string(), first, lines));
        }
    }
}

impl<'ast> Visit<'ast> for LongFunctions {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.check(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.check(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }
}
