//! Images in the cluster: makes those of the cluster's own programs, and hands archives to containerd.
//! An archive that containerd has had is not handed over again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    cluster::{binaries::Binaries, layout, node},
    image::{self, File, Image},
    shell::{self, Progress},
};

/// An image of the cluster's own: reference, component, program, first level that needs it.
struct Own {
    reference: &'static str,
    component: &'static str,
    program: &'static str,
    level: u8,
}

const OWN: &[Own] = &[
    Own { reference: node::PAUSE_IMAGE, component: "pause", program: "pause", level: 3 },
    Own { reference: "realm.test/probe:1", component: "probe", program: "probe", level: 3 },
    Own { reference: "realm.test/coredns:1", component: "coredns", program: "coredns", level: 4 },
    Own {
        reference: "realm.test/prometheus-operator:1",
        component: "prometheus-operator",
        program: "operator",
        level: 4,
    },
    Own {
        reference: "realm.test/prometheus-config-reloader:1",
        component: "prometheus-operator",
        program: "prometheus-config-reloader",
        level: 4,
    },
    Own {
        reference: "realm.test/prometheus:1",
        component: "prometheus",
        program: "prometheus",
        level: 4,
    },
];

/// Makes and loads the images of the cluster's own programs.
pub(crate) fn load_own(binaries: &Binaries, level: u8, progress: &Progress) -> Result<()> {
    for own in OWN.iter().filter(|own| own.level <= level) {
        let archive = archive(binaries, own)?;
        load(&archive, progress)?;
    }
    Ok(())
}

/// Hands an image archive to containerd, by its tag and by its digest, unless it has it.
///
/// # Errors
/// The file is no image archive, or containerd refuses it.
pub(crate) fn load(archive: &Path, progress: &Progress) -> Result<()> {
    let loaded = identity(archive)?;
    let mark = layout::state("loaded-images").join(loaded.reference.replace(['/', ':'], "_"));
    if fs::read_to_string(&mark).is_ok_and(|digest| digest == loaded.digest) {
        return Ok(());
    }
    let import = ["images", "import", "--local", "--snapshotter", node::snapshotter()?];
    shell::quiet(node::containerd_client().args(import).arg(archive))
        .with_context(|| format!("load {}", archive.display()))?;
    let (name, _) = loaded.reference.rsplit_once(':').context("image without a tag")?;
    let pinned = format!("{name}@{}", loaded.digest);
    shell::quiet(node::containerd_client().args([
        "images",
        "tag",
        "--force",
        &loaded.reference,
        &pinned,
    ]))?;
    fs::create_dir_all(layout::state("loaded-images")).context("create the list of images")?;
    fs::write(&mark, &loaded.digest).context("note the image")?;
    progress.say(format_args!("image {}", loaded.reference));
    Ok(())
}

/// An image by its tag and by its content.
struct Identity {
    reference: String,
    digest: String,
}

/// Reads an archive's index.
fn identity(archive: &Path) -> Result<Identity> {
    let file = fs::File::open(archive).with_context(|| format!("open {}", archive.display()))?;
    let mut tar = tar::Archive::new(file);
    for entry in tar.entries_with_seek().with_context(|| format!("read {}", archive.display()))? {
        let entry = entry.with_context(|| format!("read {}", archive.display()))?;
        if entry.path().is_ok_and(|path| path == Path::new("index.json")) {
            let index: Value = serde_json::from_reader(entry).context("read index.json")?;
            let text =
                |pointer: &str| index.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let reference = text("/manifests/0/annotations/io.containerd.image.name");
            let digest = text("/manifests/0/digest");
            if let (Some(reference), Some(digest)) = (reference, digest) {
                return Ok(Identity { reference, digest });
            }
        }
    }
    bail!("{} is not an image archive made by `cargo xtask image`", archive.display())
}

/// The archive of one of the cluster's own images, beside the program in the cache.
fn archive(binaries: &Binaries, own: &Own) -> Result<PathBuf> {
    let version = image::FORMAT.rsplit(' ').next().unwrap_or_default();
    let name = format!("{}.image-{version}.tar", own.program);
    let archive = binaries.file(own.component, &name)?;
    if !archive.is_file() {
        let path = format!("/bin/{}", own.program);
        let program = binaries.file(own.component, own.program)?;
        let image = Image {
            reference: own.reference.to_owned(),
            entrypoint: vec![path.clone()],
            user: Some(image::NONROOT),
            files: vec![File::program(program, path)],
            ..Image::default()
        };
        image::write(&image, &archive)?;
    }
    Ok(archive)
}

/// What containerd has, by name.
pub(crate) fn list() -> Result<Vec<String>> {
    let mut client: Command = node::containerd_client();
    let names = shell::output(client.args(["images", "list", "--quiet"]))?;
    Ok(names.lines().filter(|name| !name.contains("sha256")).map(str::to_owned).collect())
}
