//! Numbers of payment cards in text: 13 to 19 digits whose check digit is right.

/// What stands for a number.
const REPLACEMENT: &str = "[card number]";
/// Digits of a number.
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// The text with its card numbers replaced; none when it has none.
pub fn replaced(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut found = false;
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let (number, after) = from.split_at(run(from));
        out.push_str(before);
        if is_card(number) {
            found = true;
            out.push_str(REPLACEMENT);
        } else {
            out.push_str(number);
        }
        rest = after;
    }
    out.push_str(rest);
    found.then_some(out)
}

/// Bytes of the digits at the start, with single spaces or dashes between them.
fn run(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut end = 0;
    while end < bytes.len() {
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        if digit(end) || (matches!(bytes[end], b' ' | b'-') && digit(end + 1)) {
            end += 1;
        } else {
            break;
        }
    }
    end
}

/// Whether the digits are a card's, by the sum of Luhn.
fn is_card(number: &str) -> bool {
    let digits: Vec<u32> = number.chars().rev().filter_map(|letter| letter.to_digit(10)).collect();
    let sum: u32 = digits
        .iter()
        .enumerate()
        .map(|(place, digit)| match place % 2 {
            0 => *digit,
            _ if *digit > 4 => digit * 2 - 9,
            _ => digit * 2,
        })
        .sum();
    DIGITS.contains(&digits.len()) && sum % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn only_numbers_with_a_right_check_digit_are_cards() {
        let text = replaced("card 4242 4242 4242 4242, order 1234567890123");
        assert_eq!(text.as_deref(), Some("card [card number], order 1234567890123"));
        assert_eq!(replaced("order 4242-4242-4242-4243 of 2026"), None);
    }
}
