//! The tokenizer of a model file: special tokens first, then what the file's kind of encoder makes of the text between.

use super::{
    byte_level::ByteLevel,
    ends::ends,
    error::TokenizerError,
    fim::fim_tokens,
    score_merges::ScoreMerges,
    sentence::{SentenceNormalizer, Stretch},
    spec::{FimTokens, TokenRoles, TokenizerSpec},
    special::SpecialTexts,
    token::{TokenId, TokenKind},
    unigram::Unigram,
    vocabulary::{Spelling, Vocabulary},
    word_piece::WordPiece,
};

/// The tokenizer models that are known.
const SUPPORTED_MODELS: &str = "gpt2 (byte-level BPE), llama (SentencePiece BPE), t5 (SentencePiece unigram), bert (WordPiece)";

/// What happens to the text of special tokens in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialTokens {
    /// Text that spells a special token becomes that token: only for text that the caller rendered or trusts.
    Parse,
    /// Text is text. User-defined tokens are text too and are still found.
    AsText,
}

/// Turns text into tokens and back.
#[derive(Debug)]
pub struct Tokenizer {
    vocabulary: Vocabulary,
    encoder: Encoder,
    special: SpecialTexts,
    roles: TokenRoles,
    ends: Vec<TokenId>,
    /// What a text that stands alone begins and ends with.
    opening: Option<TokenId>,
    closing: Option<TokenId>,
    strip_after_control: bool,
}

/// The kinds of encoders.
#[derive(Debug)]
enum Encoder {
    ByteLevel(Box<ByteLevel>),
    ScoreMerges(ScoreMerges),
    Unigram(Unigram),
    WordPiece(WordPiece),
}

impl Tokenizer {
    /// Checks what the file says and indexes it.
    pub fn new(spec: &TokenizerSpec) -> Result<Self, TokenizerError> {
        let (vocabulary, encoder) = encoder(spec)?;
        let mut roles = spec.roles.clone();
        check_roles(&roles, &vocabulary)?;
        roles.fim = fim_tokens(roles.fim, &spec.tokens, &vocabulary);
        let (opening, closing) = encoder.frame(spec);
        Ok(Self {
            ends: ends(&roles, &vocabulary),
            special: SpecialTexts::new(&vocabulary, encoder.normalizer().is_none()),
            strip_after_control: spec.strip_after_control,
            vocabulary,
            encoder,
            roles,
            opening,
            closing,
        })
    }

    /// Tokens of `text`, without BOS or EOS. Work grows as `n log n` with the text, whatever it is.
    pub fn encode(&self, text: &str, special: SpecialTokens) -> Vec<TokenId> {
        let mut tokens = Vec::with_capacity(text.len() / 3);
        let (mut start, mut opens) = (0, true);
        while let Some(found) = self.special.find(text, start, special == SpecialTokens::Parse) {
            let steers = self.is_special(found.id);
            let text_before = &text[start..found.start];
            self.encoder.encode(Stretch { text: text_before, opens, closes: steers }, &mut tokens);
            tokens.push(found.id);
            opens = steers;
            start = found.end;
            if steers && self.strip_after_control {
                start = text.len() - text[start..].trim_start().len();
            }
        }
        self.encoder.encode(Stretch { text: &text[start..], opens, closes: true }, &mut tokens);
        tokens
    }

    /// Tokens of a text that stands alone, with the tokens that the model expects around it: BOS, EOS, or `[CLS]` and
    /// `[SEP]`.
    pub fn encode_framed(&self, text: &str, special: SpecialTokens) -> Vec<TokenId> {
        let mut tokens: Vec<TokenId> = self.opening.into_iter().collect();
        tokens.extend(self.encode(text, special));
        tokens.extend(self.closing);
        tokens
    }

    /// Raw bytes of a token; special tokens give their text. `None` when the id is not in the vocabulary.
    pub fn token_bytes(&self, id: TokenId) -> Option<&[u8]> {
        self.vocabulary.bytes(id)
    }

