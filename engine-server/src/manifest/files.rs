//! Reads what `-f` names: files, folders of `.yaml`, `.yml` and `.json` files, and standard input.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::fault::{Fault, ManifestError};

/// The largest manifest file, in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Files that one folder may give.
pub const MAX_FILES: usize = 256;
/// Stands for standard input.
const STDIN: &str = "-";

/// A file's content and the name to show for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// As the user named it; `-` is standard input.
    pub name: String,
    /// The content.
    pub content: String,
}

/// Reads all `paths` in order; files of a folder in the order of their names, not those of folders inside it.
pub fn read_all(paths: &[PathBuf], stdin: &mut dyn Read) -> Result<Vec<Text>, ManifestError> {
    let mut texts = Vec::new();
    for path in paths {
        if path.as_os_str() == STDIN {
            texts.push(read(STDIN, stdin, path)?);
        } else {
            for file in files_of(path)? {
                texts.push(read_file(&file)?);
            }
        }
    }
    Ok(texts)
}

/// The files that `path` names: itself, or those of the folder.
pub fn files_of(path: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    if path.is_dir() { manifests_in(path) } else { Ok(vec![path.to_owned()]) }
}

fn read_file(path: &Path) -> Result<Text, ManifestError> {
    let mut file = fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    read(&path.display().to_string(), &mut file, path)
}

fn read(name: &str, reader: &mut dyn Read, path: &Path) -> Result<Text, ManifestError> {
    let mut bytes = Vec::new();
    let limited = &mut reader.take(MAX_FILE_BYTES + 1);
    limited.read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let reason =
            format!("it is larger than {MAX_FILE_BYTES} bytes, the limit of a manifest file");
        return Err(ManifestError::Read { path: path.to_owned(), reason });
    }
    let content = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count() as u64;
        ManifestError::Faults(vec![Fault {
            file: name.to_owned(),
            line,
            resource: String::new(),
            field: String::new(),
            message: "not UTF-8 text".into(),
        }])
    })?;
    Ok(Text { name: name.to_owned(), content })
}

fn manifests_in(folder: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let listing = fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let mut files = Vec::new();
    for entry in listing {
        let path = entry.map_err(|error| unreadable(folder, &error))?.path();
        let fits =
            path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        if fits && path.is_file() {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            let reason = format!("the folder holds more than {MAX_FILES} manifest files");
            return Err(ManifestError::Read { path: folder.to_owned(), reason });
        }
    }
    if files.is_empty() {
        let reason = "the folder holds no .yaml, .yml or .json file".to_owned();
        return Err(ManifestError::Read { path: folder.to_owned(), reason });
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, error: &io::Error) -> ManifestError {
    ManifestError::Read { path: path.to_owned(), reason: error.to_string() }
}
