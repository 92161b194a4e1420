//! Agents from text. Each is a body of `run` between helpers: `$read` reads the request's prompt, `$say` generates, and
//! what a call left behind lies at [`LEFT`].

use crate::guests::{ANSWER, Guest, data};

/// Where calls leave their answers in the guest's memory: first whether they failed, then what.
pub(crate) const LEFT: u32 = 4000;
/// A text that a guest may send: [`WORDS`].
pub(crate) const TEXT: u32 = 2048;
/// The text there.
pub(crate) const WORDS: &str = "one two";
/// Failures by their place in the interface.
pub(crate) mod failure {
    pub(crate) const BUDGET: u32 = 0;
    pub(crate) const TOO_LONG: u32 = 1;
    pub(crate) const REFUSED: u32 = 3;
    pub(crate) const CANCELLED: u32 = 4;
}

const IMPORTS: &str = r#"
  (import "realm:tenant/inference@0.1.0" "[constructor]context" (func $open (result i32)))
  (import "realm:tenant/inference@0.1.0" "[method]context.append-text" (func $append_text (param i32 i32 i32 i32)))
  (import "realm:tenant/inference@0.1.0" "[method]context.append-chat" (func $append_chat (param i32 i32 i32 i32)))
  (import "realm:tenant/inference@0.1.0" "[method]context.append-tokens" (func $append_tokens (param i32 i32 i32 i32)))
  (import "realm:tenant/inference@0.1.0" "[method]context.fork" (func $fork (param i32 i32)))
  (import "realm:tenant/inference@0.1.0" "[method]context.truncate" (func $truncate (param i32 i32 i32)))
  (import "realm:tenant/inference@0.1.0" "[method]context.length" (func $length (param i32) (result i32)))
  (import "realm:tenant/inference@0.1.0" "[method]context.generate" (func $generate
    (param i32 i32 i32 f32 i32 f32 i32 i32 i32 f32 i32 i32 i32 i32 i32 i32 i32)))
  (import "realm:tenant/inference@0.1.0" "[method]context.top" (func $top (param i32 i32 i32)))
  (import "realm:tenant/inference@0.1.0" "[method]context.score" (func $score (param i32 i32 i32 i32)))
  (import "realm:tenant/inference@0.1.0" "[resource-drop]context" (func $drop (param i32)))
  (import "realm:tenant/inference@0.1.0" "emit" (func $emit (param i32 i32 i32)))
  (import "realm:tenant/inference@0.1.0" "cancelled" (func $cancelled (result i32)))
"#;

/// An agent with that body; the prompt is in the locals 12 (which kind), 13 and 14.
pub(crate) fn agent(body: &str) -> Guest {
    Guest::agent(body).importing(IMPORTS).with(&helpers()).with(&data(TEXT, WORDS))
}

