//! `cargo xtask sdk`: builds, checks and packs the client libraries and runs their tests, and the conformance suites that
//! ask through official clients, against the real server with the real model. One file a language or suite.

mod context;
mod node;
mod python;
mod typescript;

use std::path::Path;

use anyhow::Result;

use self::context::SdkContext;
use crate::{demo_model, paths};

/// Checks every client library of the repository at `root`.
pub fn run(root: &Path) -> Result<()> {
    let model = demo_model::ensure(root, &paths::model_store()?)?;
    test(root, &model)
}

/// The same, with the demo model that is there already.
pub(crate) fn test(root: &Path, model: &Path) -> Result<()> {
    let context = SdkContext::prepare(root, model)?;
    typescript::run(&context)?;
    node::run(&context)?;
    python::run(&context)
}
