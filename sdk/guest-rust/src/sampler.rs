//! Chooses tokens: the world `sampler`.

pub use crate::hooks::logits::interface::{Decision, Guest as LogitHook, Step};
pub use crate::hooks::request::interface::Guest as RequestHook;

/// Makes a type that has the hooks of this world the program.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_sampler {
    ($program:ident) => {
        $crate::hooks::request::export!($program with_types_in $crate::hooks::request);
        $crate::hooks::logits::export!($program with_types_in $crate::hooks::logits);
    };
}

pub use __export_sampler as export;
