//! Room in the KV cache: whether one more sequence may begin, who waits for another's work, and who gives way when pages
//! run out. Pure: what runs goes in, a decision comes out.

use realm_engine::engine::{PAGE_TOKENS, TokenId};

/// What a sequence has and is going to need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Tokens that are known: the prompt, and what was produced.
    pub tokens: usize,
    /// Pages that it has.
    pub pages: usize,
}

impl Holding {
    /// Pages that it is about to take: for its known tokens, and one to go on with.
    fn promised(self) -> usize {
        (self.tokens.div_ceil(PAGE_TOKENS) + 1).saturating_sub(self.pages)
    }
}

/// Whether a sequence fits beside those that run. Each is given what it is about to need, so that what has just begun does
/// not have to give way at once. With nothing else running everything may try.
pub fn fits(
    running: impl ExactSizeIterator<Item = Holding>,
    next: Holding,
    available: usize,
) -> bool {
    running.len() == 0
        || running.map(Holding::promised).sum::<usize>() + next.promised() <= available
}

/// What a running sequence takes of the KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taking<T> {
    /// Whose.
    pub tenant: T,
    /// The part of all that its tenant is entitled to, compared with the others' parts.
    pub share: u64,
    /// Pages that it holds.
    pub pages: usize,
}

/// Who gives way when pages run out: of the tenant that holds most pages for its share, the sequence that began last and
/// holds any. `running` is in the order in which they began.
pub fn gives_way<T: PartialEq + Copy>(running: &[Taking<T>]) -> Option<usize> {
    let held = |taking: &Taking<T>| -> u128 {
        let own = running.iter().filter(|other| other.tenant == taking.tenant);
        let pages: usize = own.map(|taking| taking.pages).sum();
        (pages as u128 * SHARE_SCALE) / u128::from(taking.share.max(1))
    };
    let largest = running.iter().max_by_key(|taking| held(taking))?;
    running.iter().rposition(|taking| taking.tenant == largest.tenant && taking.pages > 0)
}

/// Parts of a page per share that are told apart.
const SHARE_SCALE: u128 = 1 << 32;

/// Pages that a sequence of so many known tokens comes to hold. Pages that it shares count for it, too.
fn whole_pages(tokens: usize) -> usize {
    tokens.div_ceil(PAGE_TOKENS)
}

/// Whether a tenant has room in its own budget for one more sequence beside those of its that run, given as known
/// tokens: each with a page to go on with. With none of its running it may try.
pub fn fits_budget(
    running: impl ExactSizeIterator<Item = usize>,
    next: usize,
    budget_pages: usize,
) -> bool {
    running.len() == 0
        || running.chain([next]).map(|tokens| whole_pages(tokens) + 1).sum::<usize>()
            <= budget_pages
}

/// Whether a tenant's running sequences, given as known tokens, come to hold more than its budget together, so that its
/// newest gives way to the others. A single one has nobody to give way to; its context ends at the budget.
pub fn over_budget(known_tokens: &[usize], budget_pages: usize) -> bool {
    let pages: usize = known_tokens.iter().map(|&tokens| whole_pages(tokens)).sum();
    known_tokens.len() > 1 && pages > budget_pages
}

/// Tokens that may be guessed beyond the known ones without a page more than they come to hold.
pub fn guessable(known_tokens: usize) -> usize {
    whole_pages(known_tokens) * PAGE_TOKENS - known_tokens
}

/// A prompt that is being read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a, T> {
    /// Whose.
    pub tenant: T,
    /// All of it.
    pub tokens: &'a [TokenId],
    /// How much of it is read.
    pub computed: usize,
}

