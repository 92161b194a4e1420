//! Packed weights in a folder: made once, found again, never served when they are torn, rotten or of another file.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, Barrier},
    thread,
    time::{Duration, SystemTime},
};

use realm_engine::engine::{Model, ModelOptions, PackedIn, PackedState};
use tempfile::TempDir;

use crate::{logits, mix, model, shape, vocabulary};

/// A model file, and a folder for packed weights beside it.
struct Place {
    folder: TempDir,
    model: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model.gguf");
        let shape = shape::find("tiny").unwrap();
        model::write(&model, &shape, mix::find("Q4_K_M").unwrap(), vocabulary::bytes()).unwrap();
        Self { folder, model }
    }

    fn packed(&self) -> PathBuf {
        self.folder.path().join("packed")
    }

    fn open(&self) -> (Arc<Model>, PackedState) {
        open(&self.model, PackedIn::Folder(self.packed()))
    }

    /// Names of the files in the folder that are not locks.
    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.packed()).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_none_or(|kind| kind != "lock")).collect()
    }
}

fn open(path: &Path, packed: PackedIn) -> (Arc<Model>, PackedState) {
    let model = Model::open(path, &ModelOptions { packed, ..ModelOptions::default() }).unwrap();
    let state = model.packed().clone();
    (model, state)
}

fn in_memory(path: &Path) -> Vec<f32> {
    let (model, state) = open(path, PackedIn::Memory);
    assert_eq!(state, PackedState::Memory(None));
    logits(model)
}

#[test]
fn a_copy_is_made_once_and_found_again() {
    let place = Place::new();
    let (made, state) = place.open();
    let PackedState::Made(path) = state else { panic!("{state:?}") };
    assert_eq!(place.files(), std::slice::from_ref(&path));
    let (found, state) = place.open();
    assert_eq!(state, PackedState::Found(path));
    let expected = in_memory(&place.model);
    assert_eq!(logits(made), expected);
    assert_eq!(logits(found), expected);
}

#[test]
fn a_spoiled_copy_is_made_anew() {
    let place = Place::new();
    let (_, state) = place.open();
    let PackedState::Made(path) = state else { panic!("{state:?}") };
    let whole = fs::read(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let spoiled = [
        ("nothing", Vec::new()),
        ("a piece of the header", whole[..20].to_vec()),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("all but a byte", whole[..whole.len() - 1].to_vec()),
        ("a byte more", [whole.as_slice(), &[0]].concat()),
        ("the magic", flipped(0)),
        ("the key", flipped(9)),
        ("the digest", flipped(25)),
        ("the header's digest", flipped(33)),
        ("the first weight", flipped(64)),
        ("a weight in the middle", flipped(whole.len() / 2)),
        ("the last weight", flipped(whole.len() - 1)),
    ];
    for (what, bytes) in spoiled {
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        let (_, state) = place.open();
        assert_eq!(state, PackedState::Made(path.clone()), "{what}");
        assert!(fs::read(&path).unwrap() == whole, "{what}");
    }
}

#[test]
fn a_changed_model_is_packed_anew_and_the_old_copy_goes() {
    let place = Place::new();
    let (_, state) = place.open();
    let PackedState::Made(old) = state else { panic!("{state:?}") };
    // What a killed process leaves behind goes too.
    fs::write(old.with_extension("part"), b"torn").unwrap();
    // Two files of other models stay.
    fs::write(place.packed().join("0123456789abcdef-0123456789abcdef.packed"), b"other").unwrap();
    let mut bytes = fs::read(&place.model).unwrap();
    // Between two samples of the last tensor; the format's scales lie elsewhere in most blocks.
    let at = bytes.len() - 3000;
    bytes[at] ^= 0x01;
    fs::write(&place.model, bytes).unwrap();
    let later = SystemTime::now() + Duration::from_mins(1);
    File::options().write(true).open(&place.model).unwrap().set_modified(later).unwrap();
    let (model, state) = place.open();
    let PackedState::Made(new) = state else { panic!("{state:?}") };
    assert_ne!(new, old);
    let mut left = place.files();
    left.retain(|path| *path != new);
    assert_eq!(left, [place.packed().join("0123456789abcdef-0123456789abcdef.packed")]);
    assert_eq!(logits(model), in_memory(&place.model));
}

#[test]
fn of_two_who_pack_at_once_one_makes_and_one_finds() {
    let place = Place::new();
    let start = Barrier::new(2);
    let states: Vec<PackedState> = thread::scope(|scope| {
        let open = || {
            start.wait();
            place.open().1
        };
        let threads = [scope.spawn(open), scope.spawn(open)];
        threads.map(|thread| thread.join().unwrap()).into()
    });
    let made = states.iter().filter(|state| matches!(state, PackedState::Made(_))).count();
    let found = states.iter().filter(|state| matches!(state, PackedState::Found(_))).count();
    assert_eq!((made, found), (1, 1), "{states:?}");
    assert_eq!(place.files().len(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_leaves_the_weights_in_memory_and_says_why() {
    let place = Place::new();
    fs::write(place.packed(), b"a file where the folder should be").unwrap();
    let (model, state) = place.open();
    let PackedState::Memory(Some(reason)) = state else { panic!("{state:?}") };
    assert!(reason.contains(&place.packed().display().to_string()), "{reason}");
    assert_eq!(logits(model), in_memory(&place.model));
}
