//! SentencePiece's view of a text: characters mapped, spaces made visible, one space in front.

use super::{
    char_map::CharMap, error::TokenizerError, spec::TokenizerSpec, texts::Texts,
    vocabulary::BOUNDARY,
};

/// How a model's text is prepared.
#[derive(Debug)]
pub(super) struct SentenceNormalizer {
    map: Option<CharMap>,
    /// User-defined pieces, whose characters stay as they are.
    pub(super) literals: Texts,
    /// A text begins with a space, so that its first word is spelled as any other.
    pub(super) adds_prefix: bool,
    /// Runs of spaces are one space; those around a text are dropped.
    pub(super) drops_extra_spaces: bool,
}

/// A part of a text: texts are cut at control tokens, and by some encoders at user-defined ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch<'t> {
    pub(super) text: &'t str,
    /// Nothing or a control token is before it.
    pub(super) opens: bool,
    /// Nothing or a control token is after it.
    pub(super) closes: bool,
}

impl SentenceNormalizer {
    /// `drops_extra_spaces` holds when the file does not say.
    pub(super) fn new(
        spec: &TokenizerSpec,
        literals: Texts,
        drops_extra_spaces: bool,
    ) -> Result<Self, TokenizerError> {
        Ok(Self {
            map: CharMap::new(&spec.charsmap)?,
            literals,
            adds_prefix: spec.add_space_prefix.unwrap_or(true),
            drops_extra_spaces: spec.remove_extra_whitespaces.unwrap_or(drops_extra_spaces),
        })
    }

    /// The prepared text, in which U+2581 stands for a space; empty when nothing is left.
    pub(super) fn apply(&self, stretch: Stretch<'_>) -> String {
        let mut text = String::with_capacity(stretch.text.len() + stretch.text.len() / 2);
        let mut rest = stretch.text;
        let mut after_space = self.drops_extra_spaces && stretch.opens;
        let mut begun = !stretch.opens;
        while let Some((taken, replacement)) = self.next(rest) {
            rest = &rest[taken..];
            let replacement =
                if after_space { replacement.trim_start_matches(' ') } else { replacement };
            if !(begun || self.drops_extra_spaces && replacement.is_empty()) {
                text.extend(self.adds_prefix.then_some(BOUNDARY));
                begun = true;
            }
            text.extend(replacement.chars().map(|c| if c == ' ' { BOUNDARY } else { c }));
            if let Some(last) = replacement.bytes().next_back() {
                after_space = self.drops_extra_spaces && last == b' ';
            }
        }
        if self.drops_extra_spaces && stretch.closes {
            text.truncate(text.trim_end_matches(BOUNDARY).len());
        }
        text
    }

    /// What `text` begins with: bytes that it takes, and what they become.
    fn next<'t>(&'t self, text: &'t str) -> Option<(usize, &'t str)> {
        let first = text.chars().next()?.len_utf8();
        if let Some((length, _)) = self.literals.longest(text.as_bytes()) {
            return Some((length, &text[..length]));
        }
        let mapped = self.map.as_ref().and_then(|map| map.replace(text));
        Some(mapped.unwrap_or((first, &text[..first])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prefix: bool, drops: bool, text: &str, expected: &str) {
        let spec = TokenizerSpec {
            add_space_prefix: Some(prefix),
            remove_extra_whitespaces: Some(drops),
            ..TokenizerSpec::default()
        };
        let normalizer = SentenceNormalizer::new(&spec, Texts::default(), false).unwrap();
        let found = normalizer.apply(Stretch { text, opens: true, closes: true });
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn spaces_are_visible_and_counted() {
        check(true, false, "a  b ", "▁a▁▁b▁");
        check(false, false, " a", "▁a");
        check(true, true, "  a   b  ", "▁a▁b");
        check(false, true, "  a   b  ", "a▁b");
        for (prefix, drops) in [(true, true), (true, false), (false, true), (false, false)] {
            check(prefix, drops, "", "");
        }
        check(true, true, "   ", "");
        check(true, false, " ", "▁▁");
    }

    #[test]
    fn a_stretch_inside_a_text_has_no_prefix() {
        let normalizer =
            SentenceNormalizer::new(&TokenizerSpec::default(), Texts::default(), false).unwrap();
        let stretch = Stretch { text: "a b", opens: false, closes: false };
        assert_eq!(normalizer.apply(stretch), "a▁b");
    }
}
