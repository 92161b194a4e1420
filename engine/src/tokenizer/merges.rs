//! Byte-pair merges: joins neighbours by rank until no rule fits.
//!
//! A linked list of symbols and a heap of candidate pairs: `n log n` for any piece, also for one letter repeated for
//! 100 KB. Knows symbols by number only; text is the vocabulary's matter.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

/// Number of a symbol: a token id, or a number past the vocabulary for an intermediate that is no token.
pub(super) type Symbol = u32;

/// Marks the end of the list.
const NONE: u32 = u32::MAX;

/// What two neighbouring symbols become, and how early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Merge {
    rank: u32,
    joined: Symbol,
}

/// The merge rules of a vocabulary.
#[derive(Debug, Default)]
pub(super) struct Merges {
    rules: HashMap<(Symbol, Symbol), Merge>,
}

/// A pair that may be merged; orders by rank, then from left to right.
type Candidate = Reverse<(u32, u32, (Symbol, Symbol))>;

#[derive(Clone, Copy)]
struct Node {
    symbol: Symbol,
    previous: u32,
    next: u32,
}

/// A piece while it is being merged.
struct Piece<'m> {
    rules: &'m Merges,
    nodes: Vec<Node>,
    candidates: BinaryHeap<Candidate>,
}

impl Merges {
    /// Adds the rule of the next rank; the first rule for a pair stays.
    pub(super) fn push(&mut self, left: Symbol, right: Symbol, joined: Symbol) {
        let rank = self.rules.len() as u32;
        self.rules.entry((left, right)).or_insert(Merge { rank, joined });
    }

    /// Merges the symbols of one piece, in place.
    pub(super) fn apply(&self, symbols: &mut Vec<Symbol>) {
        if symbols.len() < 2 {
            return;
        }
        let mut piece = Piece::new(self, symbols);
        piece.merge_all();
        symbols.clear();
        symbols.extend(piece.symbols());
    }
}

impl<'m> Piece<'m> {
    fn new(rules: &'m Merges, symbols: &[Symbol]) -> Self {
        let last = symbols.len() as u32 - 1;
        let node = |(at, &symbol): (usize, &Symbol)| {
            let at = at as u32;
            Node {
                symbol,
                previous: at.checked_sub(1).unwrap_or(NONE),
                next: if at == last { NONE } else { at + 1 },
            }
        };
        let nodes: Vec<Node> = symbols.iter().enumerate().map(node).collect();
        let mut piece = Self { rules, nodes, candidates: BinaryHeap::new() };
        (0..last).for_each(|at| piece.propose(at));
        piece
    }

    /// Merges the best candidate until none is left.
    fn merge_all(&mut self) {
        while let Some(Reverse((_, at, pair))) = self.candidates.pop() {
            let Some(merge) =
                self.pair(at).filter(|&now| now == pair).and_then(|now| self.rules.rules.get(&now))
            else {
                continue; // a neighbour has been merged since
            };
            self.join(at, merge.joined);
        }
    }

    /// The pair that starts at `at`.
    fn pair(&self, at: u32) -> Option<(Symbol, Symbol)> {
        let node = self.nodes.get(at as usize)?;
        let next = self.nodes.get(node.next as usize)?;
        (node.symbol != NONE).then_some((node.symbol, next.symbol))
    }

    /// Puts the pair that starts at `at` among the candidates, when a rule joins it.
    fn propose(&mut self, at: u32) {
        if let Some(pair) = self.pair(at)
            && let Some(merge) = self.rules.rules.get(&pair)
        {
            self.candidates.push(Reverse((merge.rank, at, pair)));
        }
    }

    /// Replaces the pair that starts at `at` by one symbol.
    fn join(&mut self, at: u32, joined: Symbol) {
        let Node { previous, next: gone, .. } = self.nodes[at as usize];
        let after = self.nodes[gone as usize].next;
        self.nodes[gone as usize].symbol = NONE;
        self.nodes[at as usize] = Node { symbol: joined, previous, next: after };
        if let Some(node) = self.nodes.get_mut(after as usize) {
            node.previous = at;
        }
        self.propose(previous);
        self.propose(at);
    }

    fn symbols(&self) -> impl Iterator<Item = Symbol> {
        self.nodes.iter().map(|node| node.symbol).filter(|&symbol| symbol != NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Symbols 0, 1, 2 are letters; ranks in order.
    fn merges(rules: &[(Symbol, Symbol, Symbol)]) -> Merges {
        let mut merges = Merges::default();
        for &(left, right, joined) in rules {
            merges.push(left, right, joined);
        }
        merges
    }

    fn check(rules: &[(Symbol, Symbol, Symbol)], input: &[Symbol], expected: &[Symbol]) {
        let mut symbols = input.to_vec();
        merges(rules).apply(&mut symbols);
        assert_eq!(symbols, expected);
    }

    #[test]
    fn merges_by_rank_then_from_the_left() {
        check(&[(0, 1, 3), (1, 2, 4)], &[0, 1, 2], &[3, 2]);
        check(&[(1, 2, 4), (0, 1, 3)], &[0, 1, 2], &[0, 4]);
        check(&[(0, 0, 3)], &[0, 0, 0], &[3, 0]);
        check(&[(0, 0, 3), (3, 3, 4)], &[0; 7], &[4, 3, 0]);
        check(&[(0, 1, 3), (3, 2, 4)], &[0, 1, 2, 0, 1], &[4, 3]);
        check(&[(0, 1, 3)], &[2], &[2]);
        check(&[(0, 1, 3)], &[], &[]);
    }

    #[test]
    fn a_long_run_of_one_letter_is_not_quadratic() {
        let doubling: Vec<_> = (0..12).map(|rank| (rank, rank, rank + 1)).collect();
        let mut symbols = vec![0; 1 << 20];
        let started = std::time::Instant::now();
        merges(&doubling).apply(&mut symbols);
        assert_eq!(symbols, vec![12; 1 << 8]);
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "{:?}", started.elapsed());
    }
}
