//! The compiler process by itself, for tests and benchmarks; `realm` hosts the same function under a hidden verb.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    realm_sandbox::admission::child_main(std::env::args_os().skip(1))
}
