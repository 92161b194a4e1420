//! `realm run`: one answer, or a conversation, by the engine in this process.

use std::{
    io::{IsTerminal, Read, Write, stderr, stdin, stdout},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use realm_engine::sampler::SamplerParams;
use serde_json::json;

use super::{
    chat,
    exit::Exit,
    generation::{Finish, Generator, Speculating},
    model_word,
    question::{Asking, chat_tokens, message, opening, print_piece, raw_tokens},
    signals::Interrupts,
    surroundings::StoreArgs,
};
use crate::{store::Store, threads::default_threads};

/// The longest prompt that is read from standard input, in bytes.
const MAX_STDIN_BYTES: u64 = 16 * 1024 * 1024;

/// Answers a prompt, or holds a conversation, without a server.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// A .gguf file, the name or digest of a model in the store, hf:OWNER/REPO/FILE.gguf[@REVISION], or a manifest
    pub model: String,
    /// What to answer; `-` or a pipe: read it from standard input. Without it a conversation begins
    pub prompt: Option<String>,
    /// What the model is told before everything else
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// Give the prompt to the model as it is, without the chat template
    #[arg(long, conflicts_with = "system")]
    pub raw: bool,
    /// 0 takes the most likely token each time; higher is more varied
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0.7,
        env = "REALM_TEMPERATURE",
        allow_negative_numbers = true
    )]
    pub temperature: f32,
    /// Keep the most likely tokens that together have this probability
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 0.95,
        env = "REALM_TOP_P",
        allow_negative_numbers = true
    )]
    pub top_p: f32,
    /// Tokens of the answer at most [default: what the context holds]
    #[arg(long, value_name = "TOKENS", env = "REALM_MAX_TOKENS")]
    pub max_tokens: Option<NonZeroUsize>,
    /// The same seed gives the same answer [default: random]
    #[arg(long, value_name = "NUMBER", env = "REALM_SEED")]
    pub seed: Option<u64>,
    /// Tokens of prompt and answer together [default: the model's, at most 8192]
    #[arg(long, value_name = "TOKENS", env = "REALM_CONTEXT")]
    pub context: Option<NonZeroUsize>,
    /// Threads that compute [default: the CPU limit of the container, or all CPUs]
    #[arg(long, value_name = "NUMBER", env = "REALM_THREADS")]
    pub threads: Option<NonZeroUsize>,
    /// Tokens that are guessed in a step at most, where that makes the answer faster; 0 guesses none. The answer is the same
    #[arg(long, value_name = "TOKENS", default_value_t = 8, value_parser = clap::value_parser!(u8).range(0..=16), env = "REALM_DRAFT_TOKENS")]
    pub draft_tokens: u8,
    /// A smaller model of the same vocabulary that guesses, written as MODEL is [default: guesses come from the text]
    #[arg(long, value_name = "MODEL", env = "REALM_DRAFT_MODEL")]
    pub draft_model: Option<String>,
    /// Print the answer and its measures as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Print measures on standard error
    #[arg(short, long)]
    pub verbose: bool,
    #[command(flatten)]
    pub store: StoreArgs,
}

/// Runs the command.
pub(super) async fn run(args: RunArgs) -> anyhow::Result<()> {
    let interrupts = Interrupts::listen().context("cannot listen for signals")?;
    let prompt = read_prompt(&args)?;
    if prompt.is_none() && args.json {
        return Err(Exit::Usage("--json needs a prompt".into()).into());
    }
    let cancel = interrupts.token();
    let store = args.store.open()?;
    let (path, draft_model) = tokio::select! {
        paths = find(&args, &store) => paths?,
        () = cancel.cancelled() => return Err(Exit::Interrupted.into()),
    };
    // The engine computes for seconds at a time: not on a thread that serves tasks.
    tokio::task::spawn_blocking(move || {
        let asking = open(&args, &path, draft_model.as_deref())?;
        match prompt {
            Some(prompt) => answer(asking, &args, &prompt, &interrupts),
            None => chat::converse(asking, &interrupts),
        }
    })
    .await
    .context("the generation ended unexpectedly")?
}

