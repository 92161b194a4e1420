//! The `realm` binary. Everything it does is in the library, where tests reach it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    realm_engine_server::cli::main()
}
