//! Speculative decoding: several tokens from one step where the text can be guessed.
//!
//! A step with a few rows takes hardly longer than one with a single row, because the weights are read once for all of
//! them. So the next tokens are guessed, the step computes the rows after each guess, and the sampler chooses as ever:
//! [`verify`] keeps what it chose and stops at the first guess that it did not. Guesses come from the text itself
//! ([`PromptLookup`]) or from a [`DraftModel`]; [`plan`] says how many pay, from what became of earlier ones
//! ([`Acceptance`]) and from what steps take ([`StepCosts`]). Rejected tokens leave the KV cache by
//! [`Engine::truncate`](crate::engine::Engine::truncate).
//!
//! The tokens are those that would have come without it, for the rows that the engine gives; a row is the same whoever
//! else is in the step as far as the kernels' sums do not depend on the number of rows.

mod acceptance;
mod cost;
mod draft_model;
mod plan;
mod prompt_lookup;
mod sequence;
mod verify;

pub use self::{
    acceptance::{Acceptance, DraftSource},
    cost::StepCosts,
    draft_model::{CATCH_UP_TOKENS, DraftModel, DraftRequest, VocabularyMismatch},
    plan::{MAX_DRAFT, MAX_STEP_GUESSES, Offer, StepRoom, plan},
    prompt_lookup::{LONGEST_MATCH, Match, PromptLookup, SHORTEST_MATCH},
    sequence::{Guess, SequenceDrafts},
    verify::{Choice, Verified, verify},
};
