//! Log, metrics, clock and random: calls that need nothing but the store's own state.

use wasmtime::{StoreContextMut, component::LinkerInstance};

use crate::{state::State, wire::LogLevel};

/// Length of a metric's name, in bytes, at most.
const MAX_METRIC_NAME_BYTES: usize = 64;

pub(super) fn log(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "emit",
        |mut store: StoreContextMut<'_, State>, (level, message): (LogLevel, String)| {
            let state = store.data_mut();
            state.allowance.operation()?;
            match state.allowance.log_bytes.checked_sub(message.len()) {
                Some(left) => {
                    state.allowance.log_bytes = left;
                    state.host.log.emit(level, &message);
                }
                None => state.allowance.log_dropped += 1,
            }
            Ok(())
        },
    )
}

pub(super) fn metrics(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "add",
        |mut store: StoreContextMut<'_, State>, (name, value): (String, f64)| {
            let state = store.data_mut();
            state.allowance.operation()?;
            if name.len() <= MAX_METRIC_NAME_BYTES && value.is_finite() && value >= 0.0 {
                state.host.metrics.add(&name, value);
            }
            Ok(())
        },
    )
}

pub(super) fn clock(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap("now-ms", |mut store: StoreContextMut<'_, State>, (): ()| {
        let state = store.data_mut();
        state.allowance.operation()?;
        Ok((state.host.clock.now_ms(),))
    })
}

pub(super) fn random(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap("next", |mut store: StoreContextMut<'_, State>, (): ()| {
        let state = store.data_mut();
        state.allowance.operation()?;
        Ok((state.random.next(),))
    })
}
