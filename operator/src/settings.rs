//! What the operator's own deployment decides about pods. A leaf, so that pure builders may take it.

/// What the operator's own deployment decides about pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSettings {
    /// Image with the static binary `/realm`.
    pub engine_image: String,
    /// Mirror of Hugging Face that downloads use.
    pub hf_endpoint: Option<String>,
}
