//! A tenant within its share beside one that floods the server: how much later its tokens come than with the batch to
//! itself.
//!
//! The batch is full in both phases, so that a step has as many rows: alone, the quiet tenant keeps as many requests in
//! flight as there are places; beside the flood, a quarter as many, which is within its share also by tokens, of which its
//! prompts make more than the flood's. The real server answers over loopback; prompts share nothing, and nothing is
//! guessed.

use std::{
    iter,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail};

use super::{
    machine::CpuTime,
    models::Models,
    plan::Plan,
    report::Report,
    rounds::Round,
    row::{Row, Target},
    tenants::{
        client::{Client, Latencies},
        server::{Server, Tenant},
    },
};

/// Places in the batch.
const PARALLEL: usize = 8;
/// Requests that the quiet tenant keeps in flight beside the flood.
const QUIET: usize = 2;
/// Requests that the noisy tenant keeps in flight.
const FLOOD: usize = 50;
/// Answers of the noisy tenant, tokens: longer than the quiet tenant's, so that waiting for their end would show.
const FLOOD_TOKENS: usize = 192;
/// Answers of the quiet tenant, tokens.
const TOKENS: usize = 48;
/// Requests of the quiet tenant in each phase.
const REQUESTS: usize = 48;
/// Sentences of a prompt: about 120 tokens.
const PROMPT_ITEMS: usize = 10;
/// Phases of a round, so that no phase asks what another has asked.
const ROUNDS_APART: usize = 2;
/// Until the flood has filled the batch.
const FLOOD_PATIENCE: Duration = Duration::from_mins(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Times as late as alone, at most.
const TARGET: f64 = 1.3;

/// Measures each phase in turn.
pub(crate) fn measure(
    binary: &Path,
    plan: &Plan,
    models: &Models,
    report: &mut Report,
) -> Result<()> {
    let model = models.demo()?;
    let name = |figure: &str| format!("{figure} of a tenant beside {FLOOD} requests of another");
    let row = |figure, target| Row::new(name(figure), "x of alone, batch as full", target).lower();
    let mut rows = [
        row("p50 TTFT", Target::None),
        row("p99 TTFT", Target::AtMost(TARGET)),
        row("p50 ITL", Target::None),
        row("p99 ITL", Target::AtMost(TARGET)),
    ];
    let before = CpuTime::now();
    for round in 0..plan.rounds {
        report.say(&format!("noisy neighbour, round {}", round + 1));
        let server = Server::start(binary, &model, PARALLEL, plan.threads)?;
        let requests = plan.tokens(REQUESTS);
        let alone = quiet(&server, PARALLEL, requests, ROUNDS_APART * round)?;
        let beside = flooded(&server, requests, round)?;
        drop(server);
        let figures = beside.figures().into_iter().zip(alone.figures());
        for (row, (beside, alone)) in rows.iter_mut().zip(figures) {
            row.push(&Round { realm: beside / alone, repacked: None, plain: None });
        }
        report.note(format!(
            "Noisy neighbour, round {}: TTFT and ITL alone {}; beside the flood {}.",
            round + 1,
            alone.text(),
            beside.text()
        ));
    }
    let others = CpuTime::now().zip(before).and_then(|(now, before)| now.others_since(before));
    for row in rows {
        report.row(row, others.unwrap_or(0.0));
    }
    Ok(())
}

/// The quiet tenant beside the flood.
fn flooded(server: &Server, requests: usize, round: usize) -> Result<Latencies> {
    let (seen, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let (seen, over) = (&seen, &over);
        let flood = |own| scope.spawn(move || flood(server, own, seen, over));
        let flood: Vec<_> = (0..FLOOD).map(flood).collect();
        let result = await_flood(seen)
            .and_then(|()| quiet(server, QUIET, requests, ROUNDS_APART * round + 1));
        over.store(true, Ordering::Relaxed);
        let ends: Result<Vec<()>> = flood.into_iter().map(joined).collect();
        ends.and(result)
    })
}

/// One of the flood's clients: asks again and again.
fn flood(server: &Server, own: usize, seen: &AtomicUsize, over: &AtomicBool) -> Result<()> {
    let client = Client::new(server, Tenant::Noisy);
    let go_on = || {
        seen.fetch_add(1, Ordering::Relaxed);
        !over.load(Ordering::Relaxed)
    };
    for request in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        client.stream(&prompt(&format!("noisy {own} {request}")), FLOOD_TOKENS, go_on)?;
    }
    Ok(())
}

/// Waits until the flood has filled the batch and been answered for a while.
fn await_flood(seen: &AtomicUsize) -> Result<()> {
    let deadline = Instant::now() + FLOOD_PATIENCE;
    while seen.load(Ordering::Relaxed) < PARALLEL * FLOOD_TOKENS / 4 {
        if Instant::now() > deadline {
            bail!("the flood was not answered within {} s", FLOOD_PATIENCE.as_secs());
        }
        thread::sleep(LOOK_INTERVAL);
    }
    Ok(())
}

/// The quiet tenant's requests, so many at a time.
fn quiet(server: &Server, streams: usize, requests: usize, phase: usize) -> Result<Latencies> {
    thread::scope(|scope| {
        let stream = |own: usize| {
            scope.spawn(move || -> Result<Latencies> {
                let client = Client::new(server, Tenant::Quiet);
                let mut all = Latencies::default();
                // All begin at once; the first answer of each says nothing about what follows.
                for request in 0..=requests / streams {
                    let prompt = prompt(&format!("quiet {phase} {own} {request}"));
                    let latencies = client.stream(&prompt, TOKENS, || true)?;
                    if request > 0 {
                        all.extend(latencies);
                    }
                }
                Ok(all)
            })
        };
        let streams: Vec<_> = (0..streams).map(stream).collect();
        let mut all = Latencies::default();
        for stream in streams {
            all.extend(joined(stream)?);
        }
        Ok(all)
    })
}

fn joined<T>(client: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    client.join().map_err(|_| anyhow!("a client panicked"))?
}

/// Some hundred tokens that begin like no other prompt.
fn prompt(name: &str) -> String {
    let item = |at| format!(" Item {at} of {name} is on the list.");
    iter::once(name.to_owned()).chain((0..PROMPT_ITEMS).map(item)).collect()
}
