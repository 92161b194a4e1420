//! (signatures; bodies follow)

/// Index of a token in the vocabulary.
pub type TokenId = u32;

/// What happens to the text of special tokens in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecialTokens {
    /// Text that spells a special token becomes that token: only for text that the caller trusts or rendered.
    Parse,
    /// Text is text.
    AsText,
}

/// Turns text into tokens and back.
#[derive(Debug)]
pub struct Tokenizer {}

impl Tokenizer {
    /// Tokens of `text`, without BOS or EOS.
    pub fn encode(&self, _text: &str, _special: SpecialTokens) -> Vec<TokenId> {
        Vec::new()
    }

    /// Raw bytes of a token; special tokens give their text. `None` when the id is not in the vocabulary.
    pub fn token_bytes(&self, _id: TokenId) -> Option<&[u8]> {
        None
    }

    /// Whether generation ends with this token.
    pub fn is_end_of_generation(&self, _id: TokenId) -> bool {
        false
    }

    /// Whether the token is a control token, not text.
    pub fn is_special(&self, _id: TokenId) -> bool {
        false
    }

    /// Beginning-of-sequence token.
    pub fn bos(&self) -> Option<TokenId> {
        None
    }

    /// End-of-sequence token.
    pub fn eos(&self) -> Option<TokenId> {
        None
    }

    /// Whether a prompt starts with BOS.
    pub fn add_bos(&self) -> bool {
        false
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        0
    }

    /// Text of the tokens; bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, _ids: &[TokenId]) -> String {
        String::new()
    }
}

/// Turns a stream of tokens into text, whole characters only.
#[derive(Debug, Default)]
pub struct StreamDecoder {
    pending: Vec<u8>,
}

impl StreamDecoder {
    /// An empty decoder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a token; returns the characters that are now whole.
    pub fn push(&mut self, _tokenizer: &Tokenizer, _id: TokenId) -> String {
        String::new()
    }

    /// Ends the stream: what is left, with U+FFFD for an incomplete character.
    pub fn finish(&mut self) -> String {
        self.pending.clear();
        String::new()
    }
}
