//! The least, the middle and the most of several measurements.

use serde_json::{Value, json};

/// Three of several values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` without values. Of an even number the median is the mean of the two in the middle.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Self { min, median, max })
    }

    /// `median (min-max)`, or the one value.
    pub(crate) fn text(self) -> String {
        let Self { min, median, max } = self;
        let (middle, low, high) = (number(median), number(min), number(max));
        if low == high { middle } else { format!("{middle} ({low}-{high})") }
    }

    pub(crate) fn json(self) -> Value {
        json!({ "min": self.min, "median": self.median, "max": self.max })
    }
}

/// Three digits, or as many as stand before the point.
pub(crate) fn number(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_shows_the_middle_and_the_ends() {
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]).unwrap().text(), "2.00 (1.00-3.00)");
        assert_eq!(Spread::of(&[2.0, 4.0]).unwrap().text(), "3.00 (2.00-4.00)");
        assert_eq!(Spread::of(&[1234.56]).unwrap().text(), "1235");
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(number(0.125), "0.125");
    }
}
