//! One line of the result: what was measured on both sides, the ratio, and what must be reached.

use serde_json::{Value, json};

use super::{
    rounds::Round,
    spread::{Spread, number},
};

/// What a line must reach to count as reached; judged by the median.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    /// The ratio to the better peer, at least.
    Ratio(f64),
    /// Realm's figure, at least.
    AtLeast(f64),
    /// Realm's figure, at most.
    AtMost(f64),
    /// Only shown.
    None,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Higher,
    Lower,
}

/// The samples of one line, one of each contestant a round.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) work: String,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) realm: Vec<f64>,
    pub(crate) repacked: Vec<f64>,
    pub(crate) plain: Vec<f64>,
    pub(crate) target: Target,
}

impl Row {
    /// A line without samples.
    pub(crate) fn new(work: impl Into<String>, unit: &'static str, target: Target) -> Self {
        Self {
            work: work.into(),
            unit,
            better: Better::Higher,
            realm: Vec::new(),
            repacked: Vec::new(),
            plain: Vec::new(),
            target,
        }
    }

    /// The same line, where less is better.
    pub(crate) fn lower(self) -> Self {
        Self { better: Better::Lower, ..self }
    }

    /// Adds what a round gave.
    pub(crate) fn push(&mut self, round: &Round<f64>) {
        self.realm.push(round.realm);
        self.repacked.extend(round.repacked);
        self.plain.extend(round.plain);
    }

    /// How many times better Realm was than the better peer of the same round; `None` without a peer.
    pub(crate) fn ratio(&self) -> Option<Spread> {
        let rounds = self.realm.iter().enumerate();
        let ratios: Option<Vec<f64>> = rounds
            .map(|(round, realm)| {
                let peers = [self.repacked.get(round), self.plain.get(round)];
                let peers = peers.into_iter().flatten().copied();
                Some(match self.better {
                    Better::Higher => realm / peers.reduce(f64::max)?,
                    Better::Lower => peers.reduce(f64::min)? / realm,
                })
            })
            .collect();
        Spread::of(&ratios?)
    }

    /// Whether the target is reached; `None` when there is none or nothing to compare with.
    pub(crate) fn reached(&self) -> Option<bool> {
        let realm = Spread::of(&self.realm)?.median;
        match self.target {
            Target::Ratio(least) => Some(self.ratio()?.median >= least),
            Target::AtLeast(least) => Some(realm >= least),
            Target::AtMost(most) => Some(realm <= most),
            Target::None => None,
        }
    }

    /// A line of a Markdown table.
    pub(crate) fn markdown(&self) -> String {
        let cell = |samples: &[f64]| Spread::of(samples).map_or("-".to_owned(), Spread::text);
        let ratio = self.ratio().map_or("-".to_owned(), |ratio| format!("{}x", ratio.text()));
        let target = match self.target {
            Target::Ratio(least) => format!("{}x", number(least)),
            Target::AtLeast(least) => format!(">= {}", number(least)),
            Target::AtMost(most) => format!("<= {}", number(most)),
            Target::None => "-".to_owned(),
        };
        let reached = self.reached().map_or("-", |reached| if reached { "yes" } else { "**no**" });
        format!(
            "| {}, {} | {} | {} | {} | {ratio} | {target} | {reached} |\n",
            self.work,
            self.unit,
            cell(&self.realm),
            cell(&self.repacked),
            cell(&self.plain),
        )
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "work": self.work,
            "unit": self.unit,
            "realm": self.realm,
            "llamaCpp": self.repacked,
            "llamaCppNoRepack": self.plain,
            "ratio": self.ratio().map(Spread::json),
            "reached": self.reached(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_peer_of_each_round_counts() {
        let row = Row {
            realm: vec![30.0, 40.0],
            repacked: vec![10.0, 20.0],
            plain: vec![15.0, 10.0],
            ..Row::new("prefill", "tok/s", Target::Ratio(2.0))
        };
        assert_eq!(row.ratio(), Spread::of(&[2.0, 2.0]));
        assert_eq!(row.reached(), Some(true));
        assert_eq!(
            row.markdown(),
            "| prefill, tok/s | 35.0 (30.0-40.0) | 15.0 (10.0-20.0) | 12.5 (10.0-15.0) | 2.00x | 2.00x | yes |\n"
        );
    }

    #[test]
    fn less_can_be_better() {
        let row = Row {
            realm: vec![2.0],
            repacked: vec![8.0],
            plain: vec![4.0],
            ..Row::new("start", "s", Target::AtMost(1.0)).lower()
        };
        assert_eq!(row.ratio(), Spread::of(&[2.0]));
        assert_eq!(row.reached(), Some(false));
    }

    #[test]
    fn without_a_peer_there_is_no_ratio() {
        let row = Row { realm: vec![2.0], ..Row::new("decode", "tok/s", Target::Ratio(1.1)) };
        assert_eq!((row.ratio(), row.reached()), (None, None));
    }
}
