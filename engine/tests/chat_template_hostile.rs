//! A template that somebody else wrote ends soon, with an error that says why, whatever it does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is wrong"
)]

use std::{thread, time::Duration};

use realm_engine::chat_template::{ChatMessage, ChatTemplate, TemplateError};

/// Stack of the thread that renders: what servers give theirs.
const STACK_BYTES: usize = 2 << 20;
const TIME_LIMIT: Duration = Duration::from_secs(15);

fn render(source: &str) -> Result<String, TemplateError> {
    let template = ChatTemplate::new(source.to_owned(), String::new(), String::new());
    let render = move || {
        let message = ChatMessage { role: "user".to_owned(), content: "x".repeat(1000) };
        let started = std::time::Instant::now();
        let result = template.render(&[message], true);
        assert!(started.elapsed() < TIME_LIMIT, "{:?}", started.elapsed());
        result
    };
    thread::Builder::new().stack_size(STACK_BYTES).spawn(render).unwrap().join().unwrap()
}

#[test]
fn endless_and_greedy_templates_are_stopped() {
    let loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
    let doubling = "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}";
    let growing = "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x|length }}";
    for source in [loops, doubling, growing] {
        let error = render(source).unwrap_err();
        assert!(
            matches!(error, TemplateError::Exhausted { .. } | TemplateError::TimedOut { .. }),
            "{source}: {error}"
        );
    }
}

#[test]
fn giant_output_is_stopped() {
    for source in [
        "{{ 'a' * 1000000000 }}",
        "{{ 'a' * 90000000 }}",
        "{% for i in range(9000) %}{{ messages[0].content * 100 }}{% endfor %}",
        "{{ messages[0].content.replace('x', 'y' * 100000) }}",
    ] {
        let error = render(source).unwrap_err();
        assert!(!matches!(error, TemplateError::Refused { .. }), "{error}");
    }
}

#[test]
fn deep_recursion_is_stopped() {
    let error = render("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}").unwrap_err();
    assert!(
        matches!(error, TemplateError::Failed { .. } | TemplateError::Exhausted { .. }),
        "{error}"
    );
    // As deep as the longest template goes.
    let repeat = |part: &str| part.repeat(65_000 / part.len());
    for source in [
        format!("{{{{ {}1", repeat("(")),
        repeat("{% if 1 %}"),
        repeat("{% if 1 %}{% else %}"),
        format!("{{% if 0 %}}{}{{% endif %}}", repeat("{% elif 1 %}")),
        format!("{{{{ {}1 }}}}", repeat("-")),
        format!("{{{{ {}1 }}}}", repeat("not ")),
        format!("{{{{ {} }}}}", repeat("[")),
        format!("{{{{ 1{} }}}}", repeat("+1")),
        format!("{{{{ 1{} }}}}", repeat("~1")),
        format!("{{{{ 1{} }}}}", repeat(" and 1")),
        format!("{{{{ 1{} }}}}", repeat(" if 1 else 1")),
        format!("{{{{ 'a'{} }}}}", repeat("|e")),
        format!("{{{{ a{} }}}}", repeat(".a")),
        format!("{{{{ a{} }}}}", repeat("[0]")),
        format!("{{{{ a{} }}}}", repeat("()")),
    ] {
        // Either an error or, where depth does not matter, a result; never an overflow of the stack.
        if let Err(error) = render(&source) {
            assert!(!error.to_string().contains("panicked"), "{error}");
        }
    }
}

#[test]
fn errors_say_what_failed_and_where() {
    let check = |source: &str, words: &[&str]| {
        let message = render(source).unwrap_err().to_string();
        for word in words {
            assert!(message.contains(word), "{source}: {message}");
        }
    };
    check("a\n{% for %}", &["line 2"]);
    check("{{ 1 }}\n\n{{ messages | nonsense }}", &["line 3", "nonsense"]);
    check("{{ nothing.at.all }}", &["line 1"]);
    check("{{ raise_exception('only text, please') }}", &["refused", "only text, please"]);
    check("{% include '/etc/passwd' %}", &["line 1"]);
    check(&"x".repeat((64 << 10) + 1), &["65537", "65536"]);
}

#[test]
fn nothing_of_the_host_is_reachable() {
    for source in [
        "{{ strftime_now('%Y') }}",
        "{{ debug() }}{{ ''.__class__.__mro__ }}",
        "{% import 'os' as os %}",
    ] {
        assert!(render(source).is_err(), "{source}");
    }
}
