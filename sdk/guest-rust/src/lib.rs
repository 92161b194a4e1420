//! Programs for Realm in Rust. A program is a component that runs beside the model on its tenant's own requests. Pick the
//! module of its world, implement the world's hooks for a type, and export it:
//!
//! ```
//! use realm_guest::{Plan, Prompt, Reject, Request, guard::RequestHook};
//!
//! struct Program;
//!
//! impl RequestHook for Program {
//!     fn on_request(_info: Request, _input: Prompt) -> Result<Plan, Reject> {
//!         Ok(Plan { max_tokens: Some(200), ..Plan::default() })
//!     }
//! }
//!
//! realm_guest::guard::export!(Program);
//! # fn main() {}
//! ```
//!
//! Each request runs in an instance of its own: statics begin anew. What a program does not use of [`log`], [`store`] and the
//! others it does not import, so its tenant need not be granted it.

mod capabilities;
mod defaults;
pub mod filter;
pub mod guard;
#[doc(hidden)]
pub mod hooks;
pub mod program;
pub mod sampler;

pub use capabilities::realm::tenant::{
    clock, inference, log, metrics, random, store, tokenizer,
    types::{
        Constraint, Finish, Hooks, Message, Plan, Prompt, Reject, Request, Sampling, Token,
        Trigger, Usage,
    },
};
