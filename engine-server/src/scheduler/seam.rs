//! What the scheduler needs of an engine. The real one is [`Engine`]; a test may put a fault in front of it.

use realm_engine::{
    engine::{
        Engine, EngineError, PAGE_TOKENS, PrefixSalt, SequenceId, StepItem, StepLogits, TokenId,
    },
    speculation::DraftModel,
};

/// An engine that the scheduler thread owns: the real one, or one with something around it, which replaces the methods that
/// it has a part in.
pub trait StepEngine: Send {
    /// The real one.
    fn engine(&self) -> &Engine;
    /// The real one, to use.
    fn engine_mut(&mut self) -> &mut Engine;
    /// Takes a slot for a sequence that shares its beginning with others of the salt.
    fn new_sequence(&mut self, salt: PrefixSalt) -> Result<SequenceId, EngineError> {
        self.engine_mut().new_sequence_with_prefix(salt, &[]).map(|(id, _)| id)
    }
    /// Takes what others of the salt have computed of these tokens; returns how many the sequence holds then.
    fn reuse_prefix(&mut self, id: SequenceId, tokens: &[TokenId]) -> usize {
        Engine::reuse_prefix(self.engine_mut(), id, tokens)
    }
    /// Gives the slot and its pages back.
    fn free_sequence(&mut self, id: SequenceId) {
        Engine::free_sequence(self.engine_mut(), id);
    }
    /// Tokens that the sequence holds.
    fn sequence_len(&self, id: SequenceId) -> usize {
        Engine::sequence_len(self.engine(), id)
    }
    /// Tokens that each sequence can hold.
    fn context_length(&self) -> usize {
        Engine::context_length(self.engine())
    }
    /// How full the KV cache is.
    fn pages(&self) -> Pages {
        let engine = self.engine();
        Pages {
            total: engine.total_pages(),
            available: engine.available_pages(),
            bytes: engine.kv_token_bytes() * PAGE_TOKENS,
        }
    }
    /// Pages that the sequence holds, shared ones included.
    fn pages_held(&self, id: SequenceId) -> usize {
        Engine::pages_held(self.engine(), id)
    }
    /// Pages of the beginning of these tokens that sequences of the salt hold now.
    fn shared_pages(&self, salt: &PrefixSalt, tokens: &[TokenId]) -> usize {
        Engine::shared_pages(self.engine(), salt, tokens)
    }
    /// One step over several sequences.
    fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError> {
        Engine::step(self.engine_mut(), batch)
    }
    /// A vector for each text.
    fn embed(&mut self, texts: &[&[TokenId]]) -> Result<Vec<Vec<f32>>, EngineError> {
        Engine::embed(self.engine_mut(), texts)
    }
    /// Sequences that can exist at once.
    fn sequences(&self) -> usize {
        Engine::sequences(self.engine())
    }
    /// Forgets the sequence's tokens past `length`.
    fn truncate(&mut self, id: SequenceId, length: usize) -> Result<(), EngineError> {
        Engine::truncate(self.engine_mut(), id, length)
    }
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
    fn engine(&self) -> &Engine {
        self
    }

    fn engine_mut(&mut self) -> &mut Engine {
        self
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
    fn engine(&self) -> &Engine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    fn draft_model(&mut self) -> Option<&mut DraftModel> {
        Some(&mut self.drafts)
    }
}
