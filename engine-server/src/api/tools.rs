//! Tools that a model may call: what a client says of them, how a model's template writes a call, the grammar that holds a
//! call to its schema, and the parser that finds calls in an answer.

mod definition;
mod grammar;
mod history;
mod marks;
mod parser;
mod syntax;

pub use definition::{Tool, ToolChoice, ToolSet};
pub(super) use history::tool_calls;
pub(super) use parser::{Piece, ToolParser};
pub use syntax::ToolSyntax;

use realm_engine::engine::{Model, TokenId};

use crate::{
    api::error::ApiError,
    constraint::{Grammar, Marker, Trigger},
};
use marks::Marks;

/// How an answer that may call tools is held.
#[derive(Debug)]
pub(super) struct Hold {
    /// What a call is.
    pub grammar: Grammar,
    /// What it waits for, when the answer may also be text.
    pub trigger: Option<Trigger>,
    /// Control tokens that belong to a call and are read by the parser.
    pub shown: Vec<TokenId>,
}

impl ToolSet {
    /// Whether an answer may call any.
    pub(super) fn may_call(&self) -> bool {
        self.choice != ToolChoice::None
    }

    /// The grammar for the model's own way to write calls.
    pub(super) fn hold(&self, syntax: ToolSyntax, model: &Model) -> Result<Hold, ApiError> {
        let waits = self.choice == ToolChoice::Auto;
        let marks = Marks::new(model);
        let tools: Vec<&Tool> = self.callable().collect();
        let grammar = grammar::calls(syntax, &tools, self.parallel, waits, &marks)?;
        let markers = syntax.markers().iter().map(|text| marks.marker(text));
        let opening = syntax.opening().map(|text| Marker::Opening(text.to_owned()));
        let trigger = waits.then(|| Trigger::new(markers.chain(opening).collect()));
        let shown = syntax.control_texts().iter().filter_map(|text| marks.control(text)).collect();
        Ok(Hold { grammar, trigger, shown })
    }
}
