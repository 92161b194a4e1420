//! Random lives of sequences against a model that stores plain tokens: every sequence reads back its own keys and values,
//! holders and free pages add up, no page is lost, and nothing passes from one salt to another.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is wrong")]

use proptest::prelude::*;
use realm_engine::{
    kv_cache::{KvCache, KvError, KvShape, KvType, PAGE_TOKENS, PrefixSalt, SequenceId},
    tokenizer::TokenId,
};

const SHAPE: KvShape = KvShape {
    layers: 2,
    heads: 2,
    key_dim: 3,
    value_dim: 2,
    context_length: 5 * PAGE_TOKENS,
    sequences: 4,
    pages: 9,
    kv_type: KvType::F32,
};

#[derive(Debug, Clone)]
enum Act {
    Open {
        salt: usize,
    },
    Close {
        at: usize,
    },
    /// Adds the same token some times; few tokens, so that histories are often the same.
    Append {
        at: usize,
        token: TokenId,
        times: usize,
    },
    /// Adds to all sequences in one step.
    AppendAll {
        token: TokenId,
        times: usize,
    },
    Fork {
        at: usize,
    },
    Truncate {
        at: usize,
        length: usize,
    },
    /// Wants to go on like another sequence, and then with a token more.
    Reuse {
        at: usize,
        like: usize,
    },
    /// Makes room and then does not use it, as a step that fails.
    Reserve {
        at: usize,
        times: usize,
    },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let (at, token, times) = (0..4_usize, 0..2_u32, 1..70_usize);
    let act = prop_oneof![
        2 => (0..4_usize).prop_map(|salt| Act::Open { salt }),
        1 => at.clone().prop_map(|at| Act::Close { at }),
        6 => (at.clone(), token.clone(), times.clone())
            .prop_map(|(at, token, times)| Act::Append { at, token, times }),
        2 => (token, 1..34_usize).prop_map(|(token, times)| Act::AppendAll { token, times }),
        2 => at.clone().prop_map(|at| Act::Fork { at }),
        2 => (at.clone(), 0..160_usize).prop_map(|(at, length)| Act::Truncate { at, length }),
        4 => (at.clone(), at.clone()).prop_map(|(at, like)| Act::Reuse { at, like }),
        1 => (at, times).prop_map(|(at, times)| Act::Reserve { at, times }),
    ];
    proptest::collection::vec(act, 1..60)
}

/// Salts 0 and 1 are private, 2 is public, 3 is none.
fn salt(number: usize) -> Option<PrefixSalt> {
    match number {
        0 => Some(PrefixSalt::Private("a".into())),
        1 => Some(PrefixSalt::Private("b".into())),
        2 => Some(PrefixSalt::Public),
        _ => None,
    }
}

#[derive(Debug, Clone)]
struct Known {
    id: SequenceId,
    salt: usize,
    tokens: Vec<TokenId>,
}

struct Bench {
    cache: KvCache,
    known: Vec<Known>,
}

/// What is stored of a token: a number for its whole history, exact in single precision.
fn mark(history: &[TokenId]) -> f32 {
    let hash = history.iter().fold(17_u64, |hash, &token| {
        (hash ^ u64::from(token + 1)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23)
    });
    (hash >> 41) as f32
}

