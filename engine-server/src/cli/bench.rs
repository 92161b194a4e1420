//! `realm bench`: how fast this machine runs a model, in the manner of llama-bench and llama-batched-bench.
//!
//! It drives the engine directly, without a server. Figures come with what other processes took meanwhile, so that those
//! of a noisy machine can be thrown away.

mod machine;
mod perplexity;
mod prefix;
mod report;
mod runner;
mod spread;
mod table;
mod tokens;

use std::{
    io::{Write, stderr, stdout},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use realm_engine::engine::{EngineOptions, KvType, Model, ModelOptions, PackedIn, Precision};

use self::{
    machine::{CpuTime, Memory},
    prefix::{Requests, SharedPrefix},
    report::{Batched, Conditions, Report, SingleTest},
    runner::Runner,
    spread::Spread,
};
use super::{exit::Exit, model_word, signals::Interrupts, surroundings::StoreArgs};
use crate::threads::default_threads;

/// Tokens of each sequence in the run before the measured ones.
const WARMUP_TOKENS: usize = 4;

/// Measures prefill, decode, batched decode, loading and memory of a model on this machine.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// A .gguf file, the name or digest of a model in the store, hf:OWNER/REPO/FILE.gguf[@REVISION], or a manifest
    pub model: String,
    /// Tokens of the prefill test; 0 leaves it out
    #[arg(short = 'p', long, value_name = "TOKENS", default_value_t = 512)]
    pub prompt: usize,
    /// Tokens of the decode test; 0 leaves it out
    #[arg(short = 'n', long, value_name = "TOKENS", default_value_t = 128)]
    pub generate: usize,
    /// Threads that compute [default: the CPU limit of the container, or all CPUs]
    #[arg(short, long, value_name = "NUMBER", env = "REALM_THREADS")]
    pub threads: Option<NonZeroUsize>,
    /// Decode this many sequences together, each with a prompt of its own, such as 1,2,4,8,16,32,64
    #[arg(long, value_name = "SEQUENCES", value_delimiter = ',')]
    pub batch: Vec<NonZeroUsize>,
    /// Prompt tokens of each sequence of a batch
    #[arg(long, value_name = "TOKENS", default_value = "128")]
    pub prompt_per_sequence: NonZeroUsize,
    /// Tokens that each sequence of a batch decodes
    #[arg(long, value_name = "TOKENS", default_value = "32")]
    pub generate_per_sequence: NonZeroUsize,
    /// Send requests whose prompts of --prompt tokens share this many inside a tenant
    #[arg(long, value_name = "TOKENS")]
    pub shared_prefix: Option<usize>,
    /// Tenants that send them
    #[arg(long, value_name = "NUMBER", default_value = "1", requires = "shared_prefix")]
    pub tenants: NonZeroUsize,
    /// Requests of each tenant
    #[arg(long, value_name = "NUMBER", default_value = "2", requires = "shared_prefix")]
    pub requests_per_tenant: NonZeroUsize,
    /// How often each test runs
    #[arg(short, long, value_name = "NUMBER", default_value = "3")]
    pub repetitions: NonZeroUsize,
    /// Measure the first run too, instead of one run before that is not measured
    #[arg(long)]
    pub no_warmup: bool,
    /// How keys and values are stored
    #[arg(long, value_name = "TYPE", value_enum, default_value_t = KvWord::F16)]
    pub kv_type: KvWord,
    /// Keep the packed weights in this folder, where other processes find them [default: in memory]
    #[arg(long, value_name = "DIR")]
    pub packed_in: Option<PathBuf>,
    /// Multiply with unrounded activations: slow, the reference of correctness
    #[arg(long)]
    pub exact: bool,
    /// Compute the perplexity of this text as well, as llama-perplexity does
    #[arg(long, value_name = "FILE")]
    pub perplexity: Option<PathBuf>,
    /// Tokens of each piece of the text; the second half of a piece counts
    #[arg(long, value_name = "TOKENS", default_value = "512", requires = "perplexity")]
    pub perplexity_context: NonZeroUsize,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub store: StoreArgs,
}

/// The words for how keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum KvWord {
    /// Half precision
    F16,
    /// Single precision
    F32,
    /// Eight bits with a scale for each 32 numbers
    #[value(name = "q8_0")]
    Q8_0,
}

