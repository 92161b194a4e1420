//! The first eight bytes of a model file: enough to tell a model from a web page, before it gets its final name.
//! The engine checks the rest when it loads the file.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
};

use super::{error::FetchError, source::Source};
use crate::store::StoreError;

const MAGIC: [u8; 4] = *b"GGUF";
const KNOWN_VERSIONS: std::ops::RangeInclusive<u32> = 2..=3;

/// Refuses a file that does not begin like a GGUF file of a known version.
pub(super) fn check(path: &Path, source: &Source) -> Result<(), FetchError> {
    let mut first = [0; 8];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut first));
    let verdict = match read {
        Ok(()) => judge(first),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Err("it is shorter than a header".to_owned())
        }
        Err(error) => return Err(StoreError::io("read", path, error).into()),
    };
    verdict.map_err(|reason| FetchError::NotGguf { source_name: source.to_string(), reason })
}

fn judge(first: [u8; 8]) -> Result<(), String> {
    let [a, b, c, d, version @ ..] = first;
    if [a, b, c, d] != MAGIC {
        return Err(format!(
            "it begins with {:?} instead of \"GGUF\"",
            first.escape_ascii().to_string()
        ));
    }
    let version = u32::from_le_bytes(version);
    if KNOWN_VERSIONS.contains(&version) {
        return Ok(());
    }
    Err(format!("it has GGUF version {version}, known are 2 and 3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_models_from_other_files() {
        assert_eq!(judge(*b"GGUF\x03\0\0\0"), Ok(()));
        assert_eq!(judge(*b"GGUF\x02\0\0\0"), Ok(()));
        for (bytes, expected) in [
            (*b"<!doctyp", "begins with"),
            (*b"GGUF\x01\0\0\0", "version 1,"),
            (*b"GGUF\0\0\0\x03", "version 50331648"),
        ] {
            assert!(judge(bytes).unwrap_err().contains(expected));
        }
    }
}
