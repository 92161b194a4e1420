//! The tenant's keys and values. The handle is the tenant's own; a key cannot name another's.

use std::time::Duration;

use wasmtime::{StoreContextMut, component::LinkerInstance};

use crate::state::State;

type Context<'a> = StoreContextMut<'a, State>;

pub(super) fn link(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap("get", |mut store: Context<'_>, (key,): (String,)| {
        let state = store.data_mut();
        state.allowance.operation()?;
        Ok((state.host.store.get(&key),))
    })?;
    instance.func_wrap(
        "set",
        |mut store: Context<'_>, (key, value, seconds): (String, Vec<u8>, u32)| {
            let state = store.data_mut();
            state.allowance.operation()?;
            let keep = (seconds > 0).then(|| Duration::from_secs(u64::from(seconds)));
            Ok((state.host.store.set(&key, value, keep),))
        },
    )?;
    instance.func_wrap("add", |mut store: Context<'_>, (key, amount): (String, i64)| {
        let state = store.data_mut();
        state.allowance.operation()?;
        Ok((state.host.store.add(&key, amount),))
    })?;
    instance.func_wrap("delete", |mut store: Context<'_>, (key,): (String,)| {
        let state = store.data_mut();
        state.allowance.operation()?;
        Ok((state.host.store.delete(&key),))
    })
}
