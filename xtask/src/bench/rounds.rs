//! The contestants, the order in which they run, and what others took of the machine meanwhile.

use std::{cell::Cell, path::Path, process::Command};

use anyhow::{Context, Result};

use super::{
    child::Ended,
    llama::{self, Form, Llama},
    realm::{self, Realm},
};

/// Who runs.
#[derive(Debug)]
pub(crate) struct Contestants {
    realm: Realm,
    llama: Option<Llama>,
    threads: usize,
    /// The largest share that others took in a run since it was last asked for.
    others: Cell<f64>,
}

/// What one round gave: the same figure, or figures, of each contestant.
#[derive(Debug)]
pub(crate) struct Round<T> {
    pub(crate) realm: T,
    pub(crate) repacked: Option<T>,
    pub(crate) plain: Option<T>,
}

impl Round<Vec<f64>> {
    /// The figures at one place of each contestant's list.
    pub(crate) fn at(&self, index: usize) -> Result<Round<f64>> {
        let of = |figures: &Vec<f64>| {
            figures.get(index).copied().context("a contestant gave too few figures")
        };
        Ok(Round {
            realm: of(&self.realm)?,
            repacked: self.repacked.as_ref().map(of).transpose()?,
            plain: self.plain.as_ref().map(of).transpose()?,
        })
    }
}

impl Contestants {
    pub(crate) fn new(realm: Realm, llama: Option<Llama>, threads: usize) -> Self {
        Self { realm, llama, threads, others: Cell::new(0.0) }
    }

    /// The peer, when it takes part.
    pub(crate) fn llama(&self) -> Option<&Llama> {
        self.llama.as_ref()
    }

    /// Realm's binary.
    pub(crate) fn binary(&self) -> &Path {
        self.realm.binary()
    }

    /// Runs each contestant once: Realm, then the peer in both forms.
    pub(crate) fn round<T>(
        &self,
        realm: impl FnOnce() -> Result<T>,
        mut peer: impl FnMut(&Llama, Form) -> Result<T>,
    ) -> Result<Round<T>> {
        let realm = realm()?;
        let mut form = |form| self.llama.as_ref().map(|llama| peer(llama, form)).transpose();
        Ok(Round { realm, repacked: form(Form::Repacked)?, plain: form(Form::Plain)? })
    }

    /// A command of Realm with these tokens of prompt and decode; 0 leaves a test out.
    pub(crate) fn realm_command(&self, model: &Path, prompt: usize, generate: usize) -> Command {
        let mut command = self.realm_bare(model, prompt, generate);
        command.args(["-t", &self.threads.to_string()]);
        command
    }

    /// The same, which chooses its threads itself.
    pub(crate) fn realm_bare(&self, model: &Path, prompt: usize, generate: usize) -> Command {
        let mut command = self.realm.command(model);
        command.args(["-p", &prompt.to_string(), "-n", &generate.to_string()]);
        command
    }

    /// Runs a command of Realm.
    pub(crate) fn run_realm(&self, command: &mut Command) -> Result<realm::Measured> {
        let measured = Realm::run(command).context("measure Realm")?;
        self.heard(&measured.ended);
        Ok(measured)
    }

    /// A command of the peer with these tokens of prompt and decode.
    pub(crate) fn llama_command(
        &self,
        llama: &Llama,
        form: Form,
        model: &Path,
        (prompt, generate): (usize, usize),
    ) -> Command {
        let mut command = llama.bench(model, form, prompt, generate);
        command.args(["-t", &self.threads.to_string()]);
        command
    }

    /// Runs a command of the peer.
    pub(crate) fn run_llama(&self, command: &mut Command) -> Result<llama::Measured> {
        let measured = Llama::run(command).context("measure llama.cpp")?;
        self.heard(&measured.ended);
        Ok(measured)
    }

    /// Remembers who disturbed a run.
    pub(crate) fn heard(&self, ended: &Ended) {
        self.others.set(self.others.get().max(ended.others.unwrap_or(0.0)));
    }

    /// The largest share that others took since the last question.
    pub(crate) fn take_others(&self) -> f64 {
        self.others.take()
    }
}