fn helpers() -> String {
    format!(
        "(func $ok (if (i32.load8_u (i32.const {LEFT})) (then (unreachable))))
         ;; Ends the agent unless the last call failed so.
         (func $failed (param $why i32)
           (if (i32.ne (i32.load8_u (i32.const {LEFT})) (i32.const 1)) (then (unreachable)))
           (if (i32.ne (i32.load8_u (i32.const {failed})) (local.get $why)) (then (unreachable))))
         ;; Reads a prompt.
         (func $read (param $to i32) (param $kind i32) (param $at i32) (param $size i32)
           (if (i32.eq (local.get $kind) (i32.const 0))
             (then (call $append_text (local.get $to) (local.get $at) (local.get $size) (i32.const {LEFT}))))
           (if (i32.eq (local.get $kind) (i32.const 1))
             (then (call $append_chat (local.get $to) (local.get $at) (local.get $size) (i32.const {LEFT}))))
           (if (i32.eq (local.get $kind) (i32.const 2))
             (then (call $append_tokens (local.get $to) (local.get $at) (local.get $size) (i32.const {LEFT})))))
         ;; Generates as the request says.
         (func $say (param $from i32) (param $most i32)
           (call $generate (local.get $from) (local.get $most)
             (i32.const 0) (f32.const 0) (i32.const 0) (f32.const 0)
             (i32.const 0) (i32.const 0) (i32.const 0) (f32.const 0)
             (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
             (i32.const 0) (i32.const 0) (i32.const {LEFT})))
         ;; Generates in the form of the regular expression at an address.
         (func $say_as (param $from i32) (param $most i32) (param $at i32) (param $size i32)
           (call $generate (local.get $from) (local.get $most)
             (i32.const 0) (f32.const 0) (i32.const 0) (f32.const 0)
             (i32.const 0) (i32.const 0) (i32.const 0) (f32.const 0)
             (i32.const 1) (i32.const 1) (local.get $at) (local.get $size)
             (i32.const 0) (i32.const 0) (i32.const {LEFT})))
         ;; Sends the text of the last span.
         (func $emit_span
           (call $emit (i32.load (i32.const {text})) (i32.load (i32.const {text_size})) (i32.const 4100)))
         ;; The answer: a text.
         (func $answer (param $at i32) (param $size i32) (result i32)
           (i32.store (i32.const {answer}) (local.get $at))
           (i32.store (i32.const {answer_size}) (local.get $size))
           (i32.const {ANSWER}))
         ;; The answer: the last span.
         (func $answer_span (result i32)
           (call $answer (i32.load (i32.const {text})) (i32.load (i32.const {text_size}))))
         ;; The answer: what was sent.
         (func $nothing (result i32) (call $answer (i32.const 0) (i32.const 0)))",
        failed = LEFT + 4,
        text = LEFT + 4,
        text_size = LEFT + 8,
        answer = ANSWER + 4,
        answer_size = ANSWER + 8,
    )
}

/// Reads the prompt into the local `$a`; begins a body that says so.
pub(crate) const READ: &str = "(local $a i32) (local $b i32) (local $c i32) (local $n i32)
  (local.set $a (call $open))
  (call $read (local.get $a) (local.get 12) (local.get 13) (local.get 14)) (call $ok)";

/// Answers as the model does without a program.
pub(crate) fn plain() -> Guest {
    agent(&format!(
        "{READ} (call $say (local.get $a) (i32.const 1000)) (call $ok) (call $answer_span)"
    ))
}

/// Generates spans of `most` tokens until that fails for `why`, and answers with nothing; sends a word first.
pub(crate) fn endless(most: u32, why: u32) -> Guest {
    agent(&format!(
        "{READ}
         (call $emit (i32.const {TEXT}) (i32.const 3) (i32.const 4100))
         (loop $again
           (call $say (local.get $a) (i32.const {most}))
           (call $truncate (local.get $a) (i32.const 8) (i32.const 4100))
           (br_if $again (i32.eqz (i32.load8_u (i32.const {LEFT})))))
         (call $failed (i32.const {why})) (call $nothing)"
    ))
}

/// Generates a span from each of three forks and answers with the one whose first token is highest.
pub(crate) fn best_of_three(most: u32) -> Guest {
    agent(&format!(
        "(local $best i32) (local $at i32) (local $size i32) (local $first i32) {READ}
         (loop $again
           (call $fork (local.get $a) (i32.const {LEFT})) (call $ok)
           (local.set $b (i32.load (i32.const {})))
           (call $say (local.get $b) (i32.const {most})) (call $ok)
           (call $drop (local.get $b))
           (local.set $first (i32.load (i32.load (i32.const {}))))
           (if (i32.gt_u (local.get $first) (local.get $best)) (then
             (local.set $best (local.get $first))
             (local.set $at (i32.load (i32.const {})))
             (local.set $size (i32.load (i32.const {})))))
           (local.set $n (i32.add (local.get $n) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $n) (i32.const 3))))
         (call $answer (local.get $at) (local.get $size))",
        LEFT + 4,
        LEFT + 12,
        LEFT + 4,
        LEFT + 8,
    ))
}

/// Sends a word, generates, sends that, and answers with the text at [`TEXT`] of that size.
pub(crate) fn sending(most: u32, result: u32) -> Guest {
    agent(&format!(
        "{READ}
         (call $emit (i32.const {TEXT}) (i32.const 4) (i32.const 4100))
         (call $say (local.get $a) (i32.const {most})) (call $ok)
         (call $emit_span)
         (call $answer (i32.const {TEXT}) (i32.const {result}))"
    ))
}
