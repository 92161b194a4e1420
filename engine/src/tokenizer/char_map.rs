//! SentencePiece's compiled character map (`tokenizer.ggml.precompiled_charsmap`): what each run of characters becomes.
//!
//! The blob is a little-endian length, a double-array trie of that many bytes in 32-bit units, and the replacements, each
//! ended by a zero byte. Every index into it is checked: the blob comes with the file.

use super::error::TokenizerError;

/// Largest blob that is accepted; the largest published one (`nmt_nfkc_cf`) has 0.3 MB.
const MAX_BLOB_BYTES: usize = 16 << 20;
/// Longest run of input bytes that one entry replaces; bounds the work for each character.
const MAX_KEY_BYTES: usize = 128;
/// Longest replacement; bounds how much a text can grow. The longest published one has 33 bytes.
const MAX_REPLACEMENT_BYTES: usize = 256;
/// Bytes of a trie unit and of the length in front of the trie.
const UNIT_BYTES: usize = 4;

/// A compiled character map.
#[derive(Debug)]
pub(super) struct CharMap {
    units: Vec<Unit>,
    /// Replacements, each ended by a zero byte.
    replacements: String,
}

/// One unit of the double array: a label and where its children stand, or a value.
#[derive(Debug, Clone, Copy)]
struct Unit(u32);

impl Unit {
    fn has_value(self) -> bool {
        self.0 >> 8 & 1 == 1
    }

    fn value(self) -> usize {
        (self.0 & 0x7FFF_FFFF) as usize
    }

    /// The byte that leads here; a unit that holds a value has bit 31 set and so equals no byte.
    fn label(self) -> u32 {
        self.0 & 0x8000_00FF
    }

    fn offset(self) -> usize {
        ((self.0 >> 10) << ((self.0 & 0x200) >> 6)) as usize
    }
}

impl CharMap {
    /// Takes a blob apart; `None` when it is empty.
    pub(super) fn new(blob: &[u8]) -> Result<Option<Self>, TokenizerError> {
        if blob.is_empty() {
            return Ok(None);
        }
        let refuse = |reason| TokenizerError::CharacterMap { reason };
        if blob.len() > MAX_BLOB_BYTES {
            return Err(refuse(format!("{} bytes; at most {MAX_BLOB_BYTES}", blob.len())));
        }
        let (length, rest) =
            blob.split_first_chunk().ok_or_else(|| refuse("it has no length".to_owned()))?;
        let length = u32::from_le_bytes(*length) as usize;
        let (trie, replacements) = rest
            .split_at_checked(length)
            .filter(|(trie, _)| trie.len().is_multiple_of(UNIT_BYTES) && !trie.is_empty())
            .ok_or_else(|| refuse(format!("a trie of {length} bytes in {}", rest.len())))?;
        let replacements = std::str::from_utf8(replacements)
            .map_err(|error| refuse(format!("its replacements are not UTF-8: {error}")))?;
        if replacements.split('\0').any(|text| text.len() > MAX_REPLACEMENT_BYTES) {
            let limit = MAX_REPLACEMENT_BYTES;
            return Err(refuse(format!("a replacement is longer than {limit} bytes")));
        }
        let (units, _) = trie.as_chunks::<UNIT_BYTES>();
        let units = units.iter().map(|unit| Unit(u32::from_le_bytes(*unit))).collect();
        Ok(Some(Self { units, replacements: replacements.to_owned() }))
    }

    /// The longest entry that `text` begins with: its length in bytes and its replacement.
    pub(super) fn replace(&self, text: &str) -> Option<(usize, &str)> {
        let mut place = self.units.first()?.offset();
        let mut longest = None;
        for (&byte, taken) in text.as_bytes().iter().take(MAX_KEY_BYTES).zip(1..) {
            place ^= usize::from(byte);
            let Some(unit) = self.units.get(place).filter(|unit| unit.label() == u32::from(byte))
            else {
                break;
            };
            place ^= unit.offset();
            if unit.has_value() {
                let value = self.units.get(place).map(|unit| unit.value());
                longest = value.map(|value| (taken, value)).or(longest);
            }
        }
        let (taken, value) = longest.filter(|&(taken, _)| text.is_char_boundary(taken))?;
        let replacement = self.replacements.get(value..)?;
        Some((taken, replacement.split_once('\0').map_or(replacement, |(text, _)| text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trie with one entry: `a` becomes `bc`. Unit 0 is the root with its children at 0x100.
    fn blob() -> Vec<u8> {
        let mut units = vec![0_u32; 0x200];
        units[0] = 0x100 << 10;
        units[0x100 ^ 0x61] = 0x61 | 1 << 8 | 1 << 10;
        units[0x100 ^ 0x61 ^ 1] = 1 << 31;
        let mut blob = (units.len() as u32 * 4).to_le_bytes().to_vec();
        blob.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        blob.extend(b"bc\0");
        blob
    }

    #[test]
    fn the_entry_is_found() {
        let map = CharMap::new(&blob()).unwrap().unwrap();
        assert_eq!(map.replace("ax"), Some((1, "bc")));
        assert_eq!(map.replace("xa"), None);
        assert_eq!(map.replace(""), None);
    }

    #[test]
    fn broken_blobs_are_refused_or_harmless() {
        assert!(CharMap::new(&[]).unwrap().is_none());
        let whole = blob();
        for cut in [1, 3, 4, 7, 100, whole.len() - 4] {
            assert!(CharMap::new(&whole[..cut]).is_err(), "{cut} bytes");
        }
        let mut long = whole.clone();
        long.splice(whole.len() - 1.., [b'x'; MAX_REPLACEMENT_BYTES]);
        assert!(CharMap::new(&long).unwrap_err().to_string().contains("256 bytes"));
        let mut not_text = whole.clone();
        not_text.push(0xFF);
        assert!(CharMap::new(&not_text).unwrap_err().to_string().contains("UTF-8"));
        // Any unit may be any number: nothing is read outside the blob, and no lookup runs on without end.
        for unit in [0_u32, u32::MAX, 0x61 | 1 << 8, 0x161 | u32::MAX << 10] {
            let mut spoilt = whole.clone();
            let at = 4 + 4 * (0x100 ^ 0x61);
            spoilt[at..at + 4].copy_from_slice(&unit.to_le_bytes());
            let map = CharMap::new(&spoilt).unwrap().unwrap();
            assert!(map.replace(&"a".repeat(1000)).is_none_or(|(taken, _)| taken <= MAX_KEY_BYTES));
        }
    }
}
