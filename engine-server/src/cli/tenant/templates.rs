//! The templates of `realm tenant new`, which this binary carries whole: what an author changes, the interfaces, and for
//! Rust the crate that stands between them.

use clap::ValueEnum;

use super::wit;

/// The name that stands in the templates for the program's.
pub(super) const NAME: &str = "program-name";
/// The same as compilers write it.
pub(super) const SNAKE_NAME: &str = "program_name";

/// A language that there is a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// Rust
    Rust,
    /// JavaScript
    Js,
    /// C
    C,
}

/// A file of a template: its path in the folder, and its content.
type Entry = (&'static str, &'static str);

/// A file below `sdk/`.
macro_rules! sdk {
    ($path:literal) => {
        include_str!(concat!("../../../../sdk/", $path))
    };
}

const RUST: [Entry; 14] = [
    ("Cargo.toml", sdk!("templates/rust/Cargo.toml")),
    ("README.md", sdk!("templates/rust/README.md")),
    ("src/lib.rs", sdk!("templates/rust/src/lib.rs")),
    ("src/card.rs", sdk!("templates/rust/src/card.rs")),
    ("src/email.rs", sdk!("templates/rust/src/email.rs")),
    ("realm-guest/Cargo.toml", sdk!("guest-rust/Cargo.toml")),
    ("realm-guest/src/lib.rs", sdk!("guest-rust/src/lib.rs")),
    ("realm-guest/src/capabilities.rs", sdk!("guest-rust/src/capabilities.rs")),
    ("realm-guest/src/defaults.rs", sdk!("guest-rust/src/defaults.rs")),
    ("realm-guest/src/filter.rs", sdk!("guest-rust/src/filter.rs")),
    ("realm-guest/src/guard.rs", sdk!("guest-rust/src/guard.rs")),
    ("realm-guest/src/hooks.rs", sdk!("guest-rust/src/hooks.rs")),
    ("realm-guest/src/program.rs", sdk!("guest-rust/src/program.rs")),
    ("realm-guest/src/sampler.rs", sdk!("guest-rust/src/sampler.rs")),
];
const JS: [Entry; 4] = [
    ("package.json", sdk!("templates/js/package.json")),
    ("README.md", sdk!("templates/js/README.md")),
    ("program.js", sdk!("templates/js/program.js")),
    ("wit/program.wit", sdk!("templates/js/wit/program.wit")),
];
const C: [Entry; 6] = [
    ("Makefile", sdk!("templates/c/Makefile")),
    ("README.md", sdk!("templates/c/README.md")),
    ("program.c", sdk!("templates/c/program.c")),
    ("bindings/guard.c", sdk!("templates/c/bindings/guard.c")),
    ("bindings/guard.h", sdk!("templates/c/bindings/guard.h")),
    ("bindings/guard_link.c", sdk!("templates/c/bindings/guard_link.c")),
];

impl Language {
    /// Every file of the template, for a program of that name.
    pub(super) fn files(self, name: &str) -> Vec<(String, String)> {
        let (own, interfaces): (Vec<Entry>, _) = match self {
            Self::Rust => (RUST.to_vec(), Some("realm-guest/wit")),
            Self::Js => (JS.to_vec(), Some("wit/deps/realm-tenant")),
            Self::C => (C.to_vec(), None),
        };
        let snake = name.replace('-', "_");
        let own = own.into_iter().map(|(path, text)| {
            (path.to_owned(), text.replace(NAME, name).replace(SNAKE_NAME, &snake))
        });
        let copies = interfaces.into_iter().flat_map(|folder| {
            wit::FILES.map(|(file, text)| (format!("{folder}/{file}"), text.to_owned()))
        });
        own.chain(copies).collect()
    }
}
