//! Keys and values of one tenant in memory: bounded, with times to live, gone when the process ends. One object belongs to
//! one tenant, so a key cannot name another's.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    host::{Clock, KeyValues},
    wire::StoreFailure,
};

/// Bytes of a key.
pub const MAX_KEY_BYTES: usize = 256;
/// Bytes of a value.
pub const MAX_VALUE_BYTES: usize = 64 << 10;
/// What an entry costs beside its key and value.
const ENTRY_BYTES: usize = 64;

/// The store.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    limit: usize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<String, Entry>,
    bytes: usize,
}

struct Entry {
    value: Vec<u8>,
    ends: Option<Duration>,
}

impl MemoryStore {
    /// A store of at most `limit` bytes.
    pub fn new(clock: Arc<dyn Clock>, limit: usize) -> Self {
        Self { clock, limit, entries: Mutex::default() }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.entries().bytes
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(
        &self,
        entries: &mut Entries,
        key: &str,
        value: Vec<u8>,
        ends: Option<Duration>,
    ) -> Result<(), StoreFailure> {
        if key.len() > MAX_KEY_BYTES || value.len() > MAX_VALUE_BYTES {
            return Err(StoreFailure::TooLarge);
        }
        let now = self.clock.elapsed();
        let before = entries.by_key.get(key).map_or(0, |entry| size(key, &entry.value));
        let after = size(key, &value);
        if entries.bytes - before + after > self.limit {
            entries.forget_ended(now);
        }
        let before = entries.by_key.get(key).map_or(0, |entry| size(key, &entry.value));
        let bytes = entries.bytes - before + after;
        if bytes > self.limit {
            return Err(StoreFailure::Quota);
        }
        entries.bytes = bytes;
        entries.by_key.insert(key.to_owned(), Entry { value, ends });
        Ok(())
    }
}

impl KeyValues for MemoryStore {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreFailure> {
        let now = self.clock.elapsed();
        let entries = self.entries();
        let entry = entries.by_key.get(key).filter(|entry| entry.lives(now));
        Ok(entry.map(|entry| entry.value.clone()))
    }

    fn set(&self, key: &str, value: Vec<u8>, keep: Option<Duration>) -> Result<(), StoreFailure> {
        let ends = keep.map(|keep| self.clock.elapsed() + keep);
        self.place(&mut self.entries(), key, value, ends)
    }

    fn add(&self, key: &str, amount: i64) -> Result<i64, StoreFailure> {
        let now = self.clock.elapsed();
        let mut entries = self.entries();
        let entry = entries.by_key.get(key).filter(|entry| entry.lives(now));
        let ends = entry.and_then(|entry| entry.ends);
        let before = entry.map_or(Some(0), |entry| number(&entry.value));
        let sum =
            before.and_then(|before| before.checked_add(amount)).ok_or(StoreFailure::NotANumber)?;
        self.place(&mut entries, key, sum.to_string().into_bytes(), ends)?;
        Ok(sum)
    }

    fn delete(&self, key: &str) -> Result<(), StoreFailure> {
        let mut entries = self.entries();
        if let Some(entry) = entries.by_key.remove(key) {
            entries.bytes -= size(key, &entry.value);
        }
        Ok(())
    }
}

impl Entries {
    fn forget_ended(&mut self, now: Duration) {
        self.by_key.retain(|_, entry| entry.lives(now));
        self.bytes = self.by_key.iter().map(|(key, entry)| size(key, &entry.value)).sum();
    }
}

impl Entry {
    fn lives(&self, now: Duration) -> bool {
        self.ends.is_none_or(|ends| now < ends)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("MemoryStore").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

fn size(key: &str, value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_BYTES
}

fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}
