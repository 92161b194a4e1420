//! Amounts of CPU, memory and disk as Kubernetes writes them: `500m`, `4`, `1.5`, `2Gi`.
//!
//! A manifest may give a number or a text; both are kept as the text. It must not round: bytes are whole or refused.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// What the API server and [`Quantity::milli`] accept.
pub const PATTERN: &str = "^[0-9]{1,15}(\\.[0-9]{1,3})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$";

/// An amount in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

/// A text that is no [`Quantity`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "quantity {0:?} should match '{PATTERN}': a number with an optional suffix, such as 500m or 2Gi"
)]
pub struct BadQuantity(pub String);

/// Suffixes and what one of them is worth, in thousandths.
const SUFFIXES: [(&str, u128); 11] = [
    ("Ki", 1000 << 10),
    ("Mi", 1000 << 20),
    ("Gi", 1000 << 30),
    ("Ti", 1000 << 40),
    ("Pi", 1000 << 50),
    ("m", 1),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000),
];

impl Quantity {
    /// The amount in thousandths (CPU: millicores), rounded down.
    pub fn milli(&self) -> Result<u128, BadQuantity> {
        let bad = || BadQuantity(self.0.clone());
        let (number, scale) = SUFFIXES
            .iter()
            .find_map(|(suffix, scale)| self.0.strip_suffix(suffix).map(|number| (number, *scale)))
            .unwrap_or((self.0.as_str(), 1000));
        let (whole, fraction) =
            number.split_once('.').map_or((number, None), |(whole, rest)| (whole, Some(rest)));
        let whole = digits(whole, 15).ok_or_else(bad)?;
        let thousandths = match fraction {
            None => 0,
            Some(text) => digits(text, 3).ok_or_else(bad)? * 10_u128.pow(3 - text.len() as u32),
        };
        Ok(whole * scale + thousandths * scale / 1000)
    }

    /// The amount as whole bytes, rounded down; what does not fit in 64 bits is the most that does.
    pub fn bytes(&self) -> Result<u64, BadQuantity> {
        self.milli().map(|milli| u64::try_from(milli / 1000).unwrap_or(u64::MAX))
    }
}

/// The number that 1 to `max` decimal digits spell.
fn digits(text: &str, max: usize) -> Option<u128> {
    let plain = (1..=max).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrText;
        impl serde::de::Visitor<'_> for NumberOrText {
            type Value = Quantity;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a number or a quantity such as 500m or 2Gi")
            }

            fn visit_str<E>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity(text.to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Quantity, E> {
                Ok(Quantity(number.to_string()))
            }
        }
        deserializer.deserialize_any(NumberOrText)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-int-or-string": true, "pattern": PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths_of_good_and_bad_texts() {
        for (text, milli) in [
            ("4", 4000),
            ("500m", 500),
            ("1.5", 1500),
            ("0.25", 250),
            ("1Ki", 1_024_000),
            ("1.5k", 1_500_000),
        ] {
            assert_eq!(Quantity(text.to_owned()).milli(), Ok(milli), "{text}");
        }
        let largest = Quantity("999999999999999.999Pi".to_owned());
        assert!(largest.milli().is_ok());
        for text in [
            "",
            "-1",
            "+1",
            "1.",
            ".5",
            "1.2345",
            "Gi",
            "1gi",
            "1 Gi",
            "1e3",
            "١",
            "9999999999999999",
        ] {
            assert_eq!(
                Quantity(text.to_owned()).milli(),
                Err(BadQuantity(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn manifests_may_give_numbers() {
        let read =
            |json: &str| serde_json::from_str::<Quantity>(json).map(|quantity| quantity.0).ok();
        assert_eq!(read("4").as_deref(), Some("4"));
        assert_eq!(read("1.5").as_deref(), Some("1.5"));
        assert_eq!(read("\"2Gi\"").as_deref(), Some("2Gi"));
        assert_eq!(read("true"), None);
    }
}
