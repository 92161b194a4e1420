//! The conformance suite that asks the server through Node's official clients: its npm scripts are the checks, so that
//! they run without cargo too. It needs Python as well, which writes the model that can call tools.

use anyhow::Result;

use super::{context::SdkContext, typescript};

/// The suite's folder, from `sdk/`.
const FOLDER: &str = "../tests/conformance/node";

/// Runs the suite.
pub(crate) fn run(context: &SdkContext) -> Result<()> {
    typescript::check(context, FOLDER)
}