/// Whether `next` had better wait, because `first`, which is served before it, is about to compute the page of tokens that
/// it needs next, or has the very same prompt.
pub fn awaits<T: PartialEq>(next: &Reading<'_, T>, first: &Reading<'_, T>) -> bool {
    let end = (next.computed / PAGE_TOKENS + 1) * PAGE_TOKENS;
    // The last token of a prompt is always computed.
    let shareable = end < next.tokens.len() && first.computed < end;
    let page = shareable && first.tokens.get(..end) == next.tokens.get(..end);
    // Choices of one prompt: the first leaves them a single token to compute.
    let same = next.computed + 1 < next.tokens.len() && first.tokens == next.tokens;
    next.tenant == first.tenant && (page || same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_begins_when_all_can_go_on() {
        let holding = |tokens, pages| Holding { tokens, pages };
        let next = holding(100, 0);
        let cases = [
            ("nothing runs", vec![], 0, true),
            ("five pages for the new one", vec![holding(64, 3)], 5, true),
            ("one short", vec![holding(64, 3)], 4, false),
            ("a prompt that is still being read needs its pages", vec![holding(320, 2)], 13, false),
            ("and then both fit", vec![holding(320, 2)], 14, true),
        ];
        for (name, running, available, expected) in cases {
            assert_eq!(fits(running.into_iter(), next, available), expected, "{name}");
        }
    }

    #[test]
    fn the_youngest_of_the_largest_holder_gives_way() {
        type Case = (&'static str, &'static [(char, u64, usize)], Option<usize>);
        let cases: [Case; 6] = [
            ("nobody", &[], None),
            ("alone", &[('a', 1, 3)], Some(0)),
            (
                "the tenant with most, though each has less",
                &[('a', 1, 2), ('b', 1, 3), ('a', 1, 2)],
                Some(2),
            ),
            ("most for its share", &[('a', 4, 9), ('b', 1, 3), ('a', 4, 2)], Some(1)),
            ("who has none frees none", &[('a', 1, 4), ('b', 1, 3), ('a', 1, 0)], Some(0)),
            ("nobody holds any", &[('a', 1, 0)], None),
        ];
        for (name, running, expected) in cases {
            let taking =
                |&(tenant, share, pages): &(char, u64, usize)| Taking { tenant, share, pages };
            let running: Vec<Taking<char>> = running.iter().map(taking).collect();
            assert_eq!(gives_way(&running), expected, "{name}");
        }
    }

    #[test]
    fn a_tenant_stays_within_its_budget() {
        let fits =
            |running: &[usize], next, budget| fits_budget(running.iter().copied(), next, budget);
        assert!(fits(&[], 1000, 1), "alone it may try");
        assert!(fits(&[32], 33, 5));
        assert!(!fits(&[33], 33, 5), "each needs a page to go on with");
        assert!(!over_budget(&[64, 64, 32], 5));
        assert!(over_budget(&[65, 64, 32], 5));
        assert!(!over_budget(&[65, 65], 6));
        assert!(!over_budget(&[500], 5), "nobody of its is there to give way to");
        assert_eq!([1, 31, 32, 33].map(guessable), [31, 1, 0, 31]);
    }

    #[test]
    fn a_prompt_waits_for_pages_that_are_about_to_be_computed() {
        let tokens: Vec<TokenId> = (0..100).collect();
        let mut other = tokens.clone();
        other[40] = 7;
        let reading = |tenant, tokens, computed| Reading { tenant, tokens, computed };
        let next = reading('a', &tokens[..70], 0);
        assert!(awaits(&next, &reading('a', &tokens, 0)));
        assert!(awaits(&next, &reading('a', &tokens, 31)));
        assert!(awaits(&next, &reading('a', &other, 0)), "its first page is the same");
        assert!(!awaits(&next, &reading('a', &tokens, 32)), "the page is there to be taken");
        assert!(!awaits(&next, &reading('b', &tokens, 0)), "tenants share nothing");
        let later = reading('a', &tokens[..70], 32);
        assert!(awaits(&later, &reading('a', &tokens, 40)));
        assert!(!awaits(&later, &reading('a', &other, 40)), "they differ in the second page");
        assert!(!awaits(&reading('a', &tokens[..64], 32), &reading('a', &tokens, 32)));
        let short = |computed| reading('a', &tokens[..20], computed);
        assert!(awaits(&short(0), &short(0)), "the same prompt, also a short one");
        assert!(!awaits(&short(19), &short(0)), "its last token is its own to compute");
        assert!(!awaits(&short(0), &reading('a', &tokens[..21], 0)));
    }
}
