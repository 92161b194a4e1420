//! Guests that mean harm. Each must end with the right error, soon, and leave its neighbour, its slot and the process
//! as they were. The numbers are those of the list in issue 5's research: endless work (1 to 3, 6, 9), depth (4), memory
//! and tables (5, 7, 8), floods (10, 11), bad pointers (12, in `abuse.rs`), traps (13), clocks (20), other tenants (21, 22), abuse of
//! results (23, in `abuse.rs`), evasion (24). Imports, features, sizes and forged code (14 to 19) are in `admission.rs`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use realm_sandbox::{
    Breach, BreachKind, LoadError, Program, Terms,
    host::KeyValues as _,
    limits::Deadlines,
    wire::{Batch, Finish, Step, Usage},
};

use crate::{
    guests::{ANSWER, Guest, PLAN, data, plain, plan, storing},
    support::{PATIENCE, Tenant, ask, program, prompt, request, strict, terms},
};

const LOOP: &str = "(loop $again (br $again)) (unreachable)";
const LOG: &str = r#"(import "realm:tenant/log@0.1.0" "emit" (func $log (param i32 i32 i32)))"#;
const NOW: &str = r#"(import "realm:tenant/clock@0.1.0" "now-ms" (func $now (result i64)))"#;
const NEXT: &str = r#"(import "realm:tenant/random@0.1.0" "next" (func $next (result i64)))"#;
const SET: &str = r#"(import "realm:tenant/store@0.1.0" "set"
    (func $set (param i32 i32 i32 i32 i32 i32)))"#;
const GET: &str = r#"(import "realm:tenant/store@0.1.0" "get" (func $get (param i32 i32 i32)))"#;

/// Calls whichever hook the guest has.
fn provoke(program: &Arc<Program>) -> Result<(), Breach> {
    let mut run = program.begin(7)?;
    run.on_request(request(), prompt()).map(drop)?;
    let batch = Batch { first: 0, tokens: vec![72, 105], text: "Hi".to_owned(), woke: None };
    run.on_tokens(batch).map(drop)?;
    let step = Step { position: 1, last: 65, entropy: 0.5 };
    run.on_logits(step, vec![66, 67, 68], vec![2.0, 1.0, 0.0]).map(drop)?;
    run.on_response("x".to_owned(), Finish::Stop, Usage::default()).map(drop)
}

/// The guest ends in that way, soon, while a neighbour's request is open, which then goes on.
pub(crate) fn ends(name: &str, guest: &Guest, terms: Terms, kind: BreachKind) {
    let deadline = terms.limits.deadlines.on_request;
    let neighbour = program(&Guest::filter(), crate::support::terms());
    let mut open = neighbour.begin(7).unwrap();
    let tenant = Tenant::new();
    let program = match tenant.load(guest, terms) {
        Ok(program) => program,
        Err(LoadError::Start(breach)) => return assert_eq!(breach.kind, kind, "{name}: {breach}"),
        Err(error) => panic!("{name}: {error}"),
    };
    let began = Instant::now();
    let breach = provoke(&program).expect_err(name);
    let took = began.elapsed();
    assert_eq!(breach.kind, kind, "{name}: {breach}");
    assert!(took < deadline + PATIENCE, "{name}: took {took:?}");
    assert!(open.on_request(request(), prompt()).unwrap().is_ok(), "{name}: the neighbour");
    assert_eq!(program.counters().breaches.get(&(breach.hook, kind)), Some(&1), "{name}");
}

