//! The model's tokenizer, which stays with the host.

use wasmtime::{StoreContextMut, component::LinkerInstance};

use crate::state::State;

pub(super) fn link(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap("encode", |mut store: StoreContextMut<'_, State>, (text,): (String,)| {
        let state = store.data_mut();
        state.allowance.operation()?;
        Ok((state.host.tokenizer.encode(&text),))
    })?;
    instance.func_wrap(
        "decode",
        |mut store: StoreContextMut<'_, State>, (tokens,): (Vec<u32>,)| {
            let state = store.data_mut();
            state.allowance.operation()?;
            let size = state.host.tokenizer.vocabulary_size();
            let decoded = match tokens.iter().find(|token| **token >= size) {
                Some(token) => Err(format!("the model has {size} tokens, and no token {token}")),
                None => state.host.tokenizer.decode(&tokens),
            };
            Ok((decoded,))
        },
    )?;
    instance.func_wrap("vocabulary-size", |mut store: StoreContextMut<'_, State>, (): ()| {
        let state = store.data_mut();
        state.allowance.operation()?;
        Ok((state.host.tokenizer.vocabulary_size(),))
    })
}