impl From<KvWord> for KvType {
    fn from(word: KvWord) -> Self {
        match word {
            KvWord::F16 => Self::F16,
            KvWord::F32 => Self::F32,
            KvWord::Q8_0 => Self::Q8_0,
        }
    }
}

/// Runs the command.
pub(super) async fn run(args: BenchArgs) -> anyhow::Result<()> {
    let interrupts = Interrupts::listen().context("cannot listen for signals")?;
    let cancel = interrupts.token();
    let store = args.store.open()?;
    let path = tokio::select! {
        path = model_word::find(&args.model, &store) => path?,
        () = cancel.cancelled() => return Err(Exit::Interrupted.into()),
    };
    // The engine computes for seconds at a time: not on a thread that serves tasks.
    tokio::task::spawn_blocking(move || {
        let bench = Bench::open(&args, &path, interrupts)?;
        let report = bench.measure()?;
        if args.json {
            writeln!(stdout(), "{}", serde_json::to_string_pretty(&report)?)?;
        } else {
            write!(stdout(), "{}", table::render(&report))?;
        }
        Ok(())
    })
    .await
    .context("the measurement ended unexpectedly")?
}

/// An open model and what is to be measured.
struct Bench<'a> {
    args: &'a BenchArgs,
    threads: NonZeroUsize,
    model: Arc<Model>,
    interrupts: Interrupts,
    /// Until the model was open.
    load_seconds: f64,
    /// Until one token was computed, from the start.
    first_token_seconds: f64,
}

impl<'a> Bench<'a> {
    /// Opens the model and computes one token.
    fn open(args: &'a BenchArgs, path: &Path, interrupts: Interrupts) -> anyhow::Result<Self> {
        let precision = if args.exact { Precision::Exact } else { Precision::default() };
        let packed = args.packed_in.clone().map_or_else(PackedIn::default, PackedIn::Folder);
        let options = ModelOptions { precision, packed, ..ModelOptions::default() };
        let threads = args.threads.unwrap_or_else(default_threads);
        let start = Instant::now();
        let model = Model::open(path, &options)
            .with_context(|| format!("cannot load the model {}", path.display()))?;
        let load_seconds = start.elapsed().as_secs_f64();
        let mut bench =
            Self { args, threads, model, interrupts, load_seconds, first_token_seconds: 0.0 };
        bench.check()?;
        bench.runner(1, 1)?.prefill(1)?;
        bench.first_token_seconds = start.elapsed().as_secs_f64();
        Ok(bench)
    }

    /// Refuses tests that make no sense or that the model cannot hold, before any of them runs.
    fn check(&self) -> anyhow::Result<()> {
        let prompt = self.args.prompt;
        if let Some(shared) = self.args.shared_prefix.filter(|shared| *shared >= prompt) {
            let reason = format!("--shared-prefix {shared} must be less than --prompt {prompt}");
            return Err(Exit::Usage(reason).into());
        }
        let trained = self.model.info().context_length;
        let args = self.args;
        let batched =
            args.prompt_per_sequence.get().saturating_add(args.generate_per_sequence.get());
        let batched = if args.batch.is_empty() { 0 } else { batched };
        let perplexity = args.perplexity.as_ref().map_or(0, |_| args.perplexity_context.get());
        for (option, tokens) in [
            ("--prompt", args.prompt),
            ("--generate", args.generate),
            ("--prompt-per-sequence and --generate-per-sequence", batched),
            ("--perplexity-context", perplexity),
        ] {
            if tokens > trained {
                let reason = format!(
                    "{option} needs {tokens} tokens, but the model holds {trained}; ask for fewer"
                );
                return Err(Exit::Usage(reason).into());
            }
        }
        Ok(())
    }

    /// An engine for `sequences` sequences of `context` tokens.
    fn runner(&self, sequences: usize, context: usize) -> anyhow::Result<Runner> {
        self.runner_of(self.options(sequences, context))
    }

    fn options(&self, sequences: usize, context: usize) -> EngineOptions {
        let mut options = EngineOptions::new(self.threads, context.max(1), sequences);
        options.kv_type = self.args.kv_type.into();
        options
    }

    fn runner_of(&self, options: EngineOptions) -> anyhow::Result<Runner> {
        Runner::new(Arc::clone(&self.model), options, self.interrupts.token())
    }

