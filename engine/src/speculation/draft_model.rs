//! Guesses from a second, smaller model of the same vocabulary, with an engine and a KV cache of its own.
//!
//! For each sequence of the target it keeps a twin: a sequence of its own that holds the same text, plus guesses of its
//! own that the target has not judged yet. A later call tells the text as it became; what does not agree is truncated.

use std::collections::HashMap;

use crate::{
    engine::{Engine, EngineError, LogitsWanted, Model, SequenceId, StepItem},
    sampler::most_likely,
    tokenizer::{TokenId, Tokenizer},
};

/// Tokens of text that all twins together read in one call at most: a long prompt must not hold up the target's steps.
pub const CATCH_UP_TOKENS: usize = 256;

/// The draft model cannot guess for the target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VocabularyMismatch {
    /// Different sizes.
    #[error(
        "the draft model has {draft} tokens and the model {target}; a draft model must have the same vocabulary: \
         choose a smaller model of the same family"
    )]
    Size {
        /// Tokens of the draft model.
        draft: usize,
        /// Tokens of the target.
        target: usize,
    },
    /// The same number of tokens, but not the same tokens.
    #[error(
        "token {token} of the draft model is not the model's token {token} ({what}); a draft model must have the same \
         vocabulary: choose a smaller model of the same family"
    )]
    Token {
        /// The first that differs.
        token: TokenId,
        /// In what.
        what: &'static str,
    },
    /// Different tokens begin or end a text.
    #[error(
        "the draft model and the model differ in the token that {what} a text; choose a smaller model of the same family"
    )]
    Special {
        /// `begins` or `ends`.
        what: &'static str,
    },
}

/// The text of one of the target's sequences.
#[derive(Debug, Clone, Copy)]
pub struct DraftRequest<'a> {
    /// The caller's name of the sequence; the same in every call, never used for another.
    pub key: u64,
    /// All its tokens: those of earlier calls, and what has come since.
    pub text: &'a [TokenId],
    /// Tokens to guess.
    pub count: usize,
}

/// The draft model of one step loop.
#[derive(Debug)]
pub struct DraftModel {
    engine: Engine,
    twins: HashMap<u64, Twin>,
}

#[derive(Debug)]
struct Twin {
    sequence: SequenceId,
    /// Tokens of the text that the sequence holds.
    agreed: usize,
    /// Guesses that it holds after them.
    guesses: Vec<TokenId>,
}

impl DraftModel {
    /// Checks that the engine's model has the target's vocabulary. The engine should have as many sequences and as much
    /// context as the target's; where it has less, sequences go without drafts.
    pub fn new(engine: Engine, target: &Model) -> Result<Self, VocabularyMismatch> {
        same_vocabulary(engine.model().tokenizer(), target.tokenizer())?;
        Ok(Self::of_same_vocabulary(engine))
    }

    /// The same, where the vocabularies are known to be equal: a new engine for models that were compared before.
    pub fn of_same_vocabulary(engine: Engine) -> Self {
        Self { engine, twins: HashMap::new() }
    }

