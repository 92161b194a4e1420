//! Prints one CustomResourceDefinition: `cargo run -p realm-crds --example crd-yaml -- realmmodels.yaml`.
#![forbid(unsafe_code)]

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let wanted =
        std::env::args().nth(1).ok_or("name the file: realmmodels.yaml or realmtenants.yaml")?;
    let files = realm_crds::crd::files()?;
    let known = files.iter().find(|(name, _)| *name == wanted);
    let (_, content) = known.ok_or_else(|| format!("no definition is named {wanted}"))?;
    print!("{content}");
    Ok(())
}
