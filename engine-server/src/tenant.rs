//! Who calls: the tenants that this server knows, found by the hash of an API key.
//!
//! Keys are never stored and never logged; a presented key is hashed and compared with every known hash in constant time,
//! so that neither the time nor the order tells anything. The tenant comes from the key, never from a header.

use std::{collections::HashMap, collections::hash_map::Entry, fmt, sync::Arc};

use jiff::Timestamp;
use realm_crds::{
    engine_config::{KeyEntry, LimitsEntry, TenantEntry, TenantTable},
    realm_tenant::{BadExpiry, DEFAULT_WEIGHT, TenantClass, WEIGHT_MAX, expiry},
};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Name of the tenant of requests without a key, where those are allowed.
pub const ANONYMOUS: &str = "anonymous";
/// Longest API key that is hashed, in bytes.
pub const MAX_KEY_BYTES: usize = 512;

type KeyHash = [u8; 32];

/// Identity of a tenant; two tenants of one name in two namespaces are two tenants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TenantId {
    /// Whoever calls without a key.
    Anonymous,
    /// A RealmTenant.
    Named {
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
    },
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str(ANONYMOUS),
            Self::Named { namespace, name } => write!(f, "{namespace}/{name}"),
        }
    }
}

/// A known tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Who it is.
    pub id: TenantId,
    /// Value of the metric label `tenant`.
    pub label: String,
    /// Whether its requests are refused.
    pub suspended: bool,
    /// Share of the machine among tenants that compete for it, from 1 to 1000.
    pub weight: u32,
    /// How urgent its requests are.
    pub class: TenantClass,
    /// What it may use at most.
    pub limits: LimitsEntry,
}

impl Tenant {
    /// A tenant without limits, of the usual weight and class.
    pub fn unlimited(id: TenantId, label: impl Into<String>) -> Self {
        Self {
            id,
            label: label.into(),
            suspended: false,
            weight: DEFAULT_WEIGHT,
            class: TenantClass::default(),
            limits: LimitsEntry::NONE,
        }
    }
}

/// A known key.
#[derive(Debug, Clone)]
pub struct KnownKey {
    /// Whose it is.
    pub tenant: Arc<Tenant>,
    /// Its name, for messages.
    pub name: String,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
}

/// Why a tenant table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantTableError {
    /// A hash does not read.
    #[error("tenant {tenant}: key {key}: sha256 {value:?} is not 64 hexadecimal digits")]
    BadHash {
        /// Whose key.
        tenant: String,
        /// Name of the key.
        key: String,
        /// What the table holds.
        value: String,
    },
    /// A time does not read.
    #[error("tenant {tenant}: key {key}: {source}")]
    BadExpiry {
        /// Whose key.
        tenant: String,
        /// Name of the key.
        key: String,
        /// What is wrong.
        source: BadExpiry,
    },
    /// One key would name two tenants.
    #[error("tenants {first} and {second} have the same API key; give each its own")]
    SharedKey {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
}

/// All tenants that may call, ready for look-up.
#[derive(Debug)]
pub struct TenantDirectory {
    version: String,
    keys: Vec<(KeyHash, KnownKey)>,
    tenants: Vec<Arc<Tenant>>,
    anonymous: Option<Arc<Tenant>>,
    overflow: usize,
}

/// How tenants are named in metrics.
#[derive(Debug, Clone, Copy)]
pub struct LabelRules<'a> {
    /// Tenants of this namespace are called by their name alone.
    pub home_namespace: &'a str,
    /// Tenants that get a label value of their own.
    pub max_labels: usize,
    /// Label of the others.
    pub other: &'a str,
}

impl TenantDirectory {
    /// Reads a table.
    pub fn new(
        table: &TenantTable,
        anonymous: bool,
        labels: LabelRules<'_>,
    ) -> Result<Self, TenantTableError> {
        let mut owners: HashMap<KeyHash, KnownKey> = HashMap::new();
        let mut tenants = Vec::with_capacity(table.tenants.len());
        for (place, entry) in table.tenants.iter().enumerate() {
            let tenant = Arc::new(tenant(entry, place, labels));
            for key in &entry.keys {
                let known = KnownKey {
                    tenant: Arc::clone(&tenant),
                    name: key.name.clone(),
                    expires_at: parse_expiry(entry, key)?,
                };
                own(&mut owners, parse_hash(entry, &key.name, &key.sha256)?, known)?;
            }
            tenants.push(tenant);
        }
        let anonymous =
            anonymous.then(|| Arc::new(Tenant::unlimited(TenantId::Anonymous, ANONYMOUS)));
        let overflow = tenants.len().saturating_sub(labels.max_labels);
        Ok(Self {
            version: table.version.clone(),
            keys: owners.into_iter().collect(),
            tenants,
            anonymous,
            overflow,
        })
    }

