//! What a program wants a text to be, as the grammar that the host enforces.

use realm_sandbox::wire::Constraint;
use thiserror::Error;

use crate::constraint::{Grammar, GrammarError, SchemaRules};

/// Why a program's constraint cannot be used.
#[derive(Debug, Error)]
pub enum UnusableConstraint {
    /// The schema is no JSON.
    #[error("the schema is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It is wrong or too large.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
}

/// The grammar of a program's constraint.
pub fn grammar(constraint: &Constraint) -> Result<Grammar, UnusableConstraint> {
    Ok(match constraint {
        Constraint::JsonSchema(text) => {
            Grammar::json_schema(serde_json::from_str(text)?, SchemaRules::Plain)?
        }
        Constraint::Regex(expression) => Grammar::regex(expression.clone())?,
        Constraint::Lark(grammar) => Grammar::lark(grammar.clone())?,
    })
}
