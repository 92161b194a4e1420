//! The byte alphabet of GPT-2: every byte as one printable character, so that merges can be written as text.
//!
//! Bytes that print in Latin-1 stand for themselves; the other 68 take the characters from U+0100 on, in byte order.
//! Source: `bytes_to_unicode` of the GPT-2 release.

/// First character that stands for a byte which does not print.
const FIRST_SUBSTITUTE: u32 = 0x100;

/// Whether the byte stands for itself.
const fn prints(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The bytes that do not print, in order.
fn substituted() -> impl Iterator<Item = u8> {
    (0..=u8::MAX).filter(|&byte| !prints(byte))
}

/// The character of each byte.
pub(super) fn characters() -> [char; 256] {
    let mut table: [char; 256] = std::array::from_fn(|byte| char::from(byte as u8));
    for (byte, code) in substituted().zip(FIRST_SUBSTITUTE..) {
        table[usize::from(byte)] = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    table
}

/// The byte that a character stands for; `None` when it is not in the alphabet.
pub(super) fn byte(character: char) -> Option<u8> {
    let code = u32::from(character);
    match u8::try_from(code) {
        Ok(byte) => prints(byte).then_some(byte),
        Err(_) => substituted().nth((code - FIRST_SUBSTITUTE) as usize),
    }
}

/// The bytes of a token's text; characters outside the alphabet stay as they are.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match byte(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_own_character() {
        let table = characters();
        for value in 0..=u8::MAX {
            assert_eq!(byte(table[usize::from(value)]), Some(value));
        }
        assert_eq!((table[0x20], table[0x0A], table[0xAD]), ('Ġ', 'Ċ', 'Ń'));
    }

    #[test]
    fn characters_outside_the_alphabet_stay() {
        assert_eq!(decode("Ġa…"), " a…".as_bytes());
        assert_eq!(byte('\u{0144}'), None);
    }
}