#[test]
fn endless_work_ends_at_the_deadline_of_every_hook() {
    let answer = plain();
    let guests = [
        ("1 on-request", Guest::request(LOOP)),
        ("1 on-tokens", Guest::tokens(LOOP)),
        ("1 on-logits", Guest::logits(LOOP)),
        ("1 on-response", Guest::response(LOOP)),
        ("2 start", Guest::request(&answer).with(&format!("(func $f {LOOP}) (start $f)"))),
        (
            "3 tail calls",
            Guest::request("(call $f) (unreachable)")
                .with("(func $f (return_call $g)) (func $g (return_call $f))"),
        ),
        (
            "6 growth that fails",
            Guest::request(
                "(loop $again (drop (memory.grow (i32.const 1000))) (br $again)) (unreachable)",
            ),
        ),
        (
            "9 memory.fill",
            Guest::request(
                "(drop (memory.grow (i32.const 240)))
                 (loop $again
                   (memory.fill (i32.const 0) (i32.const 7) (i32.const 15728640))
                   (br $again)) (unreachable)",
            ),
        ),
        (
            "20 a clock",
            Guest::request("(loop $again (drop (call $now)) (br $again)) (unreachable)")
                .importing(NOW),
        ),
    ];
    for (name, guest) in guests {
        let mut terms = strict();
        terms.limits.operations = u64::MAX;
        ends(name, &guest, terms, BreachKind::Deadline);
    }
}

#[test]
fn depth_memory_and_tables_end_at_their_limits() {
    let recursion =
        "(func $f (param i32) (result i32) (i32.add (call $f (local.get 0)) (i32.const 1)))";
    let mutual = "(func $f (param i32) (result i32) (i32.add (call $g (local.get 0)) (i32.const 1)))
                  (func $g (param i32) (result i32) (i32.add (call $f (local.get 0)) (i32.const 1)))";
    let deep = "(drop (call $f (i32.const 1))) (unreachable)";
    let bomb = "(loop $again
        (br_if $again (i32.ne (i32.const -1) (memory.grow (i32.const 1))))) (unreachable)";
    let table_bomb = "(loop $again (br_if $again
        (i32.ne (i32.const -1) (table.grow $t (ref.null func) (i32.const 100))))) (unreachable)";
    let guests = [
        ("4 recursion", Guest::request(deep).with(recursion), BreachKind::Stack),
        ("4 mutual recursion", Guest::request(deep).with(mutual), BreachKind::Stack),
        ("5 memory", Guest::request(bomb), BreachKind::Memory),
        ("7 memory from the start", Guest::request(&plain()).memory("512"), BreachKind::Memory),
        ("8 tables", Guest::request(table_bomb).with("(table $t 1 funcref)"), BreachKind::Table),
        (
            "8 a table from the start",
            Guest::request(&plain()).with("(table 15000 funcref)"),
            BreachKind::Table,
        ),
    ];
    for (name, guest, kind) in guests {
        ends(name, &guest, terms(), kind);
    }
}

#[test]
fn floods_of_calls_and_bytes_end() {
    let flood = "(loop $again (call $log (i32.const 0) (i32.const 0) (i32.const 0)) (br $again)) (unreachable)";
    ends("10 calls", &Guest::request(flood).importing(LOG), terms(), BreachKind::Operations);
    let huge = format!(
        "(drop (memory.grow (i32.const 100)))
         (call $log (i32.const 0) (i32.const 65536) (i32.const 4000000)) {}",
        plain()
    );
    ends("11 a string", &Guest::request(&huge).importing(LOG), terms(), BreachKind::Crossing);
    let replacement = format!(
        "(drop (memory.grow (i32.const 200))) {}",
        storing(&[(ANSWER, 1), (ANSWER + 4, 65536), (ANSWER + 8, 10_000_000)])
    );
    ends("23 a replacement", &Guest::tokens(&replacement), terms(), BreachKind::Crossing);
    let list = format!(
        "(drop (memory.grow (i32.const 100))) {}",
        storing(&[(PLAN + plan::BIAS, 65536), (PLAN + plan::BIAS + 4, 500_000)])
    );
    ends("11 a list", &Guest::request(&list), terms(), BreachKind::Crossing);
}

