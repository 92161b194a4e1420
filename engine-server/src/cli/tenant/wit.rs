//! The interfaces of programs, which this binary carries: templates get a copy of them, and modules that do not say which
//! world they are of are told.

use anyhow::Context;
use clap::ValueEnum;
use wit_parser::{PackageId, Resolve, SourceMap, WorldId};

/// Files of the package `realm:tenant`, by name.
pub(super) const FILES: [(&str, &str); 4] = [
    ("capabilities.wit", include_str!("../../../wit/capabilities.wit")),
    ("hooks.wit", include_str!("../../../wit/hooks.wit")),
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("worlds.wit", include_str!("../../../wit/worlds.wit")),
];

/// Values without functions, which every program imports by name.
pub(super) const TYPES: &str = "realm:tenant/types@0.1.0";

/// The interfaces of the package that hooks are exported by, and the hook of each.
pub(super) const HOOKS: [(&str, &str); 5] = [
    ("realm:tenant/request-hook@0.1.0", "on-request"),
    ("realm:tenant/token-hook@0.1.0", "on-tokens"),
    ("realm:tenant/logit-hook@0.1.0", "on-logits"),
    ("realm:tenant/response-hook@0.1.0", "on-response"),
    ("realm:tenant/agent@0.1.0", "run"),
];

/// A world of the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum World {
    /// on-request
    Guard,
    /// on-request, on-tokens, on-response
    Filter,
    /// on-request, on-logits
    Sampler,
    /// run: drives generation itself
    Program,
}

impl World {
    /// Its name in the package.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Filter => "filter",
            Self::Sampler => "sampler",
            Self::Program => "program",
        }
    }

    /// The world whose hooks these are, if there is one.
    pub(super) fn of_hooks(hooks: &[&str]) -> Option<Self> {
        match hooks {
            ["on-request"] => Some(Self::Guard),
            ["on-request", "on-tokens", "on-response"] => Some(Self::Filter),
            ["on-request", "on-logits"] => Some(Self::Sampler),
            ["run"] => Some(Self::Program),
            _ => None,
        }
    }

    /// The world in the package as parsed.
    pub(super) fn resolve(self) -> anyhow::Result<(Resolve, WorldId)> {
        let (resolve, package) = parsed()?;
        let world = resolve.select_world(&[package], Some(self.name()))?;
        Ok((resolve, world))
    }
}

fn parsed() -> anyhow::Result<(Resolve, PackageId)> {
    let mut sources = SourceMap::new();
    for (name, text) in FILES {
        sources.push_str(name, text);
    }
    let group = sources.parse().map_err(|(_, error)| anyhow::anyhow!("{error:?}"))?;
    let mut resolve = Resolve::default();
    let package = resolve.push_group(group).context("the interfaces of programs do not parse")?;
    Ok((resolve, package))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_world_is_in_the_package() {
        for world in World::value_variants() {
            world.resolve().unwrap();
        }
    }
}
