//! The rules of the house hold in this checkout.

use xtask::{paths, tidy};

#[test]
fn the_house_is_tidy() {
    let root = paths::root().unwrap();
    let findings = tidy::findings(&root).unwrap();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
