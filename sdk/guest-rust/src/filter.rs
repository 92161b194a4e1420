//! Reads and changes answers while they are made: the world `filter`.

pub use crate::hooks::request::interface::Guest as RequestHook;
pub use crate::hooks::response::interface::Guest as ResponseHook;
pub use crate::hooks::tokens::interface::{Action, Batch, Guest as TokenHook};

/// Makes a type that has the hooks of this world the program.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_filter {
    ($program:ident) => {
        $crate::hooks::request::export!($program with_types_in $crate::hooks::request);
        $crate::hooks::tokens::export!($program with_types_in $crate::hooks::tokens);
        $crate::hooks::response::export!($program with_types_in $crate::hooks::response);
    };
}

pub use __export_filter as export;
