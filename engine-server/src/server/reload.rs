//! Takes new configuration and tenants into use while the server runs. A file that does not read changes nothing but the
//! health document and the log.

use crate::{config::ConfigSource, state::AppState};

/// Looks at the watched files again and again; ends only with the task.
pub(super) async fn watch(source: ConfigSource, state: AppState, first: [u8; 32]) {
    let mut current = first;
    let mut ticks = tokio::time::interval(state.limits().reload_interval);
    loop {
        ticks.tick().await;
        let (source, state) = (source.clone(), state.clone());
        let looked = tokio::task::spawn_blocking(move || look(&source, &state, current)).await;
        match looked {
            Ok(fingerprint) => current = fingerprint,
            Err(error) => tracing::error!(%error, "reading the configuration again failed"),
        }
    }
}

fn look(source: &ConfigSource, state: &AppState, current: [u8; 32]) -> [u8; 32] {
    let fingerprint = source.fingerprint();
    if fingerprint != current {
        reload(source, state);
    }
    fingerprint
}

fn reload(source: &ConfigSource, state: &AppState) {
    let problem = match source.read() {
        Ok(resolved) => state.replace(resolved).err().map(|error| error.to_string()),
        Err(error) => Some(format!("the old configuration stays in use: {error}")),
    };
    match &problem {
        None => tracing::info!(
            tenants_version = state.serving().tenants.version(),
            "configuration taken into use"
        ),
        Some(problem) => tracing::warn!(%problem, "configuration not wholly taken into use"),
    }
    state.health().set_reload_problem(problem);
}