/// The files of the model and of the draft model.
async fn find(args: &RunArgs, store: &Store) -> anyhow::Result<(PathBuf, Option<PathBuf>)> {
    let path = model_word::find(&args.model, store).await?;
    let draft_model = match &args.draft_model {
        Some(word) => Some(model_word::find(word, store).await?),
        None => None,
    };
    Ok((path, draft_model))
}

fn open(args: &RunArgs, path: &Path, draft_model: Option<&Path>) -> anyhow::Result<Asking> {
    let seed = match args.seed {
        Some(seed) => seed,
        None => getrandom::u64()
            .map_err(|error| anyhow::anyhow!("no random seed: {error}; give --seed"))?,
    };
    let sampling = SamplerParams {
        temperature: args.temperature,
        top_p: args.top_p,
        seed: Some(seed),
        ..SamplerParams::default()
    };
    realm_engine::sampler::Sampler::new(sampling.clone())
        .map_err(|error| Exit::Usage(error.to_string()))?;
    let threads = args.threads.unwrap_or_else(default_threads);
    let context = args.context.map(NonZeroUsize::get);
    let speculating = Speculating { most: args.draft_tokens.into(), draft_model };
    let generator = Generator::open(path, &args.store.packed(), threads, context, speculating)?;
    Ok(Asking {
        generator,
        sampling,
        max_tokens: args.max_tokens.map(NonZeroUsize::get),
        threads,
        system: args.system.clone(),
        raw: args.raw,
        verbose: args.verbose,
    })
}

/// The prompt of the command line or of a pipe; `None`: a terminal, so a conversation.
fn read_prompt(args: &RunArgs) -> anyhow::Result<Option<String>> {
    match args.prompt.as_deref() {
        Some("-") => read_stdin().map(Some),
        Some(prompt) => Ok(Some(prompt.to_owned())),
        None if stdin().is_terminal() => Ok(None),
        None => read_stdin().map(Some),
    }
}

fn read_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    let mut limited = stdin().lock().take(MAX_STDIN_BYTES + 1);
    limited.read_to_string(&mut text).context("cannot read the prompt from standard input")?;
    if text.len() as u64 > MAX_STDIN_BYTES {
        return Err(Exit::Usage(format!(
            "the prompt on standard input is longer than {MAX_STDIN_BYTES} bytes"
        ))
        .into());
    }
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(Exit::Usage("the prompt on standard input is empty".into()).into());
    }
    Ok(text.to_owned())
}

fn answer(
    mut asking: Asking,
    args: &RunArgs,
    prompt: &str,
    interrupts: &Interrupts,
) -> anyhow::Result<()> {
    let tokens = if asking.raw {
        raw_tokens(asking.generator.model(), prompt)
    } else {
        let mut messages = opening(asking.system.as_deref());
        messages.push(message("user", prompt));
        chat_tokens(asking.generator.model(), &messages)?
    };
    let mut text = String::new();
    let cancel = interrupts.token();
    let report = asking.generator.generate(
        &tokens,
        &asking.sampling,
        asking.max_tokens,
        &cancel,
        &mut |piece| {
            if args.json {
                text.push_str(piece);
                return Ok(());
            }
            print_piece(piece)
        },
    )?;
    if args.json {
        let seed = asking.sampling.seed;
        let document =
            json!({ "text": text, "seed": seed, "threads": asking.threads, "report": report });
        writeln!(stdout(), "{document}")?;
    } else {
        print_piece("\n")?;
    }
    if args.verbose {
        writeln!(stderr(), "{}", report.line(asking.threads))?;
    }
    if report.finish == Finish::Interrupted { Err(Exit::Interrupted.into()) } else { Ok(()) }
}
