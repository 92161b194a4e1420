//! Compiled code becomes a component. The one place of this crate with `unsafe`: wasmtime runs the bytes as they are.
#![expect(unsafe_code, reason = "wasmtime cannot check compiled code; the cache's keyed hash does")]

use wasmtime::component::Component;

use super::cache::Trusted;
use crate::engine::Engine;

/// A component's code in memory, shared by all its instances.
#[derive(Clone)]
pub struct Artifact(Component);

impl Artifact {
    /// Takes code that the cache vouches for.
    pub(super) fn load(engine: &Engine, code: &Trusted) -> Result<Self, String> {
        // SAFETY: the bytes came from `Component::serialize` of the same release and configuration: a `Trusted` is only
        // made from what our compiler process returned, or from a file whose keyed hash over name and content is right,
        // and the name holds the configuration. They are in our own memory, where no file's writer can change them.
        let component = unsafe { Component::deserialize(engine.inner(), code.code()) };
        component.map(Self).map_err(|error| format!("{error:#}"))
    }

    pub(crate) fn component(&self) -> &Component {
        &self.0
    }
}

impl std::fmt::Debug for Artifact {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Artifact")
    }
}
