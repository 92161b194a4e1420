//! E-mail addresses in text.

/// What stands for an address.
const REPLACEMENT: &str = "[e-mail address]";

/// The text with its addresses replaced; none when it has none.
pub fn replaced(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut found = false;
    for word in text.split_inclusive(char::is_whitespace) {
        let core = word.trim_matches(|letter: char| !letter.is_alphanumeric());
        match word.find(core) {
            Some(at) if is_address(core) => {
                found = true;
                out.push_str(&word[..at]);
                out.push_str(REPLACEMENT);
                out.push_str(&word[at + core.len()..]);
            }
            _ => out.push_str(word),
        }
    }
    found.then_some(out)
}

fn is_address(word: &str) -> bool {
    let Some((name, domain)) = word.split_once('@') else { return false };
    !name.is_empty() && domain.contains('.') && !domain.contains('@')
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn addresses_are_replaced_and_nothing_else() {
        assert_eq!(replaced("write to me at noon, cc @home"), None);
        let text = replaced("Mail <ada@example.com>, or:\tbob@mail.example.org!");
        assert_eq!(text.as_deref(), Some("Mail <[e-mail address]>, or:\t[e-mail address]!"));
    }
}