#[test]
fn traps_end_the_request_and_nothing_else() {
    let guests = [
        ("unreachable", Guest::request("(unreachable)")),
        ("division", Guest::request("(i32.div_u (i32.const 1) (i32.const 0))")),
        ("outside memory", Guest::request("(i32.load (i32.const -8))")),
        (
            "outside a table",
            Guest::request("(call_indirect (type $t) (i32.const 9)) (i32.const 0)")
                .with("(table 1 funcref) (type $t (func))"),
        ),
        (
            "another type",
            Guest::request("(call_indirect (type $t) (i32.const 0))").with(
                "(table 1 funcref) (type $t (func (result i32))) (func $f) (elem (i32.const 0) $f)",
            ),
        ),
        ("on-tokens", Guest::tokens("(unreachable)")),
        ("on-logits", Guest::logits("(unreachable)")),
        ("on-response", Guest::response("(unreachable)")),
        ("start", Guest::request(&plain()).with("(func $f (unreachable)) (start $f)")),
    ];
    for (name, guest) in guests {
        ends(&format!("13 {name}"), &guest, terms(), BreachKind::Trap);
    }
}

/// A regular expression that would take exponential time elsewhere is executed in linear time.
#[test]
fn a_regular_expression_cannot_take_the_hosts_time() {
    let regex = "(a+)+b";
    let body = storing(&[
        (PLAN + plan::REDACT, 3072),
        (PLAN + plan::REDACT + 4, 1),
        (3072, 2048),
        (3076, 6),
        (3080, 1),
    ]);
    let plan =
        ask(&program(&Guest::request(&body).with(&data(2048, regex)), terms())).unwrap().unwrap();
    let mut redactor = realm_sandbox::native::Redactor::new(&plan.redact.unwrap());
    let began = Instant::now();
    let text = "a".repeat(5000);
    let sent = redactor.push(&text) + &redactor.finish();
    assert_eq!(sent, text);
    assert!(began.elapsed() < Duration::from_secs(10), "took {:?}", began.elapsed());
}

#[test]
fn time_is_coarse_and_random_numbers_come_from_the_seed() {
    let body = format!(
        "(i64.store (i32.const 2048) (call $next)) (i64.store (i32.const 2056) (call $now))
         (call $log (i32.const 0) (i32.const 3000) (i32.const 1))
         (call $set (i32.const 3000) (i32.const 1) (i32.const 2048) (i32.const 16) (i32.const 0) (i32.const 4000))
         {}",
        plain()
    );
    let guest = [NEXT, NOW, LOG, SET]
        .into_iter()
        .fold(Guest::request(&body), Guest::importing)
        .with(&data(3000, "k"));
    let tenant = Tenant::new();
    let program = tenant.load(&guest, terms()).unwrap();
    let seen = |seed| {
        program.begin(seed).unwrap().on_request(request(), prompt()).unwrap().unwrap();
        tenant.store.get("k").unwrap().unwrap()
    };
    let (one, again, other) = (seen(7), seen(7), seen(8));
    assert_eq!(one[..8], again[..8]);
    assert_ne!(one[..8], other[..8]);
    let now = u64::from_le_bytes(one[8..].try_into().unwrap());
    let ours = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(ours.as_millis() as u64 - now < 60_000, "milliseconds since 1970");
}

#[test]
fn a_tenant_cannot_name_anothers_keys() {
    // The answer of `get` lies at 4000: its second word says whether there was a value.
    let body = format!(
        "(call $get (i32.const 2048) (i32.const 6) (i32.const 4000))
         (if (i32.load8_u (i32.const 4004)) (then (unreachable))) {}",
        plain()
    );
    let guest = Guest::request(&body).importing(GET).with(&data(2048, "secret"));
    let (victim, thief) = (Tenant::new(), Tenant::new());
    victim.store.set("secret", b"42".to_vec(), None).unwrap();
    let breach = ask(&victim.load(&guest, terms()).unwrap()).unwrap_err();
    assert_eq!(breach.kind, BreachKind::Trap, "the guest sees its own value");
    assert!(ask(&thief.load(&guest, terms()).unwrap()).unwrap().is_ok());
}

#[test]
fn a_store_that_is_full_tells_the_guest() {
    // Sets keys of four changing bytes until the store refuses; its failure is at 4001, `quota` is 1.
    let body = format!(
        "(local $i i32)
         (loop $again
           (i32.store (i32.const 2048) (i32.or (local.get $i) (i32.const 0x01010000)))
           (call $set (i32.const 2048) (i32.const 4) (i32.const 8192) (i32.const 32768) (i32.const 0) (i32.const 4000))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.eqz (i32.load8_u (i32.const 4000)))))
         (if (i32.ne (i32.load8_u (i32.const 4001)) (i32.const 1)) (then (unreachable))) {}",
        plain()
    );
    let tenant = Tenant::new();
    let program = tenant.load(&Guest::request(&body).importing(SET), terms()).unwrap();
    ask(&program).unwrap().unwrap();
    assert!(tenant.store.bytes() <= 256 << 10);
}