    fn measure(&self) -> anyhow::Result<Report> {
        let before = CpuTime::now();
        let longest = self.args.prompt.max(self.args.generate);
        let mut runner = self.runner(1, longest)?;
        let prefill = self.single("prefill", self.args.prompt, &mut runner, Runner::prefill)?;
        let decode = self.single("decode", self.args.generate, &mut runner, Runner::decode)?;
        let (memory, kv_bytes) = (Memory::now(), runner.kv_bytes());
        drop(runner);
        let batched = self.batches()?;
        let shared_prefix = self.shared_prefix()?;
        let perplexity = self.perplexity()?;
        let conditions =
            Conditions::new(self.threads, &self.model, self.args.kv_type.into(), before);
        let peak_bytes = Memory::now().and_then(|memory| memory.peak_bytes);
        Ok(Report {
            model: self.model.info().into(),
            conditions,
            load_seconds: self.load_seconds,
            first_token_seconds: self.first_token_seconds,
            prefill,
            decode,
            batched,
            shared_prefix,
            perplexity,
            kv_bytes,
            memory,
            peak_bytes,
        })
    }

    /// The test of one sequence; `None` when it is left out.
    fn single(
        &self,
        name: &str,
        tokens: usize,
        runner: &mut Runner,
        test: fn(&mut Runner, usize) -> anyhow::Result<f64>,
    ) -> anyhow::Result<Option<SingleTest>> {
        if tokens == 0 {
            return Ok(None);
        }
        Self::say(&format!("{name}: {tokens} tokens"));
        if !self.args.no_warmup {
            test(runner, tokens)?;
        }
        let seconds = self.repeated(|| test(runner, tokens))?;
        Ok(SingleTest::new(tokens, &seconds))
    }

    fn batches(&self) -> anyhow::Result<Vec<Batched>> {
        self.args.batch.iter().map(|sequences| self.batch(sequences.get())).collect()
    }

    /// One engine for each size, so that none holds more keys and values than it needs.
    fn batch(&self, sequences: usize) -> anyhow::Result<Batched> {
        let (prompt, generate) =
            (self.args.prompt_per_sequence.get(), self.args.generate_per_sequence.get());
        Self::say(&format!("batch of {sequences}"));
        let mut runner = self.runner(sequences, prompt + generate)?;
        if !self.args.no_warmup {
            runner.batch(sequences, prompt.min(WARMUP_TOKENS), WARMUP_TOKENS.min(generate))?;
        }
        let (mut prefill, mut decode) = (Vec::new(), Vec::new());
        for _ in 0..self.args.repetitions.get() {
            let seconds = runner.batch(sequences, prompt, generate)?;
            prefill.push((sequences * prompt) as f64 / seconds.prefill);
            decode.push((sequences * generate) as f64 / seconds.decode);
        }
        Ok(Batched {
            sequences,
            prompt_tokens: prompt,
            tokens: generate,
            prefill_tokens_per_second: Spread::of(&prefill),
            tokens_per_second: Spread::of(&decode),
            kv_bytes: runner.kv_bytes(),
        })
    }

    /// Keys and values of two prompts a tenant fit, so that no beginning is given up.
    fn shared_prefix(&self) -> anyhow::Result<Option<SharedPrefix>> {
        let Some(shared) = self.args.shared_prefix else { return Ok(None) };
        let (tenants, prompt) = (self.args.tenants.get(), self.args.prompt);
        Self::say(&format!("shared prefix: {tenants} tenants"));
        let mut options = self.options(1, prompt);
        options.kv_tokens = Some(2 * (tenants + 1) * prompt);
        let mut runner = self.runner_of(options)?;
        let each = self.args.requests_per_tenant.get();
        prefix::measure(&mut runner, Requests { tenants, each, prompt, shared }).map(Some)
    }

    fn perplexity(&self) -> anyhow::Result<Option<perplexity::Perplexity>> {
        let Some(path) = &self.args.perplexity else { return Ok(None) };
        let context = self.args.perplexity_context.get();
        Self::say(&format!("perplexity of {}", path.display()));
        let text = perplexity::read(path)?;
        perplexity::measure(&mut self.runner(1, context)?, &text, context).map(Some)
    }

    fn repeated(&self, mut test: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<Vec<f64>> {
        (0..self.args.repetitions.get()).map(|_| test()).collect()
    }

    /// What is being measured, on standard error; nobody needs it when nobody is there to read.
    fn say(what: &str) {
        if std::io::IsTerminal::is_terminal(&stderr()) {
            let _ = writeln!(stderr(), "{what}");
        }
    }
}
