//! What `realm serve` tells a person: what it skipped, which keys it made, where it serves, and a line to try it with.
//! Everything goes to standard error.

use std::{net::SocketAddr, time::Duration};

use crate::{config::Resolved, manifest::GeneratedKey, state::AppState};

/// How often the state is looked at until the model is there.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What is to be told.
#[derive(Debug, Default)]
pub(super) struct Welcome {
    warnings: Vec<String>,
    generated: Vec<GeneratedKey>,
    api: String,
    management: Option<String>,
    model: String,
    anonymous: bool,
    tenants: usize,
}

impl Welcome {
    /// With what reading the manifests brought to light.
    pub(super) fn new(warnings: Vec<String>, generated: Vec<GeneratedKey>) -> Self {
        Self { warnings, generated, ..Self::default() }
    }

    /// Once the ports are bound.
    pub(super) fn at(
        mut self,
        api: SocketAddr,
        management: Option<SocketAddr>,
        resolved: &Resolved,
    ) -> Self {
        self.api = format!("http://{}", reachable(api));
        self.management = management.map(|addr| format!("http://{}", reachable(addr)));
        self.model.clone_from(&resolved.config.served_name);
        self.anonymous = resolved.config.anonymous;
        self.tenants = resolved.tenants.tenants.len();
        self
    }

    /// Before the model is there.
    pub(super) fn loading(&self) {
        for warning in &self.warnings {
            eprintln!("warning: {warning}");
        }
        for key in &self.generated {
            eprintln!("API key {} of tenant {}, shown only now: {}", key.name, key.tenant, key.key);
            eprintln!("  kept in {}", key.path.display());
        }
        if !self.anonymous && self.tenants == 0 {
            eprintln!(
                "warning: no tenant may use {}: add a RealmTenant, or set spec.access.anonymous",
                self.model
            );
        }
        eprintln!("loading {} ...", self.model);
    }

    /// Waits for the model, then says where it serves. Ends with the task if the model never comes.
    pub(super) async fn say_when_ready(self, state: AppState) {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        loop {
            looks.tick().await;
            if let Some(loaded) = state.loaded() {
                let info = loaded.model.info();
                eprintln!(
                    "serving {} ({} {}, context {} tokens) at {}",
                    self.model, info.name, info.quantization, loaded.context_length, self.api
                );
                break;
            }
        }
        if let Some(management) = &self.management {
            eprintln!("health and metrics at {management}/health and {management}/metrics");
        }
        eprintln!("try:\n{}", self.example());
    }

    /// A command line that can be pasted.
    fn example(&self) -> String {
        let key = match (self.anonymous, self.generated.first()) {
            (true, _) => String::new(),
            (false, Some(made)) => format!(" -H 'Authorization: Bearer {}'", made.key),
            (false, None) => " -H \"Authorization: Bearer $REALM_API_KEY\"".to_owned(),
        };
        let body = serde_json::json!({
            "model": self.model,
            "messages": [{ "role": "user", "content": "Name the capital of France." }],
        });
        format!(
            "  curl {}/v1/chat/completions -H 'Content-Type: application/json'{key} -d '{body}'",
            self.api
        )
    }
}

/// An address that a client on this machine can use: 0.0.0.0 is none.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let mut addr = addr;
    if addr.ip().is_unspecified() {
        addr.set_ip(if addr.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    addr
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_fits_who_may_ask() {
        let welcome = |anonymous, keys: &[&str]| Welcome {
            api: "http://127.0.0.1:8080".into(),
            model: "m".into(),
            anonymous,
            generated: keys
                .iter()
                .map(|key| GeneratedKey {
                    tenant: "t".into(),
                    name: "n".into(),
                    key: (*key).into(),
                    path: "p".into(),
                })
                .collect(),
            ..Welcome::default()
        };
        assert!(!welcome(true, &["rlm_x"]).example().contains("Authorization"));
        assert!(welcome(false, &["rlm_x"]).example().contains("'Authorization: Bearer rlm_x'"));
        assert!(welcome(false, &[]).example().contains("$REALM_API_KEY"));
    }

    #[test]
    fn a_wildcard_address_is_shown_as_loopback() {
        assert_eq!(reachable(([0, 0, 0, 0], 80).into()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable(([10, 0, 0, 1], 80).into()).to_string(), "10.0.0.1:80");
    }
}
