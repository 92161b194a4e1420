//! Drives generation itself: the world `program`.

pub use crate::hooks::agent::interface::Guest as Agent;

/// Makes a type that has the hooks of this world the program.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_program {
    ($program:ident) => {
        $crate::hooks::agent::export!($program with_types_in $crate::hooks::agent);
    };
}

pub use __export_program as export;
