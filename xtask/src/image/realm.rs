//! Realm's own images: `realm`, `realm-operator`, and a model as an image for image volumes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{
    archive,
    description::{File, Image, NONROOT},
    elf,
};
use crate::{paths, program, shell::Progress};

const REGISTRY: &str = "ghcr.io/querent-ai";
/// Where Debian and most others keep the certificates that programs trust.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
const SOURCE: &str = "https://github.com/querent-ai/realm";
/// Binary, which is also the image's name, and the cargo package that it comes from.
const PROGRAMS: &[(&str, &str)] =
    &[("realm", "realm-engine-server"), ("realm-operator", "realm-operator")];

/// Options of `cargo xtask image`.
#[derive(Debug, clap::Args)]
pub struct ImageArgs {
    /// Also make an image of this model file, for image volumes
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// The reference of the model's image
    #[arg(long, value_name = "IMAGE", requires = "model")]
    model_reference: Option<String>,
}

/// One image on disk.
#[derive(Debug, Clone)]
pub struct Release {
    pub reference: String,
    pub archive: PathBuf,
    /// Digest of the manifest, `sha256:...`.
    pub digest: String,
}

/// Builds the images and says where they are.
pub fn run(root: &Path, args: &ImageArgs) -> Result<()> {
    let progress = Progress::new();
    let mut images = build_release(root, &progress)?;
    if let Some(file) = &args.model {
        let reference = args.model_reference.clone();
        let reference = reference.unwrap_or_else(|| format!("{REGISTRY}/model:1"));
        images.push(model(root, file, &reference)?);
    }
    for image in images {
        println!("{} {} {}", image.reference, image.digest, image.archive.display());
    }
    Ok(())
}

/// Builds both programs statically and makes their images below `target/images`.
///
/// # Errors
/// The build fails, or a program came out that needs libraries of its host.
pub(crate) fn build_release(root: &Path, progress: &Progress) -> Result<Vec<Release>> {
    progress.say("building static release binaries");
    let folder = compile(root)?;
    PROGRAMS
        .iter()
        .map(|(name, _)| {
            let binary = folder.join(name);
            ensure_static(&binary)?;
            let made = program_image(root, name, &binary)?;
            let bytes = binary.metadata().context("size of a binary")?.len();
            progress.say(format_args!("{}: binary {:.1} MB", made.reference, bytes as f64 / 1e6));
            Ok(made)
        })
        .collect()
}

/// An image of one model file, at the image's root.
pub(crate) fn model(root: &Path, file: &Path, reference: &str) -> Result<Release> {
    let name =
        file.file_name().and_then(|name| name.to_str()).context("the model file has no name")?;
    let image = Image {
        reference: reference.to_owned(),
        files: vec![File::data(file, format!("/{name}"))],
        ..Image::default()
    };
    store(root, &image)
}

fn target_triple() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// With the C library inside: the images have no files beside the binary.
fn compile(root: &Path) -> Result<PathBuf> {
    let target = target_triple();
    let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    let packages = PROGRAMS.iter().flat_map(|(_, package)| ["--package", package]);
    let mut cargo = program::cargo(root);
    cargo.args(["build", "--release", "--target", &target]).args(packages);
    cargo.env(flags, "-C target-feature=+crt-static").env_remove("RUSTFLAGS");
    program::run(&mut cargo).context("build the static binaries")?;
    Ok(paths::target(root).join(target).join("release"))
}

fn ensure_static(binary: &Path) -> Result<()> {
    let bytes = std::fs::read(binary).with_context(|| format!("read {}", binary.display()))?;
    let needs = elf::names_interpreter(&bytes);
    let needs = needs.with_context(|| format!("{} is not a 64-bit ELF file", binary.display()))?;
    ensure!(!needs, "{} is not static: it names a dynamic linker", binary.display());
    Ok(())
}

fn program_image(root: &Path, name: &str, binary: &Path) -> Result<Release> {
    let version = env!("CARGO_PKG_VERSION");
    let path = format!("/{name}");
    let mut files = vec![File::program(binary, &path)];
    if Path::new(CERTIFICATES).is_file() {
        files.push(File::data(CERTIFICATES, CERTIFICATES));
    }
    let label =
        |key: &str, value: &str| (format!("org.opencontainers.image.{key}"), value.to_owned());
    let image = Image {
        reference: format!("{REGISTRY}/{name}:{version}"),
        entrypoint: vec![path],
        environment: vec![format!("SSL_CERT_FILE={CERTIFICATES}"), "HOME=/tmp".to_owned()],
        labels: [
            label("title", name),
            label("version", version),
            label("source", SOURCE),
            label("licenses", "Apache-2.0"),
        ]
        .into(),
        user: Some(NONROOT),
        files,
    };
    store(root, &image)
}

fn store(root: &Path, image: &Image) -> Result<Release> {
    let file = image.reference.replace(['/', ':'], "_");
    let archive = paths::target(root).join("images").join(format!("{file}.tar"));
    let digest = archive::write(image, &archive)?;
    Ok(Release { reference: image.reference.clone(), archive, digest })
}
