//! What a tenant is entitled to: its class, and its weight in it.

/// How urgent a tenant's work is. Smaller is before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Somebody waits for each token.
    Realtime,
    /// The default.
    Standard,
    /// What may take its time.
    Batch,
}

impl Class {
    /// All of them, the first before the others.
    pub const ALL: [Self; 3] = [Self::Realtime, Self::Standard, Self::Batch];

    /// The part of a class among those that have work. A factor of eight between neighbours: Realtime leaves Standard a
    /// ninth and takes the rest, which a client of either feels as "first"; and a Batch tenant alone below two full classes still gets
    /// every 73rd token, so that its request ends.
    pub fn share(self) -> u32 {
        match self {
            Self::Realtime => 64,
            Self::Standard => 8,
            Self::Batch => 1,
        }
    }
}

/// A tenant's place among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Its class.
    pub class: Class,
    /// Its weight among the tenants of its class.
    pub weight: u32,
}

impl Standing {
    /// What it is entitled to, compared with others whose classes have as many tenants.
    pub fn share(self) -> u64 {
        u64::from(self.class.share()) * u64::from(self.weight.max(1))
    }
}
