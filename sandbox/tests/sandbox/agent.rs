//! The world `program`: a guest that drives generation. The model here is a small one that can be computed by hand: it
//! answers with the bytes that it has read, from the start.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use realm_sandbox::{
    BreachKind, Program,
    breaker::{FAULTS, Health},
    host::{Inference, Span, SpanRequest, Tokenizer as _},
    wire::{Candidate, Finish, InferenceFailure, Message},
};

use crate::{
    guests::{ANSWER, Guest, data, plain, storing},
    support::{Bytes, open, prompt, request, terms},
};

/// What the model did, seen from outside.
#[derive(Debug, Default)]
struct Seen {
    open: usize,
    most_open: usize,
    emitted: String,
}

struct Echo {
    contexts: HashMap<u64, Vec<u32>>,
    next: u64,
    seen: Arc<Mutex<Seen>>,
    /// The client has gone.
    deserted: bool,
}

impl Echo {
    fn add(&mut self, tokens: Vec<u32>) -> u64 {
        self.next += 1;
        self.contexts.insert(self.next, tokens);
        let mut seen = self.seen.lock().unwrap();
        seen.open += 1;
        seen.most_open = seen.most_open.max(seen.open);
        self.next
    }

    fn tokens(&mut self, context: u64) -> Result<&mut Vec<u32>, InferenceFailure> {
        self.contexts.get_mut(&context).ok_or(InferenceFailure::UnknownHandle)
    }
}

impl Inference for Echo {
    fn open(&mut self) -> Result<u64, InferenceFailure> {
        Ok(self.add(Vec::new()))
    }

    fn encode(&self, _context: u64, text: &str) -> Vec<u32> {
        Bytes.encode(text)
    }

    fn render(&self, messages: &[Message]) -> Result<Vec<u32>, InferenceFailure> {
        let lines =
            messages.iter().map(|message| format!("{}:{}\n", message.role, message.content));
        Ok(Bytes.encode(&lines.collect::<String>()))
    }

    fn append(&mut self, context: u64, tokens: &[u32]) -> Result<u32, InferenceFailure> {
        let held = self.tokens(context)?;
        held.extend_from_slice(tokens);
        Ok(held.len() as u32)
    }

    fn fork(&mut self, context: u64) -> Result<u64, InferenceFailure> {
        let tokens = self.tokens(context)?.clone();
        Ok(self.add(tokens))
    }

    fn truncate(&mut self, context: u64, length: u32) -> Result<(), InferenceFailure> {
        self.tokens(context)?.truncate(length as usize);
        Ok(())
    }

    fn length(&self, context: u64) -> u32 {
        self.contexts.get(&context).map_or(0, |tokens| tokens.len() as u32)
    }

    fn generate(&mut self, context: u64, how: SpanRequest) -> Result<Span, InferenceFailure> {
        let held = self.tokens(context)?;
        let tokens: Vec<u32> = held.iter().copied().take(how.max_tokens as usize).collect();
        held.extend_from_slice(&tokens);
        let text = tokens.iter().filter_map(|token| char::from_u32(*token)).collect();
        Ok(Span { text, tokens, why: Finish::Length })
    }

    fn top(&mut self, context: u64, _count: u32) -> Result<Vec<Candidate>, InferenceFailure> {
        Ok(self
            .tokens(context)?
            .iter()
            .map(|token| Candidate { token: *token, logit: 1.0 })
            .collect())
    }

    fn score(&mut self, _context: u64, tokens: &[u32]) -> Result<f32, InferenceFailure> {
        Ok(-(tokens.len() as f32))
    }

    fn close(&mut self, context: u64) {
        if self.contexts.remove(&context).is_some() {
            self.seen.lock().unwrap().open -= 1;
        }
    }

    fn emit(&mut self, text: &str) -> Result<(), InferenceFailure> {
        self.seen.lock().unwrap().emitted.push_str(text);
        Ok(())
    }

    fn cancelled(&self) -> bool {
        self.deserted
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let mut seen = self.seen.lock().unwrap();
        seen.open -= self.contexts.len();
    }
}