    /// The table's version, as the table says.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What is known of a key. Takes the same time whichever key it is.
    pub fn find(&self, key: &str) -> Option<&KnownKey> {
        if key.len() > MAX_KEY_BYTES {
            return None;
        }
        let presented: KeyHash = Sha256::digest(key.as_bytes()).into();
        let mut found = 0_u32;
        for (place, (hash, _)) in self.keys.iter().enumerate() {
            let same: Choice = hash.ct_eq(&presented);
            found.conditional_assign(&(place as u32 + 1), same);
        }
        let place = (found as usize).checked_sub(1)?;
        self.keys.get(place).map(|(_, key)| key)
    }

    /// The tenant of requests without a key; `None` when those are refused.
    pub fn anonymous(&self) -> Option<&Arc<Tenant>> {
        self.anonymous.as_ref()
    }

    /// Whether any key is known.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Every tenant, the anonymous one included.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.tenants.iter().chain(&self.anonymous)
    }

    /// Tenants without a metric label of their own.
    pub fn overflow(&self) -> usize {
        self.overflow
    }
}

fn tenant(entry: &TenantEntry, place: usize, labels: LabelRules<'_>) -> Tenant {
    let id = TenantId::Named {
        namespace: entry.namespace.as_str().into(),
        name: entry.name.as_str().into(),
    };
    // A RealmTenant that is called "anonymous" must not look like requests without a key.
    let short = entry.namespace == labels.home_namespace && entry.name != ANONYMOUS;
    let label = match (place < labels.max_labels, short) {
        (false, _) => labels.other.to_owned(),
        (true, true) => entry.name.clone(),
        (true, false) => id.to_string(),
    };
    Tenant {
        id,
        label,
        suspended: entry.suspended,
        weight: entry.weight.clamp(1, WEIGHT_MAX),
        class: entry.class,
        limits: entry.limits.clone(),
    }
}

fn parse_expiry(
    entry: &TenantEntry,
    key: &KeyEntry,
) -> Result<Option<Timestamp>, TenantTableError> {
    key.expires_at.as_deref().map(expiry::parse).transpose().map_err(|source| {
        TenantTableError::BadExpiry {
            tenant: format!("{}/{}", entry.namespace, entry.name),
            key: key.name.clone(),
            source,
        }
    })
}

fn parse_hash(entry: &TenantEntry, key: &str, value: &str) -> Result<KeyHash, TenantTableError> {
    let mut hash = KeyHash::default();
    match hex::decode_to_slice(value, &mut hash) {
        Ok(()) => Ok(hash),
        Err(_) => Err(TenantTableError::BadHash {
            tenant: format!("{}/{}", entry.namespace, entry.name),
            key: key.to_owned(),
            value: value.to_owned(),
        }),
    }
}

/// Two keys of one tenant may be the same text; the one that lasts longer counts.
fn own(
    owners: &mut HashMap<KeyHash, KnownKey>,
    hash: KeyHash,
    key: KnownKey,
) -> Result<(), TenantTableError> {
    match owners.entry(hash) {
        Entry::Vacant(place) => {
            place.insert(key);
        }
        Entry::Occupied(owner) if owner.get().tenant.id != key.tenant.id => {
            return Err(TenantTableError::SharedKey {
                first: owner.get().tenant.id.to_string(),
                second: key.tenant.id.to_string(),
            });
        }
        Entry::Occupied(mut owner) => {
            let ends = |key: &KnownKey| key.expires_at.unwrap_or(Timestamp::MAX);
            if ends(&key) > ends(owner.get()) {
                owner.insert(key);
            }
        }
    }
    Ok(())
}
