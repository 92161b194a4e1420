//! What the API server said, in its own words and without the dump of the answer's fields. A leaf.

/// The sentence of an error.
#[must_use]
pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
