//! Where tests find the real model file.

use std::path::PathBuf;

/// Path of SmolLM2-135M-Instruct Q4_1. A test that needs it and has none fails: nothing passes by being left out.
pub(crate) fn demo_model() -> PathBuf {
    let path = std::env::var_os("REALM_TEST_MODEL");
    PathBuf::from(path.expect(
        "REALM_TEST_MODEL must name the demo model's file; run `cargo xtask test`, which gets it",
    ))
}
