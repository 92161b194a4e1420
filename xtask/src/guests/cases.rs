//! What each template must do, as commands and what their JSON must hold.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::language::Language;

/// One call of `realm tenant check` or `test`.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) verb: &'static str,
    pub(super) arguments: Vec<String>,
    /// Whether the command must succeed.
    pub(super) succeeds: bool,
    /// Places in the JSON, and what must be there: a value, or words of a text.
    wanted: Vec<(&'static str, Wanted)>,
}

#[derive(Debug)]
enum Wanted {
    Value(Value),
    Words(&'static str),
    Without(&'static str),
}

impl Case {
    /// The command, for errors.
    pub(super) fn name(&self) -> String {
        format!("realm tenant {} {}", self.verb, self.arguments.join(" "))
    }

    /// Compares.
    pub(super) fn check(&self, found: &Value) -> Result<()> {
        for (place, wanted) in &self.wanted {
            let value = found.pointer(place).unwrap_or(&Value::Null);
            let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let holds = match wanted {
                Wanted::Value(wanted) => value == wanted,
                Wanted::Words(words) => text().contains(words),
                Wanted::Without(words) => !text().contains(words),
            };
            ensure!(holds, "{place} is {value}, expected {wanted:?}");
        }
        Ok(())
    }
}

fn case(verb: &'static str, arguments: &[&str], succeeds: bool) -> Case {
    let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
    Case { verb, arguments, succeeds, wanted: Vec::new() }
}

impl Case {
    fn value(mut self, place: &'static str, value: impl Into<Value>) -> Self {
        self.wanted.push((place, Wanted::Value(value.into())));
        self
    }

    fn words(mut self, place: &'static str, words: &'static str) -> Self {
        self.wanted.push((place, Wanted::Words(words)));
        self
    }

    fn without(mut self, place: &'static str, words: &'static str) -> Self {
        self.wanted.push((place, Wanted::Without(words)));
        self
    }
}

/// Deadlines that a debug build on a loaded machine does not reach by itself.
const PATIENT: [&str; 6] =
    ["--hook-millis", "1000", "--token-millis", "1000", "--request-millis", "60000"];

fn check(arguments: &[&str], succeeds: bool) -> Case {
    case("check", &[&PATIENT[..], arguments].concat(), succeeds)
}

fn test(arguments: &[&str]) -> Case {
    let all = [&PATIENT[..], &["--runs", "2"], arguments].concat();
    case("test", &all, true)
}

/// What is asked of a language's template.
pub(super) fn of(language: Language) -> Vec<Case> {
    match language {
        Language::Rust => rust(),
        Language::C => c(),
        Language::Js => js(),
    }
}

/// Enough runs to tell times.
pub(super) fn times(language: Language) -> Case {
    let grants = if language == Language::Js { &[][..] } else { &["--grants", "Log,Store"] };
    let all = [&PATIENT[..], &["--runs", "200"], grants].concat();
    case("test", &all, true)
}

/// Personal data.
fn rust() -> Vec<Case> {
    let decision = "/events/0/decision";
    vec![
        check(&[], false)
            .value("/admitted", false)
            .value("/world", "filter")
            .words("/reason", "`log`"),
        check(&["--grants", "Log"], true)
            .value("/admitted", true)
            .value("/needs/0", "Log")
            .without("/imports", "wasi"),
        test(&["--grants", "Log"])
            .value("/events/0/decision/does", "plan")
            .value("/events/0/decision/prompt", Value::Null)
            .words("/answer", "[removed]")
            .words("/answer", "[card number]")
            .words("/answer", "1234567890123")
            .without("/answer", "@")
            .without("/answer", "4242")
            .words("/log", "a card number was removed"),
        test(&["--grants", "Log", "--prompt", "I am ada@example.com, who are you?"])
            .words(decision, "I am [e-mail address], who are you?"),
    ]
}

/// A system prompt for each user.
fn c() -> Vec<Case> {
    let ada = ["--grants", "Store", "--header", "x-realm-user: ada"];
    let told = [&ada[..], &["--header", "x-realm-system-prompt: Answer in rhymes."]].concat();
    vec![
        check(&[], false).value("/world", "guard").words("/reason", "`store`"),
        check(&["--grants", "Store"], true)
            .value("/admitted", true)
            .value("/needs", vec!["Store"])
            .without("/imports", "wasi"),
        test(&["--grants", "Store"])
            .value("/events/0/decision/status", 400)
            .value("/events/0/decision/code", "no_user"),
        test(&ada)
            .value("/events/0/decision/prompt/0/role", "system")
            .words("/events/0/decision/prompt/1/content", "reach you"),
        test(&told).value("/events/0/decision/prompt/0/content", "Answer in rhymes."),
    ]
}

/// Tickets as JSON.
fn js() -> Vec<Case> {
    let long = "a long story ".repeat(400);
    vec![
        check(&[], true)
            .value("/admitted", true)
            .value("/world", "guard")
            .value("/imports", Vec::<String>::new()),
        test(&[])
            .words("/events/0/decision/constraint/jsonSchema", "urgent")
            .value("/events/0/decision/maxTokens", 200)
            .value("/events/0/decision/prompt/0/role", "system"),
        test(&["--prompt", &long]).value("/events/0/decision/status", 413),
    ]
}
