//! Who may enter: from the `Authorization` header to a tenant. Pure: headers and a directory in, a tenant or a refusal
//! out.
//!
//! Rules: a key must be known. No key at all is the anonymous tenant where that is allowed. Where it is allowed and the
//! server knows no keys whatever, any key is the anonymous tenant too, because OpenAI clients cannot send none. A
//! suspended tenant is refused with 403, so that its owner sees that the key is right.
//!
//! What a tenant then may use is counted in the [`ledger`].

pub mod bucket;
pub mod day;
pub mod exceeded;
pub mod gate;
pub mod ledger;
pub mod quota;

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use jiff::Timestamp;

use crate::tenant::{Tenant, TenantDirectory};

/// Why a request may not enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A key is needed.
    #[error("no API key was given; send it as `Authorization: Bearer KEY`")]
    MissingKey,
    /// The header is not `Bearer KEY`.
    #[error("the Authorization header is not of the form `Bearer KEY`")]
    MalformedHeader,
    /// Nobody has this key.
    #[error("the API key is not known here; check it, or ask who runs this server for one")]
    UnknownKey,
    /// The key has ended.
    #[error("the API key has expired; use the newer one, or ask who runs this server for one")]
    ExpiredKey,
    /// The tenant is suspended.
    #[error("this tenant is suspended; ask who runs this server")]
    Suspended,
}

impl Refusal {
    /// Fixed name, for metrics and as the error's code.
    pub fn reason(self) -> &'static str {
        match self {
            Self::MissingKey => "missing_api_key",
            Self::MalformedHeader => "malformed_authorization",
            Self::UnknownKey => "invalid_api_key",
            Self::ExpiredKey => "api_key_expired",
            Self::Suspended => "tenant_suspended",
        }
    }
}

/// The tenant that a request belongs to, at the time `now`.
pub fn authenticate(
    headers: &HeaderMap,
    directory: &TenantDirectory,
    now: Timestamp,
) -> Result<Arc<Tenant>, Refusal> {
    let tenant = match presented_key(headers)? {
        None => directory.anonymous().ok_or(Refusal::MissingKey)?,
        Some(key) => match directory.find(key) {
            Some(key) if key.expires_at.is_some_and(|end| end <= now) => {
                return Err(Refusal::ExpiredKey);
            }
            Some(key) => &key.tenant,
            None if directory.has_keys() => return Err(Refusal::UnknownKey),
            None => directory.anonymous().ok_or(Refusal::UnknownKey)?,
        },
    };
    if tenant.suspended { Err(Refusal::Suspended) } else { Ok(Arc::clone(tenant)) }
}

