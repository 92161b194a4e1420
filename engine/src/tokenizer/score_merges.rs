//! SentencePiece BPE (`tokenizer.ggml.model` = `llama`): neighbours join into the piece with the best score.

use std::collections::HashMap;

use super::{
    error::TokenizerError,
    joiner::{Join, Part, Rules, Symbol, join_all},
    pieces::{Fallback, MAX_PIECE_BYTES, Piece, literals, reachable},
    sentence::{SentenceNormalizer, Stretch},
    spec::TokenizerSpec,
    token::{TokenId, TokenKind},
    vocabulary::Vocabulary,
};

/// The symbol of a character that is no piece; joins nothing by itself, but a piece may contain it.
const NO_PIECE: Symbol = Symbol::MAX - 1;

/// The symbol of a user-defined piece, which joins nothing.
const LITERAL: Symbol = Symbol::MAX - 2;

/// The text encoder of SentencePiece BPE.
#[derive(Debug)]
pub(super) struct ScoreMerges {
    normalizer: SentenceNormalizer,
    pieces: HashMap<String, Scored>,
    fallback: Fallback,
}

#[derive(Debug, Clone, Copy)]
struct Scored {
    id: TokenId,
    /// Place among the scores, best first; equal scores share it.
    rank: u32,
    /// A stage of other pieces only.
    is_unused: bool,
}

/// The rules for one text.
struct TextRules<'t> {
    pieces: &'t HashMap<String, Scored>,
    text: &'t str,
    /// A piece that may not be made.
    without: Option<Symbol>,
}

impl ScoreMerges {
    pub(super) fn new(
        spec: &TokenizerSpec,
        vocabulary: &Vocabulary,
    ) -> Result<Self, TokenizerError> {
        let mut reachable = reachable(spec, vocabulary)?;
        let literals = literals(&reachable);
        reachable.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut pieces = HashMap::with_capacity(reachable.len());
        let (mut rank, mut before) = (0, None);
        for Piece { id, text, score, kind } in reachable {
            rank += u32::from(before.is_some_and(|before: f32| before > score));
            before = Some(score);
            let scored = Scored { id, rank, is_unused: kind == TokenKind::Unused };
            pieces.entry(text.into_owned()).or_insert(scored);
        }
        Ok(Self {
            normalizer: SentenceNormalizer::new(spec, literals, false)?,
            pieces,
            fallback: Fallback::new(spec, vocabulary)?,
        })
    }

    pub(super) fn normalizer(&self) -> &SentenceNormalizer {
        &self.normalizer
    }

    /// Adds the tokens of a text without special tokens.
    pub(super) fn encode(&self, stretch: Stretch<'_>, tokens: &mut Vec<TokenId>) {
        let text = self.normalizer.apply(stretch);
        let mut after_unknown = false;
        for part in self.join(&text, 0, None) {
            after_unknown = self.push(&text, part, after_unknown, tokens);
        }
    }

    /// The parts of `text`, which begins at `offset`, once nothing joins any more.
    fn join(&self, text: &str, offset: u32, without: Option<Symbol>) -> Vec<Part> {
        let mut parts = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let literal = self.normalizer.literals.longest(rest.as_bytes());
            let length = literal.map_or(character.len_utf8(), |(length, _)| length);
            let symbol = match literal {
                Some(_) => LITERAL,
                None => self.pieces.get(&rest[..length]).map_or(NO_PIECE, |piece| piece.id),
            };
            let start = (text.len() - rest.len()) as u32;
            parts.push(Part { symbol, start, end: start + length as u32 });
            rest = &rest[length..];
        }
        join_all(&TextRules { pieces: &self.pieces, text, without }, &mut parts);
        for part in &mut parts {
            part.start += offset;
            part.end += offset;
        }
        parts
    }

    /// Adds the tokens of a part; `true` when it is text without a piece.
    fn push(&self, text: &str, part: Part, after_unknown: bool, tokens: &mut Vec<TokenId>) -> bool {
        let spelled = text.get(part.start as usize..part.end as usize).unwrap_or_default();
        if part.symbol == NO_PIECE {
            self.fallback.push(spelled, after_unknown, tokens);
            return true;
        }
        let Some(piece) = self.pieces.get(spelled) else { return after_unknown };
        if !piece.is_unused || spelled.chars().nth(1).is_none() {
            tokens.push(piece.id);
            return false;
        }
        // A stage of other pieces that became none of them goes back to the two that it was made of.
        let halves = self.join(spelled, part.start, Some(part.symbol));
        halves.into_iter().fold(after_unknown, |after, half| self.push(text, half, after, tokens))
    }
}

impl Rules for TextRules<'_> {
    fn join(&self, left: Part, right: Part) -> Option<Join> {
        let range = left.start as usize..right.end as usize;
        if range.len() > MAX_PIECE_BYTES || [left, right].iter().any(|part| part.symbol == LITERAL)
        {
            return None;
        }
        let piece = self.pieces.get(self.text.get(range)?)?;
        let join = Join { rank: piece.rank, symbol: piece.id };
        (Some(join.symbol) != self.without).then_some(join)
    }
}