    /// Lets the twins read the text up to its last token, [`CATCH_UP_TOKENS`] in all; those that stay behind get no
    /// drafts yet.
    pub fn catch_up(&mut self, requests: &[DraftRequest<'_>]) -> Result<(), EngineError> {
        let mut left = CATCH_UP_TOKENS;
        let mut pieces = Vec::new();
        for request in requests {
            if !self.fits(request) || !self.settle(request)? {
                continue;
            }
            let Some(twin) = self.twins.get(&request.key) else { continue };
            let missing = request.text.len().saturating_sub(1).saturating_sub(twin.agreed);
            let end = twin.agreed + missing.min(left);
            left -= end - twin.agreed;
            if end > twin.agreed {
                pieces.push((request.key, twin.sequence, &request.text[twin.agreed..end]));
            }
        }
        let items: Vec<StepItem<'_>> = pieces
            .iter()
            .map(|&(_, sequence, tokens)| StepItem { sequence, tokens, logits: LogitsWanted::None })
            .collect();
        self.engine.step(&items)?;
        for (key, _, tokens) in pieces {
            if let Some(twin) = self.twins.get_mut(&key) {
                twin.agreed += tokens.len();
            }
        }
        Ok(())
    }

    /// Guesses for all requests together, a round for each token; empty where the twin has not caught up. Call
    /// [`Self::catch_up`] with the same requests before.
    pub fn draft(
        &mut self,
        requests: &[DraftRequest<'_>],
    ) -> Result<Vec<Vec<TokenId>>, EngineError> {
        let mut drafts = vec![Vec::new(); requests.len()];
        let rounds = requests.iter().map(|request| request.count).max().unwrap_or(0);
        for round in 0..rounds {
            let fed = self.feed(requests, &drafts, round);
            let items: Vec<StepItem<'_>> = fed
                .iter()
                .map(|(_, sequence, token)| StepItem {
                    sequence: *sequence,
                    tokens: std::slice::from_ref(token),
                    logits: LogitsWanted::Last,
                })
                .collect();
            let logits = self.engine.step(&items)?;
            for (place, &(index, ..)) in fed.iter().enumerate() {
                drafts[index].push(most_likely(logits.item(place)));
            }
            for (index, _, token) in fed {
                let Some(twin) = self.twins.get_mut(&requests[index].key) else { continue };
                if round == 0 {
                    twin.agreed += 1;
                } else {
                    twin.guesses.push(token);
                }
            }
        }
        Ok(drafts)
    }

    /// Ends the twin of a sequence that ended.
    pub fn forget(&mut self, key: u64) {
        if let Some(twin) = self.twins.remove(&key) {
            self.engine.free_sequence(twin.sequence);
        }
    }

    /// Ends all twins, for example after an error.
    pub fn forget_all(&mut self) {
        for (_, twin) in self.twins.drain() {
            self.engine.free_sequence(twin.sequence);
        }
    }

    /// Sequences that have a twin.
    pub fn twins(&self) -> usize {
        self.twins.len()
    }

    /// Whether text and draft fit in the draft model's context.
    fn fits(&self, request: &DraftRequest<'_>) -> bool {
        !request.text.is_empty()
            && request.text.len() + request.count <= self.engine.context_length()
    }

    /// Makes the twin hold nothing but text; `false` when the engine has no place for it.
    fn settle(&mut self, request: &DraftRequest<'_>) -> Result<bool, EngineError> {
        let Some(twin) = self.twins.get_mut(&request.key) else {
            let Ok(sequence) = self.engine.new_sequence() else { return Ok(false) };
            let twin = Twin { sequence, agreed: 0, guesses: Vec::new() };
            self.twins.insert(request.key, twin);
            return Ok(true);
        };
        let came = request.text.get(twin.agreed..).unwrap_or_default();
        let right = twin.guesses.iter().zip(came).take_while(|(guess, token)| guess == token);
        // The last token of the text is fed by the first round, whatever the twin holds.
        let agreed = (twin.agreed + right.count()).min(request.text.len() - 1);
        if agreed < twin.agreed + twin.guesses.len() {
            self.engine.truncate(twin.sequence, agreed)?;
        }
        twin.agreed = agreed;
        twin.guesses.clear();
        Ok(true)
    }

    /// The token of each draft that goes on in this round: index of the request, twin's sequence, token.
    fn feed(
        &self,
        requests: &[DraftRequest<'_>],
        drafts: &[Vec<TokenId>],
        round: usize,
    ) -> Vec<(usize, SequenceId, TokenId)> {
        let going = requests.iter().enumerate().filter(|(_, request)| request.count > round);
        let token = |(index, request): (usize, &DraftRequest<'_>)| {
            let twin = self.twins.get(&request.key)?;
            let token = if round == 0 {
                let ready = self.fits(request) && twin.agreed + 1 == request.text.len();
                request.text.last().copied().filter(|_| ready)
            } else {
                drafts[index].last().copied()
            };
            token.map(|token| (index, twin.sequence, token))
        };
        going.filter_map(token).collect()
    }
}

/// Token ids must mean the same in both models.
fn same_vocabulary(draft: &Tokenizer, target: &Tokenizer) -> Result<(), VocabularyMismatch> {
    let (size, wanted) = (draft.vocab_size(), target.vocab_size());
    if size != wanted {
        return Err(VocabularyMismatch::Size { draft: size, target: wanted });
    }
    for token in 0..size as TokenId {
        let differs = |what| Err(VocabularyMismatch::Token { token, what });
        if draft.token_bytes(token) != target.token_bytes(token) {
            return differs("its text");
        }
        if draft.is_special(token) != target.is_special(token) {
            return differs("whether it is a control token");
        }
        if draft.is_end_of_generation(token) != target.is_end_of_generation(token) {
            return differs("whether it ends an answer");
        }
    }
    match (draft.bos() == target.bos(), draft.eos() == target.eos()) {
        (false, _) => Err(VocabularyMismatch::Special { what: "begins" }),
        (_, false) => Err(VocabularyMismatch::Special { what: "ends" }),
        (true, true) => Ok(()),
    }
}