/// The key of the one `Authorization` header; two of them are refused rather than chosen from.
fn presented_key(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Refusal::MalformedHeader);
    }
    bearer(value).map(Some).ok_or(Refusal::MalformedHeader)
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use realm_crds::{
        engine_config::{KeyEntry, LimitsEntry, TenantEntry, TenantTable},
        realm_tenant::TenantClass,
    };
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::tenant::{LabelRules, TenantTableError};

    fn entry(name: &str, suspended: bool, keys: &[&str]) -> TenantEntry {
        let key = |key: &&str| KeyEntry {
            name: "main".into(),
            sha256: hex::encode(Sha256::digest(key.as_bytes())),
            expires_at: None,
        };
        TenantEntry {
            namespace: "home".into(),
            name: name.into(),
            suspended,
            weight: 100,
            class: TenantClass::Standard,
            limits: LimitsEntry::default(),
            keys: keys.iter().map(key).collect(),
            program: None,
        }
    }

    fn directory(
        tenants: Vec<TenantEntry>,
        anonymous: bool,
    ) -> Result<TenantDirectory, TenantTableError> {
        let labels = LabelRules { home_namespace: "home", max_labels: 10, other: "__other__" };
        TenantDirectory::new(&TenantTable { version: "v".into(), tenants }, anonymous, labels)
    }

    fn enter(directory: &TenantDirectory, authorization: &[&str]) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        authenticate(&headers, directory, Timestamp::UNIX_EPOCH).map(|tenant| tenant.label.clone())
    }

    #[test]
    fn the_key_decides() {
        let tenants = || vec![entry("a", false, &["ka", "kb"]), entry("s", true, &["ks"])];
        let closed = directory(tenants(), false).unwrap();
        let open = directory(tenants(), true).unwrap();
        let laptop = directory(vec![], true).unwrap();
        let nobody = directory(vec![], false).unwrap();
        let cases: &[(&TenantDirectory, &[&str], Result<&str, Refusal>)] = &[
            (&closed, &["Bearer ka"], Ok("a")),
            (&closed, &["bearer  kb "], Ok("a")),
            (&closed, &[], Err(Refusal::MissingKey)),
            (&closed, &["Bearer kc"], Err(Refusal::UnknownKey)),
            (&closed, &["Bearer "], Err(Refusal::MalformedHeader)),
            (&closed, &["Basic a2E6"], Err(Refusal::MalformedHeader)),
            (&closed, &["Bearer ka", "Bearer ka"], Err(Refusal::MalformedHeader)),
            (&closed, &["Bearer ks"], Err(Refusal::Suspended)),
            (&open, &[], Ok("anonymous")),
            (&open, &["Bearer ka"], Ok("a")),
            (&open, &["Bearer kc"], Err(Refusal::UnknownKey)),
            (&laptop, &["Bearer anything"], Ok("anonymous")),
            (&laptop, &[], Ok("anonymous")),
            (&nobody, &["Bearer anything"], Err(Refusal::UnknownKey)),
            (&nobody, &[], Err(Refusal::MissingKey)),
        ];
        for (directory, authorization, expected) in cases {
            assert_eq!(
                enter(directory, authorization),
                expected.map(str::to_owned),
                "{authorization:?}"
            );
        }
        let long = format!("Bearer {}", "k".repeat(crate::tenant::MAX_KEY_BYTES + 1));
        assert_eq!(enter(&closed, &[&long]), Err(Refusal::UnknownKey));
    }

    #[test]
    fn a_key_ends_at_its_time() {
        let mut entry = entry("a", false, &["old", "new"]);
        entry.keys[0].expires_at = Some("2026-11-25T12:00:00Z".into());
        let rotated = directory(vec![entry.clone()], false).unwrap();
        let at = |key: &str, time: &str| {
            let mut headers = HeaderMap::new();
            headers.append(AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
            authenticate(&headers, &rotated, time.parse().unwrap())
                .map(|tenant| tenant.label.clone())
        };
        assert_eq!(at("old", "2026-11-25T11:59:59.999Z"), Ok("a".into()));
        assert_eq!(at("old", "2026-11-25T12:00:00Z"), Err(Refusal::ExpiredKey));
        assert_eq!(at("new", "2030-01-01T00:00:00Z"), Ok("a".into()));
        entry.keys[0].expires_at = Some("soon".into());
        let bad = directory(vec![entry], false).unwrap_err().to_string();
        assert!(bad.contains("home/a: key main") && bad.contains("\"soon\""), "{bad}");
    }

    #[test]
    fn a_table_that_names_two_owners_or_no_hash_is_refused() {
        let shared = directory(vec![entry("a", false, &["k"]), entry("b", false, &["k"])], false)
            .unwrap_err();
        assert!(shared.to_string().contains("home/a and home/b"), "{shared}");
        let mut bad = entry("a", false, &["k"]);
        bad.keys[0].sha256 = "abc".into();
        let bad = directory(vec![bad], false).unwrap_err();
        assert!(
            bad.to_string().contains("home/a: key main") && bad.to_string().contains("\"abc\""),
            "{bad}"
        );
    }

    #[test]
    fn labels_are_bounded_and_anonymous_cannot_be_forged() {
        let labels = LabelRules { home_namespace: "home", max_labels: 3, other: "__other__" };
        let mut foreign = entry("b", false, &[]);
        foreign.namespace = "far".into();
        let tenants = vec![
            foreign,
            entry("anonymous", false, &[]),
            entry("c", false, &[]),
            entry("d", false, &[]),
        ];
        let table = TenantTable { version: "v".into(), tenants };
        let directory = TenantDirectory::new(&table, true, labels).unwrap();
        let labels: Vec<&str> = directory.tenants().map(|tenant| tenant.label.as_str()).collect();
        assert_eq!(labels, ["far/b", "home/anonymous", "c", "__other__", "anonymous"]);
        assert_eq!(directory.overflow(), 1);
    }
}