const IMPORTS: &str = r#"
  (import "realm:tenant/inference@0.1.0" "[constructor]context" (func $open (result i32)))
  (import "realm:tenant/inference@0.1.0" "[method]context.append-text" (func $append (param i32 i32 i32 i32)))
  (import "realm:tenant/inference@0.1.0" "[method]context.append-chat" (func $chat (param i32 i32 i32 i32)))
  (import "realm:tenant/inference@0.1.0" "[method]context.fork" (func $fork (param i32 i32)))
  (import "realm:tenant/inference@0.1.0" "[method]context.length" (func $length (param i32) (result i32)))
  (import "realm:tenant/inference@0.1.0" "[resource-drop]context" (func $drop (param i32)))
  (import "realm:tenant/inference@0.1.0" "emit" (func $emit (param i32 i32 i32)))
"#;

type Outcome = Result<Result<String, realm_sandbox::plan::Reject>, realm_sandbox::Breach>;

fn run(program: &Arc<Program>) -> (Outcome, Arc<Mutex<Seen>>) {
    run_for(program, false)
}

fn run_for(program: &Arc<Program>, deserted: bool) -> (Outcome, Arc<Mutex<Seen>>) {
    let seen = Arc::<Mutex<Seen>>::default();
    let echo = Echo { contexts: HashMap::new(), next: 0, seen: Arc::clone(&seen), deserted };
    let outcome =
        program.begin_agent(7, Box::new(echo)).and_then(|mut run| run.run(request(), prompt()));
    (outcome, seen)
}

fn agent(body: &str) -> Arc<Program> {
    let guest = Guest::agent(body).importing(IMPORTS).with(&data(2048, "hello"));
    crate::support::program(&guest, terms())
}

#[test]
fn an_agent_reads_forks_emits_and_answers() {
    let body = format!(
        "(local $a i32) (local $b i32)
         (local.set $a (call $open))
         (call $append (local.get $a) (i32.const 2048) (i32.const 5) (i32.const 4000))
         (call $fork (local.get $a) (i32.const 4000))
         (if (i32.load8_u (i32.const 4000)) (then (unreachable)))
         (local.set $b (i32.load (i32.const 4004)))
         (if (i32.ne (call $length (local.get $b)) (i32.const 5)) (then (unreachable)))
         (call $drop (local.get $a))
         (call $emit (i32.const 2048) (i32.const 4) (i32.const 4000))
         (i32.store (i32.const {}) (i32.const 2048))
         (i32.store (i32.const {}) (i32.const 5))
         {}",
        ANSWER + 4,
        ANSWER + 8,
        plain()
    );
    let (outcome, seen) = run(&agent(&body));
    assert_eq!(outcome.unwrap().unwrap(), "hello");
    let seen = seen.lock().unwrap();
    assert_eq!((seen.open, seen.most_open, seen.emitted.as_str()), (0, 2, "hell"));
}

#[test]
fn handles_that_are_not_the_guests_are_refused() {
    let freed = format!(
        "(local $a i32) (local.set $a (call $open)) (call $drop (local.get $a))
         (drop (call $length (local.get $a))) {}",
        plain()
    );
    let twice = format!(
        "(local $a i32) (local.set $a (call $open)) (call $drop (local.get $a)) (call $drop (local.get $a)) {}",
        plain()
    );
    let forged = format!(
        "(drop (call $length (i32.const 1))) (drop (call $length (i32.const 77))) {}",
        plain()
    );
    for body in [freed, twice, forged] {
        let (outcome, seen) = run(&agent(&body));
        let kind = outcome.unwrap_err().kind;
        assert!(matches!(kind, BreachKind::Answer | BreachKind::Trap), "{kind:?}");
        assert_eq!(seen.lock().unwrap().open, 0);
    }
}

#[test]
fn contexts_that_a_guest_leaves_open_end_with_it() {
    let body = format!(
        "(local $i i32) (local $a i32)
         (local.set $a (call $open))
         (loop $again
           (call $fork (local.get $a) (i32.const 4000))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.eqz (i32.load8_u (i32.const 4000)))))
         {}",
        plain()
    );
    let (outcome, seen) = run(&agent(&body));
    assert_eq!(outcome.unwrap().unwrap(), "");
    let seen = seen.lock().unwrap();
    assert_eq!(seen.most_open, terms().limits.contexts, "the limit is told as a failure");
    assert_eq!(seen.open, 0);
}

