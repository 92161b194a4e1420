//! Checks and shapes requests: the world `guard`.

pub use crate::hooks::request::interface::Guest as RequestHook;

/// Makes a type that has the hooks of this world the program.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_guard {
    ($program:ident) => {
        $crate::hooks::request::export!($program with_types_in $crate::hooks::request);
    };
}

pub use __export_guard as export;
