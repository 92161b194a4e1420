//! What the scheduler needs of an engine. The real one is [`Engine`]; a test may put a fault in front of it.

use realm_engine::engine::{Engine, EngineError, SequenceId, StepItem, StepLogits};

/// An engine that the scheduler thread owns.
pub trait StepEngine: Send {
    /// Takes a KV slot.
    fn new_sequence(&mut self) -> Result<SequenceId, EngineError>;
    /// Gives a KV slot back.
    fn free_sequence(&mut self, id: SequenceId);
    /// Tokens that the sequence holds.
    fn sequence_len(&self, id: SequenceId) -> usize;
    /// Tokens that each sequence can hold.
    fn context_length(&self) -> usize;
    /// One step over several sequences.
    fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError>;
}

/// Makes an engine: at the start, and again after one panicked.
pub type EngineFactory = Box<dyn FnMut() -> Result<Box<dyn StepEngine>, EngineError> + Send>;

impl StepEngine for Engine {
    fn new_sequence(&mut self) -> Result<SequenceId, EngineError> {
        Engine::new_sequence(self)
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

    fn step(&mut self, batch: &[StepItem<'_>]) -> Result<StepLogits<'_>, EngineError> {
        Engine::step(self, batch)
    }
}
