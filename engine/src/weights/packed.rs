//! A model whose matrices are packed for products: made once, kept in a file that every process maps, or in memory.
//!
//! The packed copy lies in a file beside others of its kind, named by what it was made of: header and size of the model
//! file, then the layout's version, when the file last changed, and samples of its tensors. It is written under another
//! name, synced and renamed, and its digest is checked each time it is opened, so that a torn or rotten copy is made anew
//! and never served. Who makes one removes what is left of older ones. The model file itself then is read for embeddings
//! and vectors only; its other pages are given back.
#![expect(unsafe_code, reason = "maps a file, and gives mapped pages back")]

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Seek, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use memmap2::{Mmap, MmapMut};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{
    mapped::MappedModel,
    matrix::Matrix,
    source::{WeightError, Weights},
};
use crate::{
    gguf::{Gguf, TensorInfo},
    kernels::packed::{PackedLayout, PackedMatrix, layout::ROWS, pack_group},
    team::Team,
};

/// Changes with every change of the layout or of this file's format.
const VERSION: u64 = 2;
/// First bytes of a packed file.
const MAGIC: [u8; 8] = *b"RLMPACK1";
/// Magic, key, length of the data, digest of the data, digest of the four before.
const HEADER: usize = 64;
/// Matrices start at multiples of this.
const ALIGN: usize = 64;
/// Bytes that are hashed at once by one task.
const DIGEST_CHUNK: usize = 1 << 20;
/// Bytes at the start, in the middle and at the end of each tensor that go into the key.
const SAMPLE: usize = 256;
/// Fewer entries of the page table to look up while gigabytes of weights stream by; on files, where the file system has
/// large pages.
#[cfg(target_os = "linux")]
const LARGE_PAGES: memmap2::Advice = memmap2::Advice::HugePage;
/// Embeddings, which are packed only where they serve as output.
const EMBEDDINGS: &str = "token_embd.weight";
const OUTPUT: &str = "output.weight";
/// Tables that are looked up and never multiplied.
const TABLES: [&str; 2] = ["position_embd.weight", "token_types.weight"];

/// Where packed weights are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PackedIn {
    /// Nowhere: products run on the rows of the file. Slower, and ready at once.
    File,
    /// In the memory of this process.
    #[default]
    Memory,
    /// In a file in this folder, shared by all processes that map it; in memory when the folder cannot be written.
    Folder(PathBuf),
}

/// Where the packed weights of an open model are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackedState {
    /// There are none.
    Unpacked,
    /// In memory; with the reason why they are not in a file, when that was wanted.
    Memory(Option<String>),
    /// In this file, found there.
    Found(PathBuf),
    /// In this file, just made.
    Made(PathBuf),
}

/// A mapped model with packed matrices.
#[derive(Debug)]
pub struct PackedModel {
    file: MappedModel,
    places: HashMap<String, Place>,
    data: Data,
    state: PackedState,
}

#[derive(Debug)]
enum Data {
    None,
    Memory(MmapMut),
    File(Mmap),
}

impl Data {
    /// The packed matrices, without a file's header.
    fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Memory(map) => map,
            Self::File(map) => map.get(HEADER..).unwrap_or_default(),
        }
    }
}

/// Where a tensor's packed matrices lie: one, or one for each expert.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: usize,
    matrix_bytes: usize,
    layout: PackedLayout,
    rows: usize,
    cols: usize,
    matrices: usize,
}

impl Place {
    fn end(&self) -> usize {
        self.start + self.matrix_bytes * self.matrices
    }
}

impl PackedModel {
    /// Packs the matrices of an open model, or finds them packed.
    pub fn new(file: MappedModel, wanted: &PackedIn) -> Self {
        let (places, len) = places(file.gguf());
        let mut model = Self { file, places, data: Data::None, state: PackedState::Unpacked };
        if len == 0 || *wanted == PackedIn::File {
            model.places.clear();
            return model;
        }
        let team = team();
        let mut reason = None;
        if let PackedIn::Folder(folder) = wanted {
            match model.in_folder(folder, len, &team) {
                Ok((map, state)) => {
                    (model.data, model.state) = (Data::File(map), state);
                    model.give_back();
                    return model;
                }
                Err(error) => reason = Some(format!("{}: {error}", folder.display())),
            }
        }
        match model.in_memory(len, &team) {
            Ok(map) => {
                (model.data, model.state) = (Data::Memory(map), PackedState::Memory(reason));
                model.give_back();
            }
            // Without the memory for a copy, the rows of the file serve.
            Err(_) => model.places.clear(),
        }
        model
    }

    /// Where the packed weights are.
    pub fn state(&self) -> &PackedState {
        &self.state
    }