/// One guest fills its memory, a table and a global; whoever has the slot next must find none of it.
#[test]
fn nothing_is_left_in_a_slot() {
    let items = "(global $g (mut i32) (i32.const 0)) (table $t 10 1000 funcref) (func $f) (elem declare func $f)";
    let fill = format!(
        "(drop (memory.grow (i32.const 62)))
         (memory.fill (i32.const 65536) (i32.const 0xAA) (i32.const 4128768))
         (global.set $g (i32.const 1))
         (drop (table.grow $t (ref.func $f) (i32.const 500)))
         (table.fill $t (i32.const 0) (ref.func $f) (i32.const 510)) {}",
        plain()
    );
    // Looks before `cabi_realloc` could have written: everything from the third page on is fresh.
    let scan = format!(
        "(local $at i32)
         (drop (memory.grow (i32.const 62)))
         (local.set $at (i32.const 131072))
         (loop $again
           (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (unreachable)))
           (local.set $at (i32.add (local.get $at) (i32.const 8)))
           (br_if $again (i32.lt_u (local.get $at) (i32.const 4194304))))
         (if (global.get $g) (then (unreachable)))
         (drop (table.grow $t (ref.null func) (i32.const 500)))
         (local.set $at (i32.const 0))
         (loop $again
           (if (i32.eqz (ref.is_null (table.get $t (local.get $at)))) (then (unreachable)))
           (local.set $at (i32.add (local.get $at) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $at) (i32.const 510))))
         {}",
        plain()
    );
    let filler = program(&Guest::request(&fill).with(items), terms());
    let scanner = program(&Guest::request(&scan).with(items), terms());
    for round in 0..300 {
        ask(&filler).unwrap().unwrap();
        assert!(ask(&scanner).is_ok_and(|plan| plan.is_ok()), "round {round} found something");
    }
}

#[test]
fn many_short_requests_end_at_the_minutes_budget() {
    let busy = format!(
        "(local $i i32)
         (loop $again
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $i) (i32.const 200000)))) {}",
        plain()
    );
    let mut terms = terms();
    terms.limits.minute_time = Duration::from_millis(5);
    let program = program(&Guest::request(&busy), terms);
    let breach = (0..100_000).find_map(|_| ask(&program).err()).unwrap();
    assert_eq!(breach.kind, BreachKind::MinuteTime);
    assert_eq!(
        program.health(),
        realm_sandbox::breaker::Health::Healthy,
        "no fault of the program"
    );
}

#[test]
fn many_calls_of_one_request_end_at_its_budget() {
    let busy = format!(
        "(local $i i32)
         (loop $again
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $i) (i32.const 200000)))) {}",
        plain()
    );
    let mut terms = terms();
    terms.limits.request_time = Duration::from_millis(5);
    let mut run = program(&Guest::tokens(&busy), terms).begin(7).unwrap();
    let batch = Batch { first: 0, tokens: vec![72], text: "H".to_owned(), woke: None };
    let breach = (0..100_000).find_map(|_| run.on_tokens(batch.clone()).err()).unwrap();
    assert_eq!(breach.kind, BreachKind::RequestTime);
}

/// A neighbour of all the loops at once still gets its answers.
#[test]
fn a_neighbour_of_loops_is_served() {
    let mut terms = strict();
    terms.limits.deadlines = Deadlines::all(Duration::from_millis(20));
    let hostile = program(&Guest::request(LOOP), Terms { ..terms });
    let good = program(&Guest::filter(), crate::support::terms());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(ask(&hostile).is_err()));
        }
        for _ in 0..50 {
            assert!(ask(&good).unwrap().is_ok());
        }
    });
}