impl Bench {
    fn at(&self, at: usize) -> Option<usize> {
        (!self.known.is_empty()).then(|| at % self.known.len())
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Open { salt: number } => match self.cache.open(salt(number)) {
                Some(id) => self.known.push(Known { id, salt: number, tokens: Vec::new() }),
                None => assert_eq!(self.known.len(), SHAPE.sequences),
            },
            Act::AppendAll { token, times } => {
                self.append(&(0..self.known.len()).collect::<Vec<_>>(), token, times);
            }
            Act::Close { at }
            | Act::Append { at, .. }
            | Act::Fork { at }
            | Act::Truncate { at, .. }
            | Act::Reuse { at, .. }
            | Act::Reserve { at, .. } => {
                if let Some(at) = self.at(at) {
                    self.act_on(at, act);
                }
            }
        }
    }

    fn act_on(&mut self, at: usize, act: &Act) {
        let id = self.known[at].id;
        match *act {
            Act::Close { .. } => {
                self.cache.close(id);
                self.known.remove(at);
            }
            Act::Append { token, times, .. } => self.append(&[at], token, times),
            Act::Fork { .. } => match self.cache.fork(id) {
                Some(id) => self.known.push(Known { id, ..self.known[at].clone() }),
                None => assert_eq!(self.known.len(), SHAPE.sequences),
            },
            Act::Truncate { length, .. } => {
                self.cache.truncate(id, length).unwrap();
                self.known[at].tokens.truncate(length);
            }
            Act::Reuse { like, .. } => self.reuse(at, like % self.known.len()),
            Act::Reserve { times, .. } => {
                let _ = self.cache.reserve(&[(id, times)]);
            }
            Act::Open { .. } | Act::AppendAll { .. } => {}
        }
    }

    fn append(&mut self, places: &[usize], token: TokenId, times: usize) {
        let wants: Vec<_> = places.iter().map(|&at| (self.known[at].id, times)).collect();
        let available = self.cache.available_pages();
        match self.cache.reserve(&wants) {
            Ok(()) => {}
            Err(KvError::Full { length, .. }) => {
                assert!(length + times > SHAPE.context_length);
                return;
            }
            Err(KvError::OutOfPages { needed, available: told }) => {
                assert!(needed > available && told == available);
                assert_eq!(self.cache.available_pages(), available);
                return;
            }
            Err(error) => panic!("{error}"),
        }
        for &at in places {
            let Known { id, salt, tokens } = &mut self.known[at];
            let first = tokens.len();
            tokens.extend(std::iter::repeat_n(token, times));
            for layer in 0..SHAPE.layers {
                let marks = (first..tokens.len()).map(|end| mark(&tokens[..=end]));
                let keys: Vec<f32> =
                    marks.clone().flat_map(|mark| [mark + layer as f32; 6]).collect();
                let values: Vec<f32> = marks.flat_map(|_| [*salt as f32; 4]).collect();
                self.cache.write_run(layer, *id, first, &keys, &values);
            }
            self.cache.advance(*id, &tokens[first..]);
        }
    }

    fn reuse(&mut self, at: usize, like: usize) {
        let held = self.known[at].tokens.len();
        let mut wanted = self.known[like].tokens.clone();
        wanted.push(1);
        let now = self.cache.reuse(self.known[at].id, &wanted);
        if now == held {
            return;
        }
        assert!(now > held && now < wanted.len() && wanted.starts_with(&self.known[at].tokens));
        assert_ne!(self.known[at].salt, 3, "who has no salt shares nothing");
        self.known[at].tokens = wanted[..now].to_vec();
    }

    fn check(&self) {
        self.cache.audit().unwrap();
        for Known { id, salt, tokens } in &self.known {
            assert_eq!(self.cache.len(*id), Some(tokens.len()));
            for layer in 0..SHAPE.layers {
                let view = self.cache.view(layer, *id);
                for end in 0..tokens.len() {
                    let (page, place) = (end / PAGE_TOKENS, end % PAGE_TOKENS);
                    let mut tile = [0.0; PAGE_TOKENS * 3];
                    view.keys(page, 1, place + 1, &mut tile);
                    assert_eq!(tile[place * 3 + 2], mark(&tokens[..=end]) + layer as f32);
                    view.values(page, 0, place + 1, &mut tile);
                    let owner = tile[place * 2];
                    assert!(
                        owner == *salt as f32 || (owner == 2.0 && *salt < 2),
                        "of {owner}, in {salt}"
                    );
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_sequence_keeps_its_own_and_no_page_is_lost(acts in acts()) {
        let mut bench = Bench { cache: KvCache::new(SHAPE).unwrap(), known: Vec::new() };
        for act in &acts {
            bench.act(act);
            bench.check();
        }
        for Known { id, .. } in std::mem::take(&mut bench.known) {
            bench.cache.close(id);
        }
        bench.check();
        prop_assert_eq!(bench.cache.available_pages(), SHAPE.pages);
        // Idle pages can all be had: two sequences fill the pool to its last page.
        for pages in [5, 4] {
            let id = bench.cache.open(None).unwrap();
            bench.cache.reserve(&[(id, pages * PAGE_TOKENS)]).unwrap();
        }
        prop_assert_eq!(bench.cache.available_pages(), 0);
        bench.check();
    }
}