    fn in_folder(&self, folder: &Path, len: usize, team: &Team) -> io::Result<(Mmap, PackedState)> {
        let (kin, key) = (self.kin(), self.key());
        let ends: Vec<usize> = self.in_order().into_iter().map(|(_, place)| place.end()).collect();
        let path = folder.join(format!("{kin:016x}-{key:016x}.packed"));
        if let Some(map) = open(&path, key, &ends, team) {
            return Ok((map, PackedState::Found(path)));
        }
        fs::create_dir_all(folder)?;
        // One process packs, the others wait and find the file.
        let lock = File::create(folder.join(format!("{kin:016x}.lock")))?;
        lock.lock()?;
        if let Some(map) = open(&path, key, &ends, team) {
            return Ok((map, PackedState::Found(path)));
        }
        remove_kin(folder, kin);
        let part = folder.join(format!("{kin:016x}-{key:016x}.part"));
        let written = self.write(&part, key, len, team);
        if let Err(error) = written.and_then(|()| fs::rename(&part, &path)) {
            // The part is of no use; that it could not be removed changes nothing.
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        File::open(folder)?.sync_all()?;
        let map = open(&path, key, &ends, team)
            .ok_or_else(|| io::Error::other("the packed weights read back differ"))?;
        Ok((map, PackedState::Made(path)))
    }

    /// Writes by calls and not through a map, so that a full disk is an error and not a signal.
    fn write(&self, path: &Path, key: u64, len: usize, team: &Team) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(&[0; HEADER])?;
        let mut digest = Xxh3::new();
        let mut written = 0;
        let mut buffer = Vec::new();
        for (name, place) in self.in_order() {
            buffer.clear();
            buffer.resize(place.end() - written, 0);
            self.pack(name, place, &mut buffer[place.start - written..], team);
            digest_into(&mut digest, &buffer, team);
            file.write_all(&buffer)?;
            written += buffer.len();
        }
        debug_assert_eq!(written, len);
        file.seek(io::SeekFrom::Start(0))?;
        file.write_all(&header(key, len, digest.digest()))?;
        file.sync_all()
    }

    fn in_memory(&self, len: usize, team: &Team) -> io::Result<MmapMut> {
        let mut map = MmapMut::map_anon(len)?;
        // Without large pages, small ones serve.
        #[cfg(target_os = "linux")]
        let _ = map.advise(LARGE_PAGES);
        for (name, place) in self.in_order() {
            let bytes = &mut map[place.start..place.end()];
            self.pack(name, place, bytes, team);
        }
        Ok(map)
    }

    fn in_order(&self) -> Vec<(&str, Place)> {
        let mut places: Vec<(&str, Place)> =
            self.places.iter().map(|(name, place)| (name.as_str(), *place)).collect();
        places.sort_by_key(|(_, place)| place.start);
        places
    }

    fn pack(&self, name: &str, place: Place, packed: &mut [u8], team: &Team) {
        let Some((info, bytes)) = self.file.tensor(name) else { return };
        let row_bytes = info.format.row_bytes(place.cols).unwrap_or(1).max(1);
        let rows: Vec<&[u8]> = bytes.chunks_exact(row_bytes).collect();
        let groups = rows.chunks(place.rows.max(1)).flat_map(|matrix| matrix.chunks(ROWS));
        let groups: Vec<&[&[u8]]> = groups.collect();
        let group_bytes = place.layout.group_bytes(place.cols).unwrap_or(1);
        team.each_part(packed, group_bytes, |index, packed, _| {
            if let Some(rows) = groups.get(index) {
                pack_group(info.format, place.cols, rows, packed);
            }
        });
    }

    /// What copies of one model file have in common, before and after the file or the layout changed.
    fn kin(&self) -> u64 {
        let mut kin = Xxh3::new();
        kin.update(&self.file.file_bytes().to_le_bytes());
        kin.update(self.file.header_bytes());
        kin.digest()
    }

    /// What the packed copy depends on.
    fn key(&self) -> u64 {
        let mut key = Xxh3::new();
        key.update(&VERSION.to_le_bytes());
        key.update(&self.file.modified().to_le_bytes());
        for tensor in &self.file.gguf().tensors {
            if let Some((_, bytes)) = self.file.tensor(&tensor.name) {
                for start in [0, bytes.len() / 2, bytes.len().saturating_sub(SAMPLE)] {
                    key.update(&bytes[start..bytes.len().min(start + SAMPLE)]);
                }
            }
        }
        key.digest()
    }

    /// Pages of the file that only packing read need not stay in memory.
    fn give_back(&self) {
        for name in self.places.keys().filter(|name| *name != EMBEDDINGS) {
            if let Some((_, bytes)) = self.file.tensor(name) {
                self.file.give_back(bytes);
            }
        }
    }
}

impl PackedModel {
    /// The packed form of matrix `index` of `count` in a tensor, or its rows when it has none.
    fn packed<'w>(
        &'w self,
        name: &str,
        index: usize,
        count: usize,
        rows: Matrix<'w>,
    ) -> Matrix<'w> {
        let place = self.places.get(name).filter(|place| place.matrices == count);
        let packed = place.and_then(|place| {
            let start = place.start + index * place.matrix_bytes;
            let bytes = self.data.bytes().get(start..start + place.matrix_bytes)?;
            PackedMatrix::new(rows.format(), rows.rows(), rows.cols(), bytes)
        });
        packed.map_or(rows, Matrix::from)
    }
}

