//! `realm tenant test`: a program's hooks on a recorded answer. Tells what each decides, what the client gets, and how long the
//! hooks take, as the server counts it against their deadlines.

use std::{
    collections::BTreeMap,
    io::{Write, stdout},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::bail;
use clap::{Args, value_parser};
use realm_sandbox::{
    Hook,
    limits::MAX_WASM_BYTES,
    wire::{Message, Prompt},
};
use serde::Serialize;

use super::{
    decisions::{finish, line, shortened},
    file,
    host::{Records, imitation},
    recording::Recording,
    replay::{Event, Outcome, Replay},
    samples::Summary,
    terms::TermsArgs,
    workbench::{Workbench, WorkbenchArgs},
};

/// Runs at most.
const MAX_RUNS: i64 = 100_000;
/// Time for all runs; those that remain are left out.
const MAX_TIME: Duration = Duration::from_mins(1);
/// Decisions that are printed.
const MAX_EVENTS: usize = 1000;

/// Runs a program's hooks on a recorded answer.
#[derive(Debug, Args)]
pub(super) struct TestArgs {
    /// The component
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The answer: lines such as {"id": 42, "text": " sea"} [default: one that comes with this program]
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// What the user asked
    #[arg(long, value_name = "TEXT", default_value = "How can I reach you?")]
    prompt: String,
    /// A header of the request
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// How often the answer is run
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = value_parser!(u32).range(1..=MAX_RUNS))]
    runs: u32,
    #[command(flatten)]
    terms: TermsArgs,
    #[command(flatten)]
    workbench: WorkbenchArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What came of the runs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Results {
    file: String,
    runs: u32,
    tokens: usize,
    /// Decisions of the first run.
    events: Vec<Event>,
    events_omitted: usize,
    /// Lines of the first run's log, and changes of counters.
    log: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish: Option<&'static str>,
    /// Microseconds, by hook; `start` makes the instance.
    micros: BTreeMap<&'static str, Summary>,
}

/// Runs the command.
pub(super) fn run(args: &TestArgs) -> anyhow::Result<()> {
    let wasm = file::read(&args.file, MAX_WASM_BYTES)?;
    let recording = Recording::read(args.tokens.as_deref())?;
    let bench = Workbench::open(&args.workbench)?;
    let admitted = bench.admit(&wasm)??;
    let records = Records::default();
    let host = imitation(&records, Some(&recording));
    let program = bench.load(&admitted, args.terms.terms(), host)?;
    if program.has(Hook::Run) && !program.has(Hook::OnRequest) {
        bail!("the program is an agent, which needs a model and not a recording");
    }
    // Its start was looked at before.
    records.take();
    let message = Message { role: "user".to_owned(), content: args.prompt.clone() };
    let prompt = Prompt::Chat(vec![message]);
    let mut replay = Replay::new(&program, &recording, prompt, args.headers.clone());
    let first = replay.run()?;
    let log = records.take();
    let runs = repeat(&mut replay, args.runs)?;
    let results = results(args, recording.tokens.len(), runs, first, log, &replay);
    if args.json {
        writeln!(stdout(), "{}", serde_json::to_string_pretty(&results)?)?;
    } else {
        write!(stdout(), "{}", results.text())?;
    }
    Ok(())
}

/// Runs as often as was asked for, or as the time allows.
fn repeat(replay: &mut Replay<'_>, wanted: u32) -> anyhow::Result<u32> {
    let began = Instant::now();
    for done in 1..wanted {
        if began.elapsed() > MAX_TIME {
            eprintln!("warning: {done} of {wanted} runs took {} s", MAX_TIME.as_secs());
            return Ok(done);
        }
        replay.run()?;
    }
    Ok(wanted)
}

fn results(
    args: &TestArgs,
    tokens: usize,
    runs: u32,
    first: Outcome,
    log: Vec<String>,
    replay: &Replay<'_>,
) -> Results {
    let Outcome { mut events, answer, finish: why } = first;
    let events_omitted = events.len().saturating_sub(MAX_EVENTS);
    events.truncate(MAX_EVENTS);
    Results {
        file: args.file.display().to_string(),
        runs,
        tokens,
        events,
        events_omitted,
        log,
        answer,
        finish: why.map(finish),
        micros: replay.summaries(),
    }
}

impl Results {
    /// For people: decisions, what the program said, the answer, and the times.
    fn text(&self) -> String {
        let mut lines: Vec<String> = self.events.iter().map(told).collect();
        if self.events_omitted > 0 {
            lines.push(format!("and {} more decisions", self.events_omitted));
        }
        lines.extend(self.log.iter().map(|line| format!("log: {}", shortened(line))));
        lines.push(match &self.answer {
            Some(answer) => format!("answer: {answer:?}"),
            None => "answer: none, the request is refused".to_owned(),
        });
        let Self { runs, tokens, .. } = self;
        lines.push(format!("\n{runs} runs of {tokens} tokens"));
        lines.push(format!("{:<12} {:>9} {:>10} {:>10}", "hook", "calls", "p50 us", "p99 us"));
        lines.extend(self.micros.iter().map(|(hook, Summary { calls, p50, p99, .. })| {
            format!("{hook:<12} {calls:>9} {p50:>10.2} {p99:>10.2}")
        }));
        lines.push(String::new());
        lines.join("\n")
    }
}

/// A decision, and what it is about.
fn told(event: &Event) -> String {
    let Event { hook, token, shown, decision } = event;
    let at = token.map(|token| format!(" {token}")).unwrap_or_default();
    let shown = shown.as_ref().map(|shown| format!(" {:?}", shortened(shown))).unwrap_or_default();
    format!("{hook}{at}{shown}: {}", line(decision))
}

/// `name:value`, as the server shows headers to programs: the name in lower case.
fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_lowercase(), value.trim().to_owned()))
        }
        _ => Err("expected NAME:VALUE".to_owned()),
    }
}