#[test]
fn floods_loops_and_contexts_without_end_are_ended() {
    let flood = "(loop $again (call $emit (i32.const 0) (i32.const 60000) (i32.const 4000)) (br $again)) (unreachable)";
    let contexts = "(loop $again (drop (call $open)) (br $again)) (unreachable)";
    let endless = "(loop $again (br $again)) (unreachable)";
    for (body, kind) in [
        (flood, BreachKind::Output),
        (contexts, BreachKind::Tokens),
        (endless, BreachKind::Deadline),
    ] {
        let (outcome, seen) = run(&agent(body));
        assert_eq!(outcome.unwrap_err().kind, kind);
        assert_eq!(seen.lock().unwrap().open, 0);
    }
}

#[test]
fn tokens_are_paid_from_the_requests_budget() {
    let body = format!(
        "(local $a i32) (local.set $a (call $open))
         (loop $again
           (call $append (local.get $a) (i32.const 2048) (i32.const 5) (i32.const 4000))
           (br_if $again (i32.eqz (i32.load8_u (i32.const 4000)))))
         (if (i32.load8_u (i32.const 4004)) (then (unreachable))) {}",
        plain()
    );
    let mut terms = terms();
    terms.limits.tokens = 12;
    let guest = Guest::agent(&body).importing(IMPORTS).with(&data(2048, "hello"));
    let (outcome, _) = run(&crate::support::program(&guest, terms));
    assert_eq!(outcome.unwrap().unwrap(), "", "the failure is `budget`, the first");
}

#[test]
fn a_conversation_is_read_as_the_host_writes_it() {
    // One message: the role `hell`, the content `o`, which the host writes as `hell:o` and a line's end.
    let words = [(3000, 2048), (3004, 4), (3008, 2052), (3012, 1)];
    let body = format!(
        "(local $a i32) {}
         (drop) (local.set $a (call $open))
         (call $chat (local.get $a) (i32.const 3000) (i32.const 1) (i32.const 4000))
         (if (i32.ne (i32.load (i32.const 4004)) (i32.const 7)) (then (unreachable)))
         (call $chat (local.get $a) (i32.const 3000) (i32.const 2000) (i32.const 4000))
         (if (i32.ne (i32.load8_u (i32.const 4004)) (i32.const 3)) (then (unreachable))) {}",
        storing(&words),
        plain()
    );
    assert_eq!(run(&agent(&body)).0.unwrap().unwrap(), "", "2000 messages are refused");
}

#[test]
fn a_whole_run_has_a_deadline_that_includes_the_models_time() {
    let body = format!("(call $emit (i32.const 2048) (i32.const 4) (i32.const 4000)) {}", plain());
    let mut terms = terms();
    terms.limits.run_time = Duration::ZERO;
    let guest = Guest::agent(&body).importing(IMPORTS);
    let (outcome, _) = run(&crate::support::program(&guest, terms));
    let breach = outcome.unwrap_err();
    assert_eq!(breach.kind, BreachKind::RunTime);
    assert!(breach.to_string().contains("runSeconds"), "{breach}");
}

#[test]
fn an_agent_that_fails_ends_its_request_whatever_its_policy() {
    let guest = Guest::agent("(unreachable)").importing(IMPORTS);
    let program = crate::support::program(&guest, open(terms()));
    for _ in 0..FAULTS {
        assert_eq!(run(&program).0.unwrap_err().kind, BreachKind::Trap);
    }
    assert_eq!(run(&program).0.unwrap_err().kind, BreachKind::Suspended);
}

#[test]
fn what_an_agent_does_when_its_client_has_gone_is_no_fault() {
    let program = agent("(unreachable)");
    for _ in 0..2 * FAULTS {
        assert_eq!(run_for(&program, true).0.unwrap_err().kind, BreachKind::Trap);
    }
    assert_eq!(program.health(), Health::Healthy);
}

#[test]
fn inference_is_for_agents_only() {
    let program = agent(&format!("(drop (call $open)) {}", plain()));
    let mut run = program.begin(7).unwrap();
    assert!(run.run(request(), prompt()).is_err());
}
