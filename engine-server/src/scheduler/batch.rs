//! Who is in the next step, and with how many tokens. Pure: sizes in, shares out.
//!
//! Every sequence that decodes gets its one token, so that a long prompt never stalls a stream; when they are more
//! than a step has tokens for, those of the tenants that were given least. What is left of the step's token budget
//! goes to prompts, less of it when sequences decode beside them, so that the time of a step and with it the time
//! between the tokens of a stream stays short. It goes in small pieces, each to the tenant that was given least, so
//! that their counters meet (see [`fairness`](super::fairness)); inside a tenant first come, first served.

use std::{collections::HashMap, hash::Hash};

use crate::scheduler::fairness::{DECODE_COST, Fairness, PREFILL_COST, Rules, Standing, Tally};

/// Prompt tokens that are handed out at once, at most; few enough that tenants end up even, and as many as kernels take together.
const PREFILL_PIECE: usize = 16;

/// What a running sequence needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// This many prompt tokens are not in the KV cache yet; at least 1.
    Prefill(usize),
    /// One token.
    Decode,
}

/// A running sequence, as this file sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a, T> {
    /// Who it belongs to.
    pub tenant: &'a T,
    /// What its tenant is entitled to.
    pub standing: Standing,
    /// What it needs.
    pub need: Need,
}

/// A sequence in the next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Place among the candidates.
    pub index: usize,
    /// Tokens that it takes; at least 1.
    pub tokens: usize,
}

/// A step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Composition {
    /// Who is in it, in the order of the candidates.
    pub shares: Vec<Share>,
    /// Candidates that needed more than they get while another tenant gets some of it, in the same order.
    pub hungry: Vec<usize>,
}

/// Composes a step of at most as many tokens as the budget has, and one for prompts where answers use it up.
pub fn compose<T: Eq + Hash + Clone>(
    candidates: &[Candidate<'_, T>],
    fairness: &Fairness<T>,
) -> Composition {
    let Rules { budget, .. } = fairness.rules();
    let mut split = Split::new(candidates, fairness);
    let decodes = split.decode(budget.decodes());
    split.prefill(budget.prefill(decodes));
    split.finish()
}

/// A step that is being composed.
struct Split<'c, 'a, T> {
    candidates: &'c [Candidate<'a, T>],
    /// Which tenant each candidate is of.
    party: Vec<usize>,
    tally: Tally,
    tokens: Vec<usize>,
}

