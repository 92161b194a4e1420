//! The granted interfaces as functions that a guest can call. What is not granted does not exist for it.

mod basic;
mod inference;
mod store;
mod tokenizer;

use wasmtime::component::Linker;

use crate::{
    grants::{Capability, Grants},
    state::State,
};

/// A linker that knows the granted interfaces and no other.
pub(crate) fn linker(engine: &wasmtime::Engine, grants: Grants) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    for capability in grants.iter() {
        let name = capability.interface();
        let mut instance = linker.instance(&name)?;
        match capability {
            Capability::Log => basic::log(&mut instance)?,
            Capability::Metrics => basic::metrics(&mut instance)?,
            Capability::Clock => basic::clock(&mut instance)?,
            Capability::Random => basic::random(&mut instance)?,
            Capability::Tokenizer => tokenizer::link(&mut instance)?,
            Capability::Store => store::link(&mut instance)?,
            Capability::Inference => inference::link(&mut instance)?,
        }
    }
    Ok(linker)
}
