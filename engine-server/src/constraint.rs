//! Constrained decoding: an answer that is valid by construction. A [`Grammar`] says what an answer may be (a JSON schema, a
//! regular expression, a choice, a Lark grammar, tool calls); [`Constraints`] compiles it for a model's vocabulary; a
//! [`Constraint`] then goes along with one sequence: it masks a row of logits, takes the token that was chosen, and names
//! tokens that can only come next, which need no forward pass each.
//!
//! Grammars come from clients. What a schema may hold and how large a grammar may be is checked before anything is
//! compiled; compiling has a thread with a stack and a deadline of its own; masks have a budget for each step. Nothing of a
//! compiled grammar is kept for the next request, so that no tenant learns from timing what another has sent.

mod compile;
mod error;
mod grammar;
mod mask;
mod matching;
mod schema;
mod trigger;
mod vocabulary;

pub use self::{
    compile::Constraints,
    error::{CompileError, ConstraintError, GrammarError},
    grammar::{
        Grammar, MAX_CHOICE_BYTES, MAX_CHOICES, MAX_GRAMMAR_BYTES, MAX_GRAMMAR_DEPTH,
        MAX_REGEX_BYTES, json_schema_literal,
    },
    mask::Mask,
    matching::Constraint,
    schema::{
        MAX_COMBINED_SCHEMAS, MAX_ENUM_VALUES, MAX_ITEM_COUNT, MAX_PATTERN_BYTES, MAX_SCHEMA_BYTES,
        MAX_SCHEMA_DEPTH, MAX_SCHEMAS, MAX_STRING_LENGTH, SchemaRules,
    },
    trigger::{Marker, Trigger},
};
