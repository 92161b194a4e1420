//! Who is in the next step, and with how many tokens. Pure: sizes in, shares out.
//!
//! Every sequence that decodes gets its one token, so that a long prompt never stalls a stream. What is left of the
//! step's token budget goes to prompts, less of it when sequences decode beside them, so that the time of a step and with
//! it the time between the tokens of a stream stays short. It is split evenly between the tenants that have one (what a tenant does not need goes
//! to the others), and inside a tenant first come, first served.

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
pub struct Candidate<T> {
    /// Who it belongs to.
    pub tenant: T,
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

/// Tokens of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Of all sequences.
    pub tokens: usize,
    /// Of prompts, when other sequences decode in the same step.
    pub prefill_beside_decode: usize,
}

impl Budget {
    /// What prompts may take beside so many decodes. At least one token, so that they always move on.
    fn prefill(self, decodes: usize) -> usize {
        let left = self.tokens.saturating_sub(decodes);
        let bound = if decodes == 0 { left } else { left.min(self.prefill_beside_decode) };
        bound.max(1)
    }
}

/// Composes a step of at most `max(budget, candidates)` tokens. `turn` counts steps: the tenant that is served first
/// moves on with it. Shares come in the order of the candidates.
pub fn compose<T: PartialEq + Copy>(
    candidates: &[Candidate<T>],
    budget: Budget,
    turn: usize,
) -> Vec<Share> {
    let decodes = candidates.iter().filter(|candidate| candidate.need == Need::Decode).count();
    let mut granted = grant(&demands(candidates, turn), budget.prefill(decodes));
    let mut shares = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        let tokens = match candidate.need {
            Need::Decode => 1,
            Need::Prefill(left) => draw(&mut granted, candidate.tenant, left),
        };
        if tokens > 0 {
            shares.push(Share { index, tokens });
        }
    }
    shares
}

/// Prompt tokens that each tenant could take, in serving order.
fn demands<T: PartialEq + Copy>(candidates: &[Candidate<T>], turn: usize) -> Vec<(T, usize)> {
    let mut demands: Vec<(T, usize)> = Vec::new();
    for candidate in candidates {
        let Need::Prefill(left) = candidate.need else { continue };
        match demands.iter_mut().find(|(tenant, _)| *tenant == candidate.tenant) {
            Some((_, demand)) => *demand += left,
            None => demands.push((candidate.tenant, left)),
        }
    }
    if !demands.is_empty() {
        let first = turn % demands.len();
        demands.rotate_left(first);
    }
    demands
}

/// Splits `budget` evenly; what one does not need goes to the others, and the first in order get the remainder.
fn grant<T: Copy>(demands: &[(T, usize)], mut budget: usize) -> Vec<(T, usize)> {
    let mut granted: Vec<(T, usize)> = demands.iter().map(|&(tenant, _)| (tenant, 0)).collect();
    loop {
        let hungry: Vec<usize> =
            (0..demands.len()).filter(|&at| granted[at].1 < demands[at].1).collect();
        if hungry.is_empty() || budget == 0 {
            return granted;
        }
        let even = (budget / hungry.len()).max(1);
        for at in hungry {
            let tokens = even.min(demands[at].1 - granted[at].1).min(budget);
            granted[at].1 += tokens;
            budget -= tokens;
        }
    }
}

fn draw<T: PartialEq + Copy>(granted: &mut [(T, usize)], tenant: T, wanted: usize) -> usize {
    let Some((_, left)) = granted.iter_mut().find(|(owner, _)| *owner == tenant) else { return 0 };
    let tokens = wanted.min(*left);
    *left -= tokens;
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: Need = Need::Decode;
    fn p(left: usize) -> Need {
        Need::Prefill(left)
    }

    #[test]
    fn steps_are_composed_fairly() {
        type Case = (&'static str, Vec<(char, Need)>, usize, usize, Vec<(usize, usize)>);
        let cases: Vec<Case> = vec![
            ("nothing", vec![], 8, 0, vec![]),
            ("only decode", vec![('a', D), ('b', D)], 8, 0, vec![(0, 1), (1, 1)]),
            ("a prompt in chunks", vec![('a', p(20))], 8, 0, vec![(0, 8)]),
            ("the last chunk", vec![('a', p(3))], 8, 0, vec![(0, 3)]),
            (
                "decode goes beside prefill",
                vec![('a', D), ('b', p(20)), ('a', D)],
                8,
                0,
                vec![(0, 1), (1, 6), (2, 1)],
            ),
            (
                "one tenant: first come first",
                vec![('a', p(6)), ('a', p(6))],
                8,
                0,
                vec![(0, 6), (1, 2)],
            ),
            (
                "two tenants share evenly",
                vec![('a', p(20)), ('a', p(20)), ('b', p(20))],
                8,
                0,
                vec![(0, 4), (2, 4)],
            ),
            (
                "what one leaves the other takes",
                vec![('a', p(20)), ('b', p(2))],
                8,
                0,
                vec![(0, 6), (1, 2)],
            ),
            ("odd budget, first turn", vec![('a', p(9)), ('b', p(9))], 3, 0, vec![(0, 2), (1, 1)]),
            ("odd budget, second turn", vec![('a', p(9)), ('b', p(9))], 3, 1, vec![(0, 1), (1, 2)]),
            (
                "budget below the tenants, turn 0",
                vec![('a', p(9)), ('b', p(9))],
                1,
                0,
                vec![(0, 1)],
            ),
            (
                "budget below the tenants, turn 1",
                vec![('a', p(9)), ('b', p(9))],
                1,
                1,
                vec![(1, 1)],
            ),
            (
                "prefill moves even when decodes fill the budget",
                vec![('a', D), ('b', D), ('b', p(5))],
                2,
                0,
                vec![(0, 1), (1, 1), (2, 1)],
            ),
        ];
        for (name, needs, budget, turn, expected) in cases {
            let candidates: Vec<_> =
                needs.into_iter().map(|(tenant, need)| Candidate { tenant, need }).collect();
            let budget = Budget { tokens: budget, prefill_beside_decode: usize::MAX };
            let shares: Vec<_> = compose(&candidates, budget, turn)
                .into_iter()
                .map(|share| (share.index, share.tokens))
                .collect();
            assert_eq!(shares, expected, "{name}");
        }
    }
    #[test]
    fn a_long_prompt_is_read_in_small_pieces_beside_decodes() {
        let budget = Budget { tokens: 512, prefill_beside_decode: 32 };
        let candidate = |tenant, need| Candidate { tenant, need };
        let taken = |candidates: &[Candidate<char>]| -> Vec<usize> {
            compose(candidates, budget, 0).into_iter().map(|share| share.tokens).collect()
        };
        let prompts = [candidate('a', p(4096)), candidate('b', p(4096))];
        assert_eq!(taken(&prompts), [256, 256], "nobody waits for it");
        let beside = [prompts[0], candidate('c', D), prompts[1]];
        assert_eq!(taken(&beside), [16, 1, 16]);
        let decodes: Vec<_> = std::iter::repeat_n(candidate('c', D), 511).collect();
        let full: Vec<_> = decodes.into_iter().chain([prompts[0]]).collect();
        assert_eq!(taken(&full).iter().sum::<usize>(), 512, "the step's budget holds, too");
    }
}