impl<'c, 'a, T: Eq + Hash + Clone> Split<'c, 'a, T> {
    fn new(candidates: &'c [Candidate<'a, T>], fairness: &Fairness<T>) -> Self {
        let mut parties: Vec<(&T, Standing)> = Vec::new();
        let mut known: HashMap<&T, usize> = HashMap::new();
        let mut party = Vec::with_capacity(candidates.len());
        for Candidate { tenant, standing, .. } in candidates {
            party.push(*known.entry(tenant).or_insert_with(|| {
                parties.push((tenant, *standing));
                parties.len() - 1
            }));
        }
        let tally = fairness.tally(parties.into_iter());
        Self { candidates, party, tally, tokens: vec![0; candidates.len()] }
    }

    /// One token for each that decodes, as far as there is room. Returns how many.
    fn decode(&mut self, room: usize) -> usize {
        let decoding = |at: &usize| self.candidates[*at].need == Need::Decode;
        let mut left: Vec<usize> = (0..self.candidates.len()).filter(decoding).collect();
        if left.len() <= room {
            for &at in &left {
                self.give(at, 1, DECODE_COST);
            }
            return left.len();
        }
        for _ in 0..room {
            let Some(party) = self.tally.least(left.iter().map(|&at| self.party[at])) else {
                break;
            };
            let Some(place) = left.iter().position(|&at| self.party[at] == party) else { break };
            let at = left.remove(place);
            self.give(at, 1, DECODE_COST);
        }
        room
    }

    /// Hands prompt tokens out.
    fn prefill(&mut self, mut budget: usize) {
        // Per tenant, those that have something left, the first one last.
        let mut lines: Vec<Vec<usize>> = vec![Vec::new(); self.party.len()];
        for at in (0..self.candidates.len()).rev().filter(|&at| self.left(at) > 0) {
            lines[self.party[at]].push(at);
        }
        let tenants = lines.iter().filter(|line| !line.is_empty()).count();
        let piece = (budget / tenants.max(1)).clamp(1, PREFILL_PIECE);
        while budget > 0 {
            let open = (0..lines.len()).filter(|&party| !lines[party].is_empty());
            let Some(party) = self.tally.least(open) else { return };
            let Some(&at) = lines[party].last() else { return };
            let tokens = self.left(at).min(piece).min(budget);
            self.give(at, tokens, PREFILL_COST);
            budget -= tokens;
            if self.left(at) == 0 {
                lines[party].pop();
            }
        }
    }

    /// Prompt tokens that a candidate has not been given yet.
    fn left(&self, at: usize) -> usize {
        match self.candidates[at].need {
            Need::Decode => 0,
            Need::Prefill(tokens) => tokens - self.tokens[at],
        }
    }

    fn give(&mut self, at: usize, tokens: usize, cost: u64) {
        self.tokens[at] += tokens;
        self.tally.charge(self.party[at], tokens as u64 * cost);
    }

    fn finish(self) -> Composition {
        let given = |at: &usize| self.tokens[*at] > 0;
        let shares = (0..self.tokens.len()).filter(given);
        let shares = shares.map(|index| Share { index, tokens: self.tokens[index] }).collect();
        let hungry = (0..self.tokens.len()).filter(|&at| self.lacks(at)).collect();
        Composition { shares, hungry }
    }

    /// Whether a candidate went short of something that another tenant got.
    fn lacks(&self, at: usize) -> bool {
        let decodes = self.candidates[at].need == Need::Decode;
        let short = if decodes { self.tokens[at] == 0 } else { self.left(at) > 0 };
        let rival = |other: usize| {
            let same_kind = (self.candidates[other].need == Need::Decode) == decodes;
            same_kind && self.tokens[other] > 0 && self.party[other] != self.party[at]
        };
        short && (0..self.tokens.len()).any(rival)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::{
        budget::Budget,
        fairness::{Class, Served},
    };

    const D: Need = Need::Decode;
    const EQUAL: Standing = Standing { class: Class::Standard, weight: 100 };

    fn fairness(budget: Budget) -> Fairness<char> {
        Fairness::new(Rules { places: 8, budget })
    }

    fn candidate((tenant, need): &(char, Need)) -> Candidate<'_, char> {
        Candidate { tenant, standing: EQUAL, need: *need }
    }

    fn p(left: usize) -> Need {
        Need::Prefill(left)
    }

    #[test]
    fn steps_are_composed_fairly() {
        type Case = (&'static str, Vec<(char, Need)>, usize, Vec<(usize, usize)>);
        let cases: Vec<Case> = vec![
            ("nothing", vec![], 8, vec![]),
            ("only decode", vec![('a', D), ('b', D)], 8, vec![(0, 1), (1, 1)]),
            ("a prompt in chunks", vec![('a', p(20))], 8, vec![(0, 8)]),
            ("the last chunk", vec![('a', p(3))], 8, vec![(0, 3)]),
            (
                "decode goes beside prefill",
                vec![('a', D), ('b', p(20)), ('a', D)],
                8,
                vec![(0, 1), (1, 6), (2, 1)],
            ),
            (
                "one tenant: first come first",
                vec![('a', p(6)), ('a', p(6))],
                8,
                vec![(0, 6), (1, 2)],
            ),
            (
                "two tenants share evenly",
                vec![('a', p(20)), ('a', p(20)), ('b', p(20))],
                8,
                vec![(0, 4), (2, 4)],
            ),
            (
                "what one leaves the other takes",
                vec![('a', p(20)), ('b', p(2))],
                8,
                vec![(0, 6), (1, 2)],
            ),
            ("fewer tokens than tenants", vec![('a', p(9)), ('b', p(9))], 1, vec![(0, 1)]),
            (
                "more answers than tokens",
                vec![('a', D), ('a', D), ('b', D)],
                2,
                vec![(0, 1), (2, 1)],
            ),
            (
                "prefill moves even when decodes fill the budget",
                vec![('a', D), ('b', D), ('b', p(5))],
                2,
                vec![(0, 1), (1, 1), (2, 1)],
            ),
        ];
        for (name, needs, budget, expected) in cases {
            let candidates: Vec<_> = needs.iter().map(candidate).collect();
            let budget = Budget { tokens: budget, prefill_beside_decode: usize::MAX };
            let shares: Vec<_> = compose(&candidates, &fairness(budget))
                .shares
                .into_iter()
                .map(|share| (share.index, share.tokens))
                .collect();
            assert_eq!(shares, expected, "{name}");
        }
    }

    #[test]
    fn a_long_prompt_is_read_in_small_pieces_beside_decodes() {
        let budget = Budget { tokens: 512, prefill_beside_decode: 32 };
        let taken = |needs: &[(char, Need)]| -> Vec<usize> {
            let candidates: Vec<_> = needs.iter().map(candidate).collect();
            let step = compose(&candidates, &fairness(budget));
            step.shares.into_iter().map(|share| share.tokens).collect()
        };
        let prompts = [('a', p(4096)), ('b', p(4096))];
        assert_eq!(taken(&prompts), [256, 256], "nobody waits for it");
        assert_eq!(taken(&[prompts[0], ('c', D), prompts[1]]), [16, 1, 16]);
        let full: Vec<_> = std::iter::repeat_n(('c', D), 511).chain([prompts[0]]).collect();
        assert_eq!(taken(&full).iter().sum::<usize>(), 512, "the step's budget holds, too");
    }

    #[test]
    fn prompt_tokens_make_up_for_what_was_given_before() {
        let budget = Budget { tokens: 96, prefill_beside_decode: 96 };
        let mut fairness = fairness(budget);
        let served = |tenant, cost| Served { tenant, standing: EQUAL, cost };
        fairness.settle(&[served(&'a', 64), served(&'b', 32)], &[(&'c', EQUAL), (&'b', EQUAL)]);
        let needs = [('a', p(500)), ('b', p(500)), ('c', p(500))];
        let candidates: Vec<_> = needs.iter().map(candidate).collect();
        let tokens = |step: Composition| -> Vec<(usize, usize)> {
            step.shares.into_iter().map(|share| (share.index, share.tokens)).collect()
        };
        let step = compose(&candidates, &fairness);
        assert_eq!(step.hungry, [0, 1, 2]);
        assert_eq!(tokens(step), [(1, 32), (2, 64)]);
        let heavy = Standing { weight: 300, ..EQUAL };
        let mut candidates = candidates;
        candidates[1].standing = heavy;
        let fresh = Fairness::new(fairness.rules());
        let step = compose(&candidates[1..], &fresh);
        assert_eq!(tokens(step), [(0, 64), (1, 32)], "pieces of 16 for weights of 3 to 1");
    }

    #[test]
    fn hungry_is_who_lacks_what_another_tenant_gets() {
        let budget = Budget { tokens: 64, prefill_beside_decode: 16 };
        let hungry = |needs: &[(char, Need)]| {
            let candidates: Vec<_> = needs.iter().map(candidate).collect();
            compose(&candidates, &fairness(budget)).hungry
        };
        assert_eq!(hungry(&[('a', p(500)), ('b', D)]), [0; 0], "only its own prompt is in its way");
        assert_eq!(hungry(&[('a', p(500)), ('a', p(500))]), [0; 0]);
        assert_eq!(hungry(&[('a', p(500)), ('b', p(8))]), [0]);
    }
}
