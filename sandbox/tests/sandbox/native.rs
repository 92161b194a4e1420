//! Redaction and wake triggers over text that comes in pieces.

use std::sync::Arc;

use realm_sandbox::native::{Patterns, Redact, Redactor, WINDOW_BYTES, Waker};

fn patterns(list: &[(&str, bool)]) -> Arc<Patterns> {
    Arc::new(Patterns::new(list.iter().copied()).unwrap())
}

fn redact(list: &[(&str, bool)]) -> Redact {
    Redact { patterns: patterns(list), text: "[x]".to_owned() }
}

/// The text in pieces of `size` characters, redacted.
fn redacted(redact: &Redact, text: &str, size: usize) -> String {
    let mut redactor = Redactor::new(redact);
    let characters: Vec<char> = text.chars().collect();
    let mut sent: String = characters
        .chunks(size)
        .map(|piece| redactor.push(&piece.iter().collect::<String>()))
        .collect();
    sent.push_str(&redactor.finish());
    sent
}

#[test]
fn matches_are_replaced_however_the_text_is_cut() {
    let cases: [(&[(&str, bool)], &str, &str); 8] = [
        (&[("secret", false)], "a secret, secretly", "a [x], [x]ly"),
        (&[(r"\d{3}-\d{4}", true)], "call 555-1234 or 555-12", "call [x] or 555-12"),
        (&[(r"[a-z]+@[a-z]+\.com", true)], "to ada@mail.com.", "to [x]."),
        (&[("ab", false), ("abc", false)], "abcab", "[x]c[x]"),
        (&[("a.c", false)], "abc a.c", "abc [x]"),
        (&[(r"\bcat\b", true)], "cat concat cat's", "[x] concat [x]'s"),
        (&[("ü", false)], "über Müll", "[x]ber M[x]ll"),
        (&[("aaa", false)], "aaaaaaa", "[x][x]a"),
    ];
    for (list, text, expected) in cases {
        for size in 1..=text.chars().count() {
            assert_eq!(
                redacted(&redact(list), text, size),
                expected,
                "{list:?} in pieces of {size}"
            );
        }
    }
}

#[test]
fn text_that_is_no_part_of_a_match_goes_on_at_once() {
    let mut redactor = Redactor::new(&redact(&[("secret", false)]));
    assert_eq!(redactor.push("the se"), "the ");
    assert_eq!(redactor.push("a in"), "sea in");
    assert_eq!(redactor.push(" secret"), " ");
    assert_eq!(redactor.push("."), "[x].");
    assert_eq!(redactor.count(), 1);
}

#[test]
fn no_more_than_the_window_waits() {
    let mut redactor = Redactor::new(&redact(&[("a.*z", true)]));
    let text = "ab".repeat(4 * WINDOW_BYTES);
    let sent = redactor.push(&text);
    assert!(text.len() - sent.len() <= WINDOW_BYTES, "{} wait", text.len() - sent.len());
    assert_eq!(sent + &redactor.finish(), text);
}

#[test]
fn a_trigger_wakes_with_its_index_once_it_is_whole() {
    let mut waker = Waker::new(&patterns(&[("password", false), (r"\d{4}", true)]));
    assert_eq!(waker.push("my pass", false), None);
    assert!(waker.is_open());
    assert_eq!(waker.push("word is", false), Some(0));
    assert_eq!(waker.push(" 123", false), None);
    assert_eq!(waker.push("4 ", false), Some(1));
    assert_eq!(waker.push("nothing", false), None);
    assert_eq!(waker.push("5678", true), Some(1));
}

#[test]
fn patterns_that_cannot_be_bounded_are_refused_with_the_reason() {
    let cases = [
        ("", false, "1 to"),
        ("a*", true, "empty text"),
        ("(", true, "cannot be used"),
        (r"(?=a)b", true, "cannot be used"),
        ("((a{100}){100}){100}", true, "cannot be used"),
        (r"\b", true, "empty text"),
    ];
    for (pattern, is_regex, reason) in cases {
        let error = Patterns::new([(pattern, is_regex)].into_iter()).unwrap_err();
        assert!(error.to_string().contains(reason), "{pattern}: {error}");
    }
}
