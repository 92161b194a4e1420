//! An image as one tar file that is at once an OCI layout and a `docker save` archive, so that containerd,
//! podman and docker load it alike.

use std::{
    fs::{self, File},
    io::{BufWriter, Cursor, Read, Seek as _, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType};

use super::{
    description::Image,
    layer::{self, Digesting, Entry},
};

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// A piece of an image that is named by its digest.
struct Blob {
    digest: String,
    bytes: u64,
}

impl Blob {
    fn of(content: &[u8]) -> Self {
        Self { digest: hex::encode(Sha256::digest(content)), bytes: content.len() as u64 }
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.digest)
    }

    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": format!("sha256:{}", self.digest), "size": self.bytes})
    }
}

/// Writes an image to a file, which gets its name only when it is whole. Gives the manifest's digest,
/// `sha256:...`, which names the image for ever.
///
/// # Errors
/// The reference has no tag, a file of the image cannot be read, the disk is full.
pub fn write(image: &Image, to: &Path) -> Result<String> {
    let Some((_, tag)) = image.reference.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))
    else {
        bail!("the image reference {} has no tag", image.reference);
    };
    let folder = to.parent().context("the image file has no folder")?;
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let (mut layer_file, layer) = write_layer(image, folder)?;
    let config = serde_json::to_vec(&config(image, &layer)?)?;
    let config_blob = Blob::of(&config);
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config_blob.descriptor(CONFIG_TYPE),
        "layers": [layer.descriptor(LAYER_TYPE)],
    }))?;
    let manifest_blob = Blob::of(&manifest);
    let scratch = to.with_extension("part");
    let out = File::create(&scratch).with_context(|| format!("create {}", scratch.display()))?;
    let mut tar = Builder::new(BufWriter::new(out));
    append(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    append(&mut tar, &config_blob.path(), &config)?;
    append(&mut tar, &manifest_blob.path(), &manifest)?;
    layer_file.seek(SeekFrom::Start(0)).context("read the layer again")?;
    append_from(&mut tar, &layer.path(), layer.bytes, layer_file)?;
    append(&mut tar, "index.json", &serde_json::to_vec(&index(image, tag, &manifest_blob))?)?;
    let saved = json!([{"Config": config_blob.path(), "RepoTags": [image.reference], "Layers": [layer.path()]}]);
    append(&mut tar, "manifest.json", &serde_json::to_vec(&saved)?)?;
    tar.into_inner().and_then(|mut out| out.flush()).context("end the image file")?;
    fs::rename(&scratch, to).with_context(|| format!("name {}", to.display()))?;
    Ok(format!("sha256:{}", manifest_blob.digest))
}

/// The layer goes to a scratch file first: its digest stands before it in the archive.
fn write_layer(image: &Image, folder: &Path) -> Result<(File, Blob)> {
    let file = tempfile::tempfile_in(folder)
        .with_context(|| format!("scratch file in {}", folder.display()))?;
    let mut entries = Vec::new();
    for file in &image.files {
        let Some(path) = file.path.strip_prefix('/') else {
            bail!("the path {} of an image file is not absolute", file.path);
        };
        entries.push(Entry { source: &file.source, path, mode: file.mode });
    }
    let written = layer::write(entries, Digesting::new(BufWriter::new(file)))?;
    let (buffered, digest, bytes) = written.finish();
    let file = buffered.into_inner().context("write the layer")?;
    Ok((file, Blob { digest, bytes }))
}

/// How the image starts.
fn config(image: &Image, layer: &Blob) -> Result<Value> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("images for {other} are not supported; build on x86_64 or aarch64"),
    };
    let mut environment = vec!["PATH=/usr/local/bin:/usr/bin:/bin:/".to_owned()];
    environment.extend(image.environment.iter().cloned());
    let user = image.user.map(|id| format!("{id}:{id}")).unwrap_or_default();
    let epoch = "1970-01-01T00:00:00Z";
    Ok(json!({
        "architecture": architecture,
        "os": "linux",
        "created": epoch,
        "config": {
            "Entrypoint": image.entrypoint,
            "Env": environment,
            "User": user,
            "Labels": image.labels,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", layer.digest)]},
        "history": [{"created": epoch, "created_by": "cargo xtask image"}],
    }))
}

fn index(image: &Image, tag: &str, manifest: &Blob) -> Value {
    let mut descriptor = manifest.descriptor(MANIFEST_TYPE);
    descriptor["annotations"] = json!({
        "io.containerd.image.name": image.reference,
        "org.opencontainers.image.ref.name": tag,
    });
    json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [descriptor]})
}

fn append<W: Write>(tar: &mut Builder<W>, path: &str, content: &[u8]) -> Result<()> {
    append_from(tar, path, content.len() as u64, Cursor::new(content))
}

fn append_from<W: Write>(
    tar: &mut Builder<W>,
    path: &str,
    bytes: u64,
    from: impl Read,
) -> Result<()> {
    let mut header = layer::plain_header(EntryType::Regular, 0o644, bytes);
    tar.append_data(&mut header, path, from).with_context(|| format!("add {path}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::description::{File, Image};

    #[test]
    fn the_same_image_has_the_same_bytes_and_its_digest_changes_with_its_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("program");
        let image = Image {
            reference: "realm.test/a:1".to_owned(),
            entrypoint: vec!["/bin/program".to_owned()],
            files: vec![File::program(&program, "/bin/program")],
            ..Image::default()
        };
        let write = |name: &str, content: &str| {
            fs::write(&program, content).expect("a program");
            let to = folder.path().join(name);
            let digest = super::write(&image, &to).expect("an image");
            (digest, fs::read(to).expect("its bytes"))
        };
        let (first, second, other) = (write("1", "one"), write("2", "one"), write("3", "two"));
        assert!(first == second);
        assert_ne!(first.0, other.0);
    }

    #[test]
    fn bad_descriptions_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("image.tar");
        let refusal = |reference: &str, paths: &[&str]| {
            let files = paths.iter().map(|path| File::data("Cargo.toml", *path)).collect();
            let image = Image { reference: reference.to_owned(), files, ..Image::default() };
            format!("{:#}", super::write(&image, &to).expect_err("a refusal"))
        };
        assert!(refusal("localhost:5000/a", &[]).contains("has no tag"));
        assert!(refusal("a:1", &["relative"]).contains("not absolute"));
        assert!(refusal("a:1", &["/a", "/a"]).contains("two files"));
        assert!(!to.exists());
    }
}
