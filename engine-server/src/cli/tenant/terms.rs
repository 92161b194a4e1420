//! What the author says of the RealmTenant to be: grants and limits, as in its manifest, with the manifest's defaults.

use std::time::Duration;

use clap::{Args, value_parser};
use realm_crds::realm_tenant::program::{
    DEADLINE_MILLIS_MAX, MEMORY_MIB_MAX, MINUTE_MILLIS_MAX, ProgramLimits,
};
use realm_sandbox::{
    Capability, Limits, Policies, Terms, grants::UnknownCapability, limits::Deadlines,
};

/// Grants and limits of a program.
#[derive(Debug, Clone, Args)]
pub(super) struct TermsArgs {
    /// What it may reach, such as Log,Store: spec.program.grants of its RealmTenant
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = capability)]
    grants: Vec<Capability>,
    /// Memory of an instance in MiB
    #[arg(long, value_name = "MIB", default_value_t = ProgramLimits::default().memory_mib, value_parser = value_parser!(u32).range(1..=i64::from(MEMORY_MIB_MAX)))]
    memory_mib: u32,
    /// Time of on-request and of on-response
    #[arg(long, value_name = "MS", default_value_t = ProgramLimits::default().hook_millis, value_parser = value_parser!(u32).range(1..=i64::from(DEADLINE_MILLIS_MAX)))]
    hook_millis: u32,
    /// Time of one call of on-tokens and of on-logits
    #[arg(long, value_name = "MS", default_value_t = ProgramLimits::default().token_millis, value_parser = value_parser!(u32).range(1..=i64::from(DEADLINE_MILLIS_MAX)))]
    token_millis: u32,
    /// Time of all hooks of a request
    #[arg(long, value_name = "MS", default_value_t = ProgramLimits::default().request_millis, value_parser = value_parser!(u32).range(1..=i64::from(MINUTE_MILLIS_MAX)))]
    request_millis: u32,
}

impl TermsArgs {
    /// The terms. A minute's budget is left out: an author runs many requests in a minute. Making an instance gets the
    /// server's time, or that of a hook if it is raised above it.
    pub(super) fn terms(&self) -> Terms {
        let millis = |millis: u32| Duration::from_millis(u64::from(millis));
        let default = Limits::default();
        let limits = Limits {
            memory_bytes: (self.memory_mib as usize) << 20,
            deadlines: Deadlines {
                start: millis(self.hook_millis).max(default.deadlines.start),
                on_request: millis(self.hook_millis),
                on_response: millis(self.hook_millis),
                on_tokens: millis(self.token_millis),
                on_logits: millis(self.token_millis),
                ..default.deadlines
            },
            request_time: millis(self.request_millis),
            minute_time: Duration::from_hours(1),
            ..default
        };
        let grants = self.grants.iter().copied().collect();
        Terms { limits, grants, policies: Policies::default() }
    }
}

/// A capability as manifests write it, or as the interfaces do.
fn capability(name: &str) -> Result<Capability, UnknownCapability> {
    name.to_lowercase().parse()
}

/// A capability as manifests write it.
pub(super) fn grant_name(capability: Capability) -> String {
    let mut letters = capability.name().chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
