//! The machines that kernels are built for beside this one, and how rustc, the linker and a runner serve each.

use std::path::Path;

use anyhow::{Context as _, Result};

/// The folder of the linker's and the runner's scripts.
const SCRIPTS: &str = "xtask/src/cross";

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Target {
    /// WebAssembly with simd128
    Wasm,
    /// 64-bit Arm under Linux
    Aarch64,
    /// WebAssembly without a system, for programs of tenants
    Bare,
}

impl Target {
    /// Those whose kernels are compared.
    pub(super) const ALL: [Self; 2] = [Self::Wasm, Self::Aarch64];

    /// The triple that programs and tests are built for.
    pub(super) fn triple(self) -> &'static str {
        match self {
            Self::Wasm => "wasm32-wasip1",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
            Self::Bare => "wasm32-unknown-unknown",
        }
    }

    /// What cargo's variables for the triple begin with.
    fn variable(self, end: &str) -> String {
        let triple = self.triple().to_uppercase().replace('-', "_");
        format!("CARGO_TARGET_{triple}_{end}")
    }

    /// Variables that make cargo build, link and run for the target: the repository's scripts, the toolchain's tree.
    ///
    /// # Errors
    /// The tree lacks the target's libraries.
    pub(super) fn variables(self, root: &Path, tree: &Path) -> Result<Vec<(String, String)>> {
        if self == Self::Bare {
            return Ok(Vec::new());
        }
        let scripts = root.join(SCRIPTS);
        let mut variables = vec![(self.variable("RUSTFLAGS"), self.rust_flags(&scripts, tree))];
        if self == Self::Wasm {
            let runner = scripts.join("run-wasi.mjs");
            variables.push((
                self.variable("RUNNER"),
                format!("node --no-warnings {}", runner.display()),
            ));
        } else {
            variables.push((self.variable("RUNNER"), emulator(tree, "max")));
            let compiler = only_folder(&tree.join("usr/lib/gcc-cross/aarch64-linux-gnu"))?;
            let library = tree.join("usr/aarch64-linux-gnu/lib").display().to_string();
            variables.push(("REALM_AARCH64_LIBC".to_owned(), library));
            variables.push(("REALM_AARCH64_LIBGCC".to_owned(), compiler));
        }
        Ok(variables)
    }

    /// The variables that run programs on the named CPU model.
    pub(super) fn on_cpu(self, tree: &Path, cpu: &str) -> (String, String) {
        (self.variable("RUNNER"), emulator(tree, cpu))
    }

    fn rust_flags(self, scripts: &Path, tree: &Path) -> String {
        let wasi = tree.join("usr/lib/wasm32-wasi");
        let wasi = wasi.display();
        match self {
            // Debian's C library for WASI is older than threads; `run-wasi.mjs` gives what it lacks.
            Self::Wasm => format!(
                "-Ctarget-feature=+simd128 -Clinker=rust-lld -Clink-self-contained=no \
                 -Clink-arg=--allow-undefined -Clink-arg=-L{wasi} -Clink-arg={wasi}/crt1-command.o"
            ),
            Self::Aarch64 => format!(
                "-Ctarget-feature=+crt-static -Crelocation-model=static -Clinker-flavor=ld -Clinker={}",
                scripts.join("aarch64-linker.sh").display()
            ),
            Self::Bare => String::new(),
        }
    }
}

fn emulator(tree: &Path, cpu: &str) -> String {
    format!("{} -cpu {cpu}", tree.join("usr/bin/qemu-aarch64-static").display())
}

/// The one folder inside `parent`, whatever version it is named for.
fn only_folder(parent: &Path) -> Result<String> {
    let mut entries =
        std::fs::read_dir(parent).with_context(|| format!("read {}", parent.display()))?;
    let entry = entries.next().with_context(|| format!("{} is empty", parent.display()))??;
    Ok(entry.path().display().to_string())
}