    /// Bytes that a token adds to a text, and whether a text is under way after it. At the beginning of a text, the space
    /// that every first piece has is left out.
    pub(super) fn text_bytes(&self, id: TokenId, inside: bool) -> (&[u8], bool) {
        let bytes = self.token_bytes(id).unwrap_or_default();
        match self.kind(id) {
            None => (bytes, inside),
            Some(TokenKind::Control) => (bytes, false),
            Some(TokenKind::Byte) => (bytes, true),
            Some(_) => match bytes {
                [b' ', rest @ ..] if !inside && self.encoder.hides_first_space() => {
                    (rest, !rest.is_empty() || !self.encoder.hides_more_spaces())
                }
                _ => (bytes, true),
            },
        }
    }

    /// Text of the tokens; bytes that are not UTF-8 become U+FFFD, ids outside the vocabulary nothing.
    pub fn decode(&self, ids: &[TokenId]) -> String {
        let (mut bytes, mut inside) = (Vec::new(), false);
        for &id in ids {
            let (shown, now) = self.text_bytes(id, inside);
            bytes.extend_from_slice(shown);
            inside = now;
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether generation ends with this token.
    pub fn is_end_of_generation(&self, id: TokenId) -> bool {
        self.ends.binary_search(&id).is_ok()
    }

    /// Whether the token steers the model and is not text to show.
    pub fn is_special(&self, id: TokenId) -> bool {
        matches!(self.vocabulary.kind(id), Some(TokenKind::Control | TokenKind::Unknown))
    }

    /// What the token stands for; `None` when the id is not in the vocabulary.
    pub fn kind(&self, id: TokenId) -> Option<TokenKind> {
        self.vocabulary.kind(id)
    }

    /// The tokens that have a part to play. Those of fill-in-the-middle prompts are also found by their text.
    pub fn roles(&self) -> &TokenRoles {
        &self.roles
    }

    /// Tokens of fill-in-the-middle prompts.
    pub fn fim(&self) -> FimTokens {
        self.roles.fim
    }

    /// Beginning-of-sequence token.
    pub fn bos(&self) -> Option<TokenId> {
        self.roles.bos
    }

    /// End-of-sequence token.
    pub fn eos(&self) -> Option<TokenId> {
        self.roles.eos
    }

    /// Whether a prompt starts with BOS; never true without one.
    pub fn add_bos(&self) -> bool {
        self.opening.is_some() && self.opening == self.roles.bos
    }

    /// The token that ends a text that stands alone, when the model expects one.
    pub fn closing(&self) -> Option<TokenId> {
        self.closing
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.len()
    }
}

/// The vocabulary and encoder of the file's kind.
fn encoder(spec: &TokenizerSpec) -> Result<(Vocabulary, Encoder), TokenizerError> {
    let spelling = if spec.model == "gpt2" { Spelling::ByteAlphabet } else { Spelling::Boundaries };
    let vocabulary = || Vocabulary::new(&spec.tokens, &spec.types, spelling);
    let unsupported = || TokenizerError::UnsupportedModel {
        found: spec.model.clone(),
        supported: SUPPORTED_MODELS,
    };
    let (vocabulary, encoder) = match spec.model.as_str() {
        "gpt2" => {
            let vocabulary = vocabulary()?;
            let encoder = ByteLevel::new(spec, &vocabulary)?;
            (vocabulary, Encoder::ByteLevel(Box::new(encoder)))
        }
        "llama" => {
            let vocabulary = vocabulary()?;
            let encoder = ScoreMerges::new(spec, &vocabulary)?;
            (vocabulary, Encoder::ScoreMerges(encoder))
        }
        "t5" => {
            let vocabulary = vocabulary()?;
            let encoder = Unigram::new(spec, &vocabulary)?;
            (vocabulary, Encoder::Unigram(encoder))
        }
        "bert" => {
            let vocabulary = vocabulary()?;
            let encoder = WordPiece::new(spec, &vocabulary)?;
            (vocabulary, Encoder::WordPiece(encoder))
        }
        _ => return Err(unsupported()),
    };
    Ok((vocabulary, encoder))
}

impl Encoder {
    fn encode(&self, stretch: Stretch<'_>, tokens: &mut Vec<TokenId>) {
        if stretch.text.is_empty() {
            return;
        }
        match self {
            Self::ByteLevel(encoder) => encoder.encode(stretch.text, tokens),
            Self::ScoreMerges(encoder) => encoder.encode(stretch, tokens),
            Self::Unigram(encoder) => encoder.encode(stretch, tokens),
            Self::WordPiece(encoder) => encoder.encode(stretch.text, tokens),
        }
    }

    /// How SentencePiece models prepare text.
    fn normalizer(&self) -> Option<&SentenceNormalizer> {
        match self {
            Self::ScoreMerges(encoder) => Some(encoder.normalizer()),
            Self::Unigram(encoder) => Some(encoder.normalizer()),
            Self::ByteLevel(_) | Self::WordPiece(_) => None,
        }
    }

    /// Whether the first piece of a text begins with a space that is not in the text.
    fn hides_first_space(&self) -> bool {
        let normalizer = self.normalizer();
        normalizer.map_or(matches!(self, Self::WordPiece(_)), |normalizer| {
            normalizer.adds_prefix || normalizer.drops_extra_spaces
        })
    }

    /// Whether no text begins with a space.
    fn hides_more_spaces(&self) -> bool {
        self.normalizer().is_some_and(|normalizer| normalizer.drops_extra_spaces)
    }

    /// What a text that stands alone begins and ends with: as the file says, and else as the kind of model has it.
    fn frame(&self, spec: &TokenizerSpec) -> (Option<TokenId>, Option<TokenId>) {
        let (adds_bos, adds_eos, adds_separator) = match self {
            Self::ByteLevel(encoder) => (encoder.adds_bos(), false, false),
            Self::ScoreMerges(_) => (true, false, false),
            Self::Unigram(_) => (false, true, false),
            Self::WordPiece(_) => (true, false, true),
        };
        let TokenRoles { bos, eos, separator, classify, .. } = spec.roles;
        let opening = match self {
            Self::WordPiece(_) => classify.or(bos),
            _ => bos,
        };
        let closing = if spec.add_separator.unwrap_or(adds_separator) && separator.is_some() {
            separator
        } else {
            eos.filter(|_| spec.add_eos.unwrap_or(adds_eos))
        };
        (opening.filter(|_| spec.add_bos.unwrap_or(adds_bos)), closing)
    }
}

/// Every id that the file names is in the vocabulary.
fn check_roles(roles: &TokenRoles, vocabulary: &Vocabulary) -> Result<(), TokenizerError> {
    let fim = &roles.fim;
    let named = [
        ("tokenizer.ggml.bos_token_id", roles.bos),
        ("tokenizer.ggml.eos_token_id", roles.eos),
        ("tokenizer.ggml.unknown_token_id", roles.unknown),
        ("tokenizer.ggml.seperator_token_id", roles.separator),
        ("tokenizer.ggml.cls_token_id", roles.classify),
        ("tokenizer.ggml.padding_token_id", roles.padding),
        ("tokenizer.ggml.mask_token_id", roles.mask),
        ("tokenizer.ggml.fim_pre_token_id", fim.prefix),
        ("tokenizer.ggml.fim_suf_token_id", fim.suffix),
        ("tokenizer.ggml.fim_mid_token_id", fim.middle),
        ("tokenizer.ggml.fim_pad_token_id", fim.padding),
        ("tokenizer.ggml.fim_rep_token_id", fim.repository),
        ("tokenizer.ggml.fim_sep_token_id", fim.file),
    ];
    let ends =
        roles.other_ends.iter().map(|&id| ("tokenizer.ggml.eot_token_id or eom_token_id", id));
    let mut ids = named.into_iter().filter_map(|(key, id)| Some((key, id?))).chain(ends);
    match ids.find(|&(_, id)| vocabulary.kind(id).is_none()) {
        Some((key, id)) => {
            Err(TokenizerError::TokenOutOfRange { key, id, tokens: vocabulary.len() })
        }
        None => Ok(()),
    }
}
