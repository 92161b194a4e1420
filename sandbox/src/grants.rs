//! What a tenant's program may reach: nothing, unless its RealmTenant grants it by name.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Namespace, package and version of our interfaces.
pub(crate) const PACKAGE: &str = "realm:tenant/";
pub(crate) const VERSION: &str = "@0.1.0";
/// Values without functions, which every program may name.
pub(crate) const TYPES: &str = "realm:tenant/types@0.1.0";

/// One interface that a program may import when it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    /// Lines in the tenant's log.
    Log,
    /// The tenant's counters.
    Metrics,
    /// Wall-clock time in milliseconds.
    Clock,
    /// Numbers from the request's seed.
    Random,
    /// The model's tokenizer.
    Tokenizer,
    /// The tenant's keys and values.
    Store,
    /// The model.
    Inference,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Log,
        Self::Metrics,
        Self::Clock,
        Self::Random,
        Self::Tokenizer,
        Self::Store,
        Self::Inference,
    ];

    /// Its name in grants and in the package.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Metrics => "metrics",
            Self::Clock => "clock",
            Self::Random => "random",
            Self::Tokenizer => "tokenizer",
            Self::Store => "store",
            Self::Inference => "inference",
        }
    }

    /// Its full name, as components import it.
    pub fn interface(self) -> String {
        format!("{PACKAGE}{}{VERSION}", self.name())
    }

    /// The capability that a component means by an import, if it is one.
    pub fn of_import(import: &str) -> Option<Self> {
        let name = import.strip_prefix(PACKAGE)?.strip_suffix(VERSION)?;
        name.parse().ok()
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// A grant that names no capability.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no capability; there are log, metrics, clock, random, tokenizer, store and inference"
)]
pub struct UnknownCapability(pub String);

impl FromStr for Capability {
    type Err = UnknownCapability;

    fn from_str(name: &str) -> Result<Self, UnknownCapability> {
        Self::ALL
            .into_iter()
            .find(|capability| capability.name() == name)
            .ok_or_else(|| UnknownCapability(name.to_owned()))
    }
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Grants(u8);

impl Grants {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// Whether the capability is in it.
    pub fn has(self, capability: Capability) -> bool {
        self.0 & bit(capability) != 0
    }

    /// This, and the capability.
    #[must_use]
    pub fn with(self, capability: Capability) -> Self {
        Self(self.0 | bit(capability))
    }

    /// Those in it.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| self.has(*capability))
    }
}

impl FromIterator<Capability> for Grants {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        capabilities.into_iter().fold(Self::NONE, Self::with)
    }
}

fn bit(capability: Capability) -> u8 {
    1 << capability as u8
}
