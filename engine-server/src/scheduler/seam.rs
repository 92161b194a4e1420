//! What the scheduler needs of an engine. The real one is [`Engine`]; a test may put a fault in front of it.

use realm_engine::{
    engine::{
        Engine, EngineError, PAGE_TOKENS, PrefixSalt, SequenceId, StepItem, StepLogits, TokenId,
    },
    speculation::DraftModel,
};

/// An engine that the scheduler thread owns.
pub trait StepEngine: Send {
    /// Takes a slot for a sequence that shares its beginning with others of the salt.
    fn new_sequence(&mut self, salt: PrefixSalt) -> Result<SequenceId, EngineError>;
    /// Takes what others of the salt have computed of these tokens; returns how many the sequence holds then.
    fn reuse_prefix(&mut self, id: SequenceId, tokens: &[TokenId]) -> usize;
    /// Gives the slot and its pages back.
    fn free_sequence(&mut self, id: SequenceId);
    /// Tokens that the sequence holds.
    fn sequence_len(&self, id: SequenceId) -> usize;
    /// Tokens that each sequence can hold.
    fn context_length(&self) -> usize;
    /// How full the KV cache is.
    fn pages(&self) -> Pages;
    /// Pages that the sequence holds, shared ones included.
    fn pages_held(&self, id: SequenceId) -> usize;
    /// Pages of the beginning of these tokens that sequences of the salt hold now.
    fn shared_pages(&self, salt: &PrefixSalt, tokens: &[TokenId]) -> usize;
    /// One step over several sequences.
    fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError>;
    /// Forgets the sequence's tokens past `length`.
    fn truncate(&mut self, id: SequenceId, length: usize) -> Result<(), EngineError>;
    /// The model that guesses for this one, if there is one.
    fn draft_model(&mut self) -> Option<&mut DraftModel> {
        None
    }
}

/// Pages of the KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// All of them.
    pub total: usize,
    /// Those that no sequence holds.
    pub available: usize,
    /// Bytes of each.
    pub bytes: usize,
}

/// Makes an engine: at the start, and again after one panicked.
pub type EngineFactory = Box<dyn FnMut() -> Result<Box<dyn StepEngine>, EngineError> + Send>;

impl StepEngine for Engine {
    fn new_sequence(&mut self, salt: PrefixSalt) -> Result<SequenceId, EngineError> {
        self.new_sequence_with_prefix(salt, &[]).map(|(id, _)| id)
    }

    fn reuse_prefix(&mut self, id: SequenceId, tokens: &[TokenId]) -> usize {
        Engine::reuse_prefix(self, id, tokens)
    }

    fn free_sequence(&mut self, id: SequenceId) {
        Engine::free_sequence(self, id);
    }

    fn sequence_len(&self, id: SequenceId) -> usize {
        Engine::sequence_len(self, id)
    }

    fn context_length(&self) -> usize {
        Engine::context_length(self)
    }

    fn pages(&self) -> Pages {
        Pages {
            total: self.total_pages(),
            available: self.available_pages(),
            bytes: self.kv_token_bytes() * PAGE_TOKENS,
        }
    }

    fn pages_held(&self, id: SequenceId) -> usize {
        Engine::pages_held(self, id)
    }

    fn shared_pages(&self, salt: &PrefixSalt, tokens: &[TokenId]) -> usize {
        Engine::shared_pages(self, salt, tokens)
    }

    fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError> {
        Engine::step(self, batch)
    }

    fn truncate(&mut self, id: SequenceId, length: usize) -> Result<(), EngineError> {
        Engine::truncate(self, id, length)
    }
}

/// An engine with a draft model beside it.
#[derive(Debug)]
pub struct DraftedEngine {
    /// The engine whose tokens count.
    pub engine: Engine,
    /// The model that guesses them.
    pub drafts: DraftModel,
}

impl StepEngine for DraftedEngine {
    fn new_sequence(&mut self, salt: PrefixSalt) -> Result<SequenceId, EngineError> {
        StepEngine::new_sequence(&mut self.engine, salt)
    }

    fn reuse_prefix(&mut self, id: SequenceId, tokens: &[TokenId]) -> usize {
        self.engine.reuse_prefix(id, tokens)
    }

    fn free_sequence(&mut self, id: SequenceId) {
        self.engine.free_sequence(id);
    }

    fn sequence_len(&self, id: SequenceId) -> usize {
        self.engine.sequence_len(id)
    }

    fn context_length(&self) -> usize {
        self.engine.context_length()
    }

    fn pages(&self) -> Pages {
        self.engine.pages()
    }

    fn pages_held(&self, id: SequenceId) -> usize {
        self.engine.pages_held(id)
    }

    fn shared_pages(&self, salt: &PrefixSalt, tokens: &[TokenId]) -> usize {
        self.engine.shared_pages(salt, tokens)
    }

    fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError> {
        self.engine.step(batch)
    }

    fn truncate(&mut self, id: SequenceId, length: usize) -> Result<(), EngineError> {
        self.engine.truncate(id, length)
    }

    fn draft_model(&mut self) -> Option<&mut DraftModel> {
        Some(&mut self.drafts)
    }
}
