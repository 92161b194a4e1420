//! The sandbox on an author's machine: the server's engine and admission with a smaller pool, and a folder of compiled
//! programs that goes with the command.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, anyhow};
use clap::Args;
use realm_sandbox::{
    Admission, Admitted, Cache, Engine, Host, LoadError, Program, Terms,
    admission::{CompileError, Refusal},
    limits::DEFAULT_WASM_BYTES,
};

use super::super::compiler::compiler;

/// Instances at once; hooks are called one after the other.
const INSTANCES: u32 = 8;

/// Where compiled programs are kept.
#[derive(Debug, Clone, Args)]
pub(super) struct WorkbenchArgs {
    /// Folder of compiled programs, as of realm serve [default: one that goes with the command]
    #[arg(long, value_name = "DIR", env = "REALM_PROGRAMS")]
    programs: Option<PathBuf>,
}

/// Admits and loads programs.
#[derive(Debug)]
pub(super) struct Workbench {
    engine: Arc<Engine>,
    admission: Admission,
    /// Goes with the value, when no folder was named.
    _folder: Option<tempfile::TempDir>,
}

impl Workbench {
    /// Starts the sandbox.
    pub(super) fn open(args: &WorkbenchArgs) -> anyhow::Result<Self> {
        let engine = Arc::new(Engine::new(INSTANCES)?);
        let (cache, folder) = if let Some(folder) = &args.programs {
            (Cache::open(folder)?, None)
        } else {
            let folder =
                tempfile::tempdir().context("cannot make a folder for compiled programs")?;
            (Cache::open(folder.path())?, Some(folder))
        };
        let compiler = compiler().context("cannot find this program's own file")?;
        let admission = Admission::new(Arc::clone(&engine), compiler, cache, DEFAULT_WASM_BYTES);
        Ok(Self { engine, admission, _folder: folder })
    }

    /// Admits a component; the inner error is a verdict on it, the outer one a failure of this machine.
    pub(super) fn admit(&self, wasm: &[u8]) -> anyhow::Result<Result<Admitted, Refusal>> {
        match self.admission.admit(wasm) {
            Err(
                error @ (Refusal::Cache(_)
                | Refusal::Load(_)
                | Refusal::Compile(CompileError::Process(_))),
            ) => Err(error.into()),
            verdict => Ok(verdict),
        }
    }

    /// Links and starts an admitted component.
    pub(super) fn load(
        &self,
        admitted: &Admitted,
        terms: Terms,
        host: Host,
    ) -> anyhow::Result<Arc<Program>> {
        // The message of the error holds that of its cause.
        Program::new(&self.engine, &admitted.artifact, terms, host)
            .map_err(|error: LoadError| anyhow!(error.to_string()))
    }
}
