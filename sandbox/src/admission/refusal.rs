//! Why a program is not admitted: sentences that tell its author what to do.

use std::{io, path::PathBuf, time::Duration};

use thiserror::Error;

/// A program is not admitted.
#[derive(Debug, Error)]
pub enum Refusal {
    /// Too many bytes.
    #[error(
        "the program has {bytes} bytes and may have {limit}; strip it (wasm-tools strip) and optimise for size"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// No component.
    #[error(
        "the program is a core module, not a component; wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    /// No WebAssembly.
    #[error("the program is no WebAssembly component: {0}")]
    Malformed(String),
    /// A count or size is past its bound.
    #[error("the program has {what} {found}; it may have {limit}; {advice}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much it has.
        found: u64,
        /// The bound.
        limit: u64,
        /// What to do.
        advice: &'static str,
    },
    /// A part of WebAssembly that guests may not use.
    #[error("the program uses {feature}, which programs may not; {advice}")]
    Feature {
        /// Which.
        feature: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The compiler.
    #[error(transparent)]
    Compile(#[from] CompileError),
    /// The cache.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Fresh code does not load.
    #[error(
        "the compiled program does not load: {0}; the compiler and the server must be the same release"
    )]
    Load(String),
}

/// Compiling failed.
#[derive(Debug, Error)]
pub enum CompileError {
    /// It could not be started or spoken to.
    #[error("the compiler process cannot be used: {0}")]
    Process(#[from] io::Error),
    /// Too slow.
    #[error("compiling took longer than {} s; make functions smaller, mostly the largest one", .0.as_secs())]
    TooSlow(Duration),
    /// Killed, mostly for memory or processor time.
    #[error(
        "compiling was ended ({0}): it may take {1} s of processor time and {2} MiB; make functions smaller, mostly the largest one"
    )]
    Ended(String, u64, u64),
    /// The compiler refused it.
    #[error("the program does not compile: {0}")]
    Refused(String),
    /// Too much code.
    #[error("the compiled program has more than {0} bytes; make the program smaller")]
    TooLarge(usize),
}

/// The cache failed.
#[derive(Debug, Error)]
#[error("the folder of compiled programs fails at {path}: {cause}")]
pub struct CacheError {
    /// Where.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub cause: io::Error,
}
