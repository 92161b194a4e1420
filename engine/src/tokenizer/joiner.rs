//! Joins neighbours by rank until no rule fits: the loop that every kind of byte-pair encoding shares.
//!
//! A linked list of parts and a heap of candidate pairs: `n log n` for any text, also for one letter repeated a million
//! times. A text of `n` parts makes at most `3 n` candidates; [`join_all`] returns how many it made, for tests.

use std::{cmp::Reverse, collections::BinaryHeap};

/// Number of a symbol: a token id, or a number past the vocabulary for an intermediate that is no token.
pub(super) type Symbol = u32;

/// Marks the end of the list, and a part that has been joined to the one before it.
const NONE: u32 = u32::MAX;

/// A part of a text: its symbol and where its bytes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) symbol: Symbol,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// What two neighbours become, and how early: the lowest rank first, then from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Join {
    pub(super) rank: u32,
    pub(super) symbol: Symbol,
}

/// Says which neighbours join.
pub(super) trait Rules {
    fn join(&self, left: Part, right: Part) -> Option<Join>;
}

/// A pair that may be joined: rank, place of its left part, where its right part ends, what it becomes.
/// A part that has grown since ends elsewhere, so a candidate that is out of date is seen by its end.
type Candidate = Reverse<(u32, u32, u32, Symbol)>;

#[derive(Clone, Copy)]
struct Node {
    part: Part,
    previous: u32,
    next: u32,
}

struct Joining<'r, R> {
    rules: &'r R,
    nodes: Vec<Node>,
    candidates: BinaryHeap<Candidate>,
    made: usize,
}

/// Joins the parts in place. They follow one another without gaps and are not empty. Returns the number of candidates
/// that were made.
pub(super) fn join_all(rules: &impl Rules, parts: &mut Vec<Part>) -> usize {
    if parts.len() < 2 {
        return 0;
    }
    let mut joining = Joining::new(rules, parts);
    joining.run();
    parts.clear();
    parts.extend(joining.parts());
    joining.made
}

impl<'r, R: Rules> Joining<'r, R> {
    fn new(rules: &'r R, parts: &[Part]) -> Self {
        let last = parts.len() as u32 - 1;
        let node = |(part, at): (&Part, u32)| Node {
            part: *part,
            previous: at.checked_sub(1).unwrap_or(NONE),
            next: if at == last { NONE } else { at + 1 },
        };
        let nodes = parts.iter().zip(0..).map(node).collect();
        let mut joining = Self { rules, nodes, candidates: BinaryHeap::new(), made: 0 };
        (0..last).for_each(|at| joining.propose(at));
        joining
    }

    /// Joins the best candidate until none is left.
    fn run(&mut self) {
        while let Some(Reverse((_, at, end, symbol))) = self.candidates.pop() {
            if self.pair(at).is_some_and(|(_, right)| right.end == end) {
                self.join(at, symbol);
            } // else a neighbour has been joined since
        }
    }

    /// The pair that starts at `at`.
    fn pair(&self, at: u32) -> Option<(Part, Part)> {
        let node = self.nodes.get(at as usize).filter(|node| node.part.symbol != NONE)?;
        let next = self.nodes.get(node.next as usize)?;
        Some((node.part, next.part))
    }

    /// Puts the pair that starts at `at` among the candidates, when a rule joins it.
    fn propose(&mut self, at: u32) {
        if let Some((left, right)) = self.pair(at)
            && let Some(Join { rank, symbol }) = self.rules.join(left, right)
        {
            self.made += 1;
            self.candidates.push(Reverse((rank, at, right.end, symbol)));
        }
    }

    /// Replaces the pair that starts at `at` by one part.
    fn join(&mut self, at: u32, symbol: Symbol) {
        let Node { part, previous, next: gone } = self.nodes[at as usize];
        let Node { part: Part { end, .. }, next: after, .. } = self.nodes[gone as usize];
        self.nodes[gone as usize].part.symbol = NONE;
        self.nodes[at as usize] =
            Node { part: Part { symbol, end, ..part }, previous, next: after };
        if let Some(node) = self.nodes.get_mut(after as usize) {
            node.previous = at;
        }
        self.propose(previous);
        self.propose(at);
    }

    fn parts(&self) -> impl Iterator<Item = Part> {
        self.nodes.iter().map(|node| node.part).filter(|part| part.symbol != NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rank by place; the symbols 0, 1, 2 are letters.
    struct Table<'t>(&'t [(Symbol, Symbol, Symbol)]);

    impl Rules for Table<'_> {
        fn join(&self, left: Part, right: Part) -> Option<Join> {
            let fits =
                |rule: &(Symbol, Symbol, Symbol)| (rule.0, rule.1) == (left.symbol, right.symbol);
            let at = self.0.iter().position(fits)?;
            Some(Join { rank: at as u32, symbol: self.0[at].2 })
        }
    }

    fn parts(symbols: &[Symbol]) -> Vec<Part> {
        let part = |(&symbol, start)| Part { symbol, start, end: start + 1 };
        symbols.iter().zip(0..).map(part).collect()
    }

    fn check(rules: &[(Symbol, Symbol, Symbol)], input: &[Symbol], expected: &[Symbol]) {
        let mut joined = parts(input);
        join_all(&Table(rules), &mut joined);
        assert_eq!(joined.iter().map(|part| part.symbol).collect::<Vec<_>>(), expected);
        assert!(joined.windows(2).all(|pair| pair[0].end == pair[1].start), "{joined:?}");
    }

    #[test]
    fn joins_by_rank_then_from_the_left() {
        check(&[(0, 1, 3), (1, 2, 4)], &[0, 1, 2], &[3, 2]);
        check(&[(1, 2, 4), (0, 1, 3)], &[0, 1, 2], &[0, 4]);
        check(&[(0, 0, 3)], &[0, 0, 0], &[3, 0]);
        check(&[(0, 0, 3), (3, 3, 4)], &[0; 7], &[4, 3, 0]);
        check(&[(0, 1, 3), (3, 2, 4)], &[0, 1, 2, 0, 1], &[4, 3]);
        check(&[(0, 1, 3)], &[2], &[2]);
        check(&[(0, 1, 3)], &[], &[]);
    }

    #[test]
    fn a_million_parts_make_at_most_three_candidates_each() {
        const PARTS: usize = 1 << 20;
        let doubling: Vec<_> = (0..12).map(|rank| (rank, rank, rank + 1)).collect();
        let mut joined = parts(&vec![0; PARTS]);
        let made = join_all(&Table(&doubling), &mut joined);
        assert_eq!(joined.len(), PARTS >> 12);
        assert!((PARTS..3 * PARTS).contains(&made), "{made} candidates");
    }
}
