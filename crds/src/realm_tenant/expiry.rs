//! The time at which an API key ends: RFC 3339 in exactly the form that the CRD's rule admits.

use k8s_openapi::jiff::Timestamp;

/// Rule for the form. The rule after it lets the API server read the time, so that there is no 30 February.
pub(super) const FORM_RULE: &str = "self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$')";
/// Rule for the time itself.
pub(super) const TIME_RULE: &str = "timestamp(self) > timestamp('1970-01-01T00:00:00Z')";
/// Said when a text breaks one of them.
pub(crate) const EXPIRY_MESSAGE: &str =
    "expiresAt must be a time of RFC 3339 such as 2027-01-31T00:00:00Z";
/// Longest text of that form.
pub(crate) const EXPIRY_MAX_CHARS: usize = 35;

/// A text that is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{EXPIRY_MESSAGE}, not {0:?}")]
pub struct BadExpiry(pub String);

/// Reads the time.
pub fn parse(text: &str) -> Result<Timestamp, BadExpiry> {
    let bad = || BadExpiry(text.to_owned());
    if !has_form(text) {
        return Err(bad());
    }
    let time: Timestamp = text.parse().map_err(|_| bad())?;
    if time > Timestamp::UNIX_EPOCH { Ok(time) } else { Err(bad()) }
}

/// The parser alone would take more, such as a space for the T.
fn has_form(text: &str) -> bool {
    let digits_as_zero = |char: char| if char.is_ascii_digit() { '0' } else { char };
    let form: String = text.chars().take(EXPIRY_MAX_CHARS + 1).map(digits_as_zero).collect();
    let Some(rest) = form.strip_prefix("0000-00-00T00:00:00") else { return false };
    let zone = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let zone = fraction.trim_start_matches('0');
            if !(1..=9).contains(&(fraction.len() - zone.len())) {
                return false;
            }
            zone
        }
    };
    matches!(zone, "Z" | "+00:00" | "-00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_form_is_read() {
        for good in [
            "2027-01-31T00:00:00Z",
            "2027-01-31T00:00:00.123456789+05:30",
            "2028-02-29T23:59:59-11:00",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "soon",
            "2027-01-31",
            "2027-01-31 00:00:00Z",
            "2027-01-31t00:00:00z",
            "2027-01-31T00:00:00",
            "2027-01-31T00:00Z",
            "2027-01-31T00:00:00.Z",
            "2027-01-31T00:00:00,5Z",
            "2027-01-31T00:00:00+0530",
            "2027-01-31T00:00:00Z[UTC]",
            "2027-02-30T00:00:00Z",
            "2027-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "２027-01-31T00:00:00Z",
            "2027-01-31T00:00:00.0000000000Z",
        ] {
            assert_eq!(parse(bad), Err(BadExpiry(bad.to_owned())), "{bad}");
        }
    }
}