impl Weights for PackedModel {
    fn tensor(&self, name: &str) -> Option<(&TensorInfo, &[u8])> {
        self.file.tensor(name)
    }

    fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<Matrix<'_>, WeightError> {
        let rows_of_file = self.file.table(name, rows, cols)?;
        Ok(self.packed(name, 0, 1, rows_of_file))
    }

    fn matrix_of(
        &self,
        name: &str,
        index: usize,
        count: usize,
        rows: usize,
        cols: usize,
    ) -> Result<Matrix<'_>, WeightError> {
        let rows_of_file = self.file.matrix_of(name, index, count, rows, cols)?;
        Ok(self.packed(name, index, count, rows_of_file))
    }
}

/// Which tensors are packed and where they go, and how long the data are.
fn places(gguf: &Gguf) -> (HashMap<String, Place>, usize) {
    let has_output = gguf.tensors.iter().any(|tensor| tensor.name == OUTPUT);
    let looked_up = |name: &str| TABLES.contains(&name) || (has_output && name == EMBEDDINGS);
    let mut end = 0_usize;
    let mut places = HashMap::new();
    for tensor in gguf.tensors.iter().filter(|tensor| !looked_up(&tensor.name)) {
        let Some(place) = place(tensor, end) else { continue };
        end = place.end().next_multiple_of(ALIGN);
        places.insert(tensor.name.clone(), place);
    }
    let len = places.values().map(Place::end).max();
    (places, len.unwrap_or(0))
}

fn place(tensor: &TensorInfo, end: usize) -> Option<Place> {
    let size = |i: usize| tensor.shape.get(i).map_or(Some(1), |&size| usize::try_from(size).ok());
    let (cols, rows, matrices) = (size(0)?, size(1)?, size(2)?);
    if tensor.shape.len() < 2 || size(3)? != 1 || cols == 0 || rows < 2 || matrices == 0 {
        return None;
    }
    let layout = PackedLayout::of(tensor.format)?;
    let matrix_bytes = layout.bytes(rows, cols)?;
    end.checked_add(matrix_bytes.checked_mul(matrices)?)?;
    Some(Place { start: end, matrix_bytes, layout, rows, cols, matrices })
}

/// Packing uses every CPU that there is; a team that cannot be had is the caller alone.
fn team() -> Team {
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    Team::new(threads).unwrap_or_else(|_| Team::solo())
}

/// Removes older copies, whole or in part, of a model whose lock is held. Who has one mapped keeps it; what cannot be
/// removed only takes room.
fn remove_kin(folder: &Path, kin: u64) {
    let prefix = format!("{kin:016x}-");
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn header(key: u64, len: usize, digest: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&key.to_le_bytes());
    header[16..24].copy_from_slice(&(len as u64).to_le_bytes());
    header[24..32].copy_from_slice(&digest.to_le_bytes());
    let own = xxh3_64(&header[..32]);
    header[32..40].copy_from_slice(&own.to_le_bytes());
    header
}

/// A whole and right file, mapped; everything else is as good as none.
fn open(path: &Path, key: u64, ends: &[usize], team: &Team) -> Option<Mmap> {
    let len = ends.last().copied()?;
    let mut file = File::open(path).ok()?;
    let mut found = [0; HEADER];
    file.read_exact(&mut found).ok()?;
    let digest = u64::from_le_bytes(*found[24..].first_chunk()?);
    if found != header(key, len, digest) || file.metadata().ok()?.len() != (HEADER + len) as u64 {
        return None;
    }
    // SAFETY: the file has its final name, and nobody changes a file that has it; see `MappedModel::open`.
    let map = unsafe { Mmap::map(&file) }.ok()?;
    #[cfg(target_os = "linux")]
    let _ = map.advise(LARGE_PAGES);
    (digest_of(map.get(HEADER..)?, ends, team) == digest).then_some(map)
}

/// The digest of data that were written in pieces with these ends.
fn digest_of(bytes: &[u8], ends: &[usize], team: &Team) -> u64 {
    let mut digest = Xxh3::new();
    let mut start = 0;
    for &end in ends {
        digest_into(&mut digest, bytes.get(start..end).unwrap_or_default(), team);
        start = end;
    }
    digest.digest()
}

/// A digest of data is one of the digests of its chunks, so that all threads can work on it.
fn digest_into(digest: &mut Xxh3, bytes: &[u8], team: &Team) {
    let mut digests = vec![0_u64; bytes.len().div_ceil(DIGEST_CHUNK)];
    team.each_part(&mut digests, 1, |index, digests, _| {
        let start = index * DIGEST_CHUNK;
        let chunk = &bytes[start..bytes.len().min(start + DIGEST_CHUNK)];
        digests.fill(xxh3_64(chunk));
    });
    for chunk in digests {
        digest.update(&chunk.to_le_bytes());
    }
}
