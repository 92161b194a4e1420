//! SentencePiece unigram (`tokenizer.ggml.model` = `t5`): the pieces whose scores add up to the most.
//!
//! One pass over the text keeps, for each place, the best way to get there. The work is at most as many steps
//! in a trie for each character as the longest piece has bytes, whatever the text is.

use std::collections::HashMap;

use super::{
    error::TokenizerError,
    pieces::{Fallback, Piece, literals, reachable},
    sentence::{SentenceNormalizer, Stretch},
    spec::TokenizerSpec,
    token::{TokenId, TokenKind},
    vocabulary::Vocabulary,
};

/// How much worse than the worst piece a character without a piece is.
const UNKNOWN_PENALTY: f32 = 10.0;
/// What a user-defined piece loses against the best score for each of its bytes.
const USER_DEFINED_PENALTY: f64 = 0.1;

/// The text encoder of SentencePiece unigram.
#[derive(Debug)]
pub(super) struct Unigram {
    normalizer: SentenceNormalizer,
    trie: Trie,
    unknown_score: f32,
    fallback: Fallback,
}

/// The best way to a place in the text.
#[derive(Debug, Clone, Copy)]
struct Best {
    score: f32,
    start: usize,
    /// `None`: a character without a piece.
    id: Option<TokenId>,
}

/// Pieces by their bytes. Node 0 is the root.
#[derive(Debug, Default)]
struct Trie {
    edges: HashMap<(u32, u8), u32>,
    pieces: HashMap<u32, Leaf>,
}

#[derive(Debug, Clone, Copy)]
struct Leaf {
    id: TokenId,
    score: f64,
}

impl Unigram {
    pub(super) fn new(
        spec: &TokenizerSpec,
        vocabulary: &Vocabulary,
    ) -> Result<Self, TokenizerError> {
        let pieces = reachable(spec, vocabulary)?;
        let normal = || {
            let normal = pieces.iter().filter(|piece| piece.kind == TokenKind::Normal);
            normal.map(|piece| piece.score)
        };
        let worst = normal().fold(f32::MAX, f32::min);
        let best = normal().fold(f32::MIN, f32::max);
        let mut trie = Trie::default();
        for piece in pieces.iter().filter(|piece| piece.kind != TokenKind::Unused) {
            trie.insert(piece, best);
        }
        Ok(Self {
            normalizer: SentenceNormalizer::new(spec, literals(&pieces), true)?,
            trie,
            unknown_score: worst - UNKNOWN_PENALTY,
            fallback: Fallback::new(spec, vocabulary)?,
        })
    }

    pub(super) fn normalizer(&self) -> &SentenceNormalizer {
        &self.normalizer
    }

    /// Adds the tokens of a text without special tokens.
    pub(super) fn encode(&self, stretch: Stretch<'_>, tokens: &mut Vec<TokenId>) {
        let text = self.normalizer.apply(stretch);
        let (best, _) = self.best_ways(&text);
        let mut end = text.len();
        let mut pieces = Vec::new();
        while let Some(way) = best.get(end).copied().flatten().filter(|way| way.start < end) {
            pieces.push((way, end));
            end = way.start;
        }
        let mut after_unknown = false;
        for (way, end) in pieces.into_iter().rev() {
            match way.id {
                Some(id) => tokens.push(id),
                None => self.fallback.push(&text[way.start..end], after_unknown, tokens),
            }
            after_unknown = way.id.is_none();
        }
    }

    /// The best way to each place, and the number of steps that were taken in the trie.
    fn best_ways(&self, text: &str) -> (Vec<Option<Best>>, usize) {
        let mut best: Vec<Option<Best>> = vec![None; text.len() + 1];
        let mut steps = 0;
        for (start, character) in text.char_indices() {
            let so_far = best[start].map_or(0.0, |way| way.score);
            let single = start + character.len_utf8();
            let mut has_single = false;
            let mut node = 0;
            for (&byte, end) in text.as_bytes()[start..].iter().zip(start + 1..) {
                steps += 1;
                let Some(&next) = self.trie.edges.get(&(node, byte)) else { break };
                node = next;
                let Some(leaf) = self.trie.pieces.get(&node) else { continue };
                has_single |= end == single;
                improve(&mut best[end], leaf.score + f64::from(so_far), start, Some(leaf.id));
            }
            if !has_single {
                let score = f64::from(self.unknown_score + so_far);
                improve(&mut best[single], score, start, None);
            }
        }
        (best, steps)
    }
}

/// Takes a way when it is better; of equal ones the first stays, as in SentencePiece.
fn improve(best: &mut Option<Best>, score: f64, start: usize, id: Option<TokenId>) {
    if best.is_none_or(|best| score > f64::from(best.score)) {
        *best = Some(Best { score: score as f32, start, id });
    }
}

impl Trie {
    fn insert(&mut self, piece: &Piece<'_>, best_score: f32) {
        let mut node = 0;
        for &byte in piece.text.as_bytes() {
            let fresh = self.edges.len() as u32 + 1;
            node = *self.edges.entry((node, byte)).or_insert(fresh);
        }
        let score = match piece.kind {
            TokenKind::UserDefined => {
                f64::from(piece.text.len() as f32 * best_score) - USER_DEFINED_PENALTY
            }
            _ => f64::from(piece.score),
        };
        self.pieces.entry(node).or_insert(Leaf { id: piece.id, score });
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{pieces::MAX_PIECE_BYTES, vocabulary::Spelling},
        *,
    };

    fn unigram(pieces: &[(&str, f32)]) -> Unigram {
        let mut spec = TokenizerSpec {
            model: "t5".to_owned(),
            tokens: vec!["<unk>".to_owned()],
            scores: vec![0.0],
            types: vec![2],
            add_space_prefix: Some(false),
            ..TokenizerSpec::default()
        };
        for (text, score) in pieces {
            spec.tokens.push((*text).to_owned());
            spec.scores.push(*score);
            spec.types.push(1);
        }
        let vocabulary = Vocabulary::new(&spec.tokens, &spec.types, Spelling::Boundaries).unwrap();
        Unigram::new(&spec, &vocabulary).unwrap()
    }

    fn encode(unigram: &Unigram, text: &str) -> Vec<TokenId> {
        let mut tokens = Vec::new();
        unigram.encode(Stretch { text, opens: true, closes: true }, &mut tokens);
        tokens
    }

    #[test]
    fn the_best_sum_wins() {
        let model = unigram(&[("a", -1.0), ("b", -1.0), ("ab", -1.5), ("abc", -9.0), ("c", -2.0)]);
        assert_eq!(encode(&model, "abc"), [3, 5]);
        assert_eq!(encode(&model, "ba"), [2, 1]);
        assert_eq!(encode(&model, "axxyb"), [1, 0, 2]);
        assert_eq!(encode(&model, ""), [0u32; 0]);
    }

    #[test]
    fn work_grows_with_the_text_and_its_longest_piece_only() {
        let long = "a".repeat(MAX_PIECE_BYTES + 1);
        let model = unigram(&[("a", -1.0), (&long[..16], -2.0), (&long, -3.0)]);
        let text = "a".repeat(1 << 20);
        let (_, steps) = model.best_ways(&text);
        assert!(steps <= 17 * text.len(), "{steps} steps");
        assert_eq!(encode(&model, &text).len(), text.len() / 16);
    }
}
