//! Keys and values of live sequences, in pages.
//!
//! A page holds [`PAGE_TOKENS`] tokens of one sequence in every layer; a sequence owns a list of pages and a length, and
//! nothing past its length is ever read. The transformer sees tiles (one page, one head) and no page numbers, so that
//! sharing of pages can come without touching it. Memory is reserved at the start and touched when it is used.

mod store;

use self::store::Store;

pub use self::store::KvType;

/// Tokens of one page.
pub const PAGE_TOKENS: usize = 32;

/// What a cache has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KvShape {
    /// Transformer blocks.
    pub layers: usize,
    /// Heads of keys and values.
    pub heads: usize,
    /// Numbers of a head.
    pub head_dim: usize,
    /// Tokens of one sequence.
    pub context_length: usize,
    /// Sequences at once.
    pub sequences: usize,
    /// How numbers are stored.
    pub kv_type: KvType,
}

impl KvShape {
    fn pages_per_sequence(&self) -> usize {
        self.context_length.div_ceil(PAGE_TOKENS)
    }

    /// Numbers that one layer's keys have over all pages; `None` past the address space.
    fn layer_numbers(&self) -> Option<usize> {
        let pages = self.pages_per_sequence().checked_mul(self.sequences)?;
        pages.checked_mul(PAGE_TOKENS)?.checked_mul(self.heads)?.checked_mul(self.head_dim)
    }

    /// Bytes of keys and values; `None` past the address space.
    pub fn bytes(&self) -> Option<usize> {
        self.layer_numbers()?.checked_mul(self.layers)?.checked_mul(2 * self.kv_type.bytes())
    }
}

/// Names a live sequence of one cache. A freed id is never valid again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceId {
    slot: u32,
    generation: u32,
}

/// Why a cache refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The operating system has not that much memory.
    #[error(
        "KV cache needs {bytes} bytes and the system does not give them; use fewer sequences or a shorter context"
    )]
    OutOfMemory {
        /// Bytes that were asked for; `usize::MAX` past the address space.
        bytes: usize,
    },
    /// The id was freed or belongs to another cache.
    #[error("unknown sequence")]
    UnknownSequence,
    /// The sequence would grow past its context.
    #[error("{length} tokens and {adding} more are over the context of {context_length}")]
    Full {
        /// Tokens that the sequence holds.
        length: usize,
        /// Tokens that were to be added.
        adding: usize,
        /// Tokens that fit.
        context_length: usize,
    },
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    live: bool,
    pages: Vec<u32>,
    length: usize,
}

/// Keys and values of all live sequences of an engine.
#[derive(Debug)]
pub struct KvCache {
    shape: KvShape,
    /// One pair a layer.
    layers: Vec<Layer>,
    free_pages: Vec<u32>,
    slots: Vec<Slot>,
}

#[derive(Debug)]
struct Layer {
    keys: Store,
    values: Store,
}

impl KvCache {
    /// Reserves memory for the whole shape.
    pub fn new(shape: KvShape) -> Result<Self, KvError> {
        let out_of_memory = KvError::OutOfMemory { bytes: shape.bytes().unwrap_or(usize::MAX) };
        let numbers = shape
            .layer_numbers()
            .filter(|_| shape.bytes().is_some())
            .ok_or(out_of_memory.clone())?;
        let store = || Store::new(shape.kv_type, numbers).ok_or(out_of_memory.clone());
        let layers = (0..shape.layers).map(|_| Ok(Layer { keys: store()?, values: store()? }));
        let pages = (shape.pages_per_sequence() * shape.sequences) as u32;
        Ok(Self {
            layers: layers.collect::<Result<_, _>>()?,
            free_pages: (0..pages).rev().collect(),
            slots: (0..shape.sequences).map(|_| Slot::default()).collect(),
            shape,
        })
    }

    /// What the cache holds.
    pub fn shape(&self) -> &KvShape {
        &self.shape
    }

    /// Starts an empty sequence; `None` when all slots are taken.
    pub fn open(&mut self) -> Option<SequenceId> {
        let at = self.slots.iter().position(|slot| !slot.live)?;
        let slot = &mut self.slots[at];
        slot.live = true;
        Some(SequenceId { slot: at as u32, generation: slot.generation })
    }

    /// Ends a sequence and takes its pages back; an id that is not live is ignored.
    pub fn close(&mut self, id: SequenceId) {
        if let Some(slot) = self.slots.get_mut(id.slot as usize).filter(|slot| slot.is(id)) {
            self.free_pages.append(&mut slot.pages);
            *slot = Slot { generation: slot.generation.wrapping_add(1), ..Slot::default() };
        }
    }

    /// Tokens that a live sequence holds.
    pub fn len(&self, id: SequenceId) -> Option<usize> {
        self.slot(id).map(|slot| slot.length)
    }

    /// Makes room for `adding` tokens more, without adding them.
    pub fn reserve(&mut self, id: SequenceId, adding: usize) -> Result<(), KvError> {
        let context_length = self.shape.context_length;
        let slot = self
            .slots
            .get_mut(id.slot as usize)
            .filter(|slot| slot.is(id))
            .ok_or(KvError::UnknownSequence)?;
        let full = KvError::Full { length: slot.length, adding, context_length };
        let wanted = slot
            .length
            .checked_add(adding)
            .filter(|&tokens| tokens <= context_length)
            .ok_or(full.clone())?;
        while slot.pages.len() * PAGE_TOKENS < wanted {
            slot.pages.push(self.free_pages.pop().ok_or(full.clone())?);
        }
        Ok(())
    }

    /// Writes the keys and values (`heads * head_dim` each) of one reserved token in one layer.
    pub fn write(
        &mut self,
        layer: usize,
        id: SequenceId,
        position: usize,
        keys: &[f32],
        values: &[f32],
    ) {
        let Some(&page) = self.slot(id).and_then(|slot| slot.pages.get(position / PAGE_TOKENS))
        else {
            return;
        };
        let head_dim = self.shape.head_dim;
        let layers = &mut self.layers[layer];
        for head in 0..self.shape.heads {
            let start = tile_start(&self.shape, page, head) + (position % PAGE_TOKENS) * head_dim;
            let numbers = head * head_dim..(head + 1) * head_dim;
            layers.keys.write(start, &keys[numbers.clone()]);
            layers.values.write(start, &values[numbers]);
        }
    }

    /// Adds written tokens to the sequence's length.
    pub fn advance(&mut self, id: SequenceId, tokens: usize) {
        if let Some(slot) = self.slots.get_mut(id.slot as usize).filter(|slot| slot.is(id)) {
            slot.length = (slot.length + tokens).min(slot.pages.len() * PAGE_TOKENS);
        }
    }

    /// One layer of one sequence, to read.
    pub fn view(&self, layer: usize, id: SequenceId) -> KvView<'_> {
        let pages = self.slot(id).map_or(&[][..], |slot| &slot.pages);
        KvView { shape: &self.shape, layer: &self.layers[layer], pages }
    }

    fn slot(&self, id: SequenceId) -> Option<&Slot> {
        self.slots.get(id.slot as usize).filter(|slot| slot.is(id))
    }
}

impl Slot {
    fn is(&self, id: SequenceId) -> bool {
        self.live && self.generation == id.generation
    }
}

/// Where the numbers of a page's head start in a layer.
fn tile_start(shape: &KvShape, page: u32, head: usize) -> usize {
    (page as usize * shape.heads + head) * PAGE_TOKENS * shape.head_dim
}

/// One layer of one sequence. Tiles are `PAGE_TOKENS x head_dim`, tokens in order; the caller knows how many count.
#[derive(Debug, Clone, Copy)]
pub struct KvView<'c> {
    shape: &'c KvShape,
    layer: &'c Layer,
    pages: &'c [u32],
}

impl KvView<'_> {
    /// The first `tokens` keys of the sequence's `page`th page, into `tile`.
    pub fn keys(&self, page: usize, head: usize, tokens: usize, tile: &mut [f32]) {
        self.read(&self.layer.keys, page, head, tokens, tile);
    }

    /// The first `tokens` values of the sequence's `page`th page, into `tile`.
    pub fn values(&self, page: usize, head: usize, tokens: usize, tile: &mut [f32]) {
        self.read(&self.layer.values, page, head, tokens, tile);
    }

    fn read(&self, store: &Store, page: usize, head: usize, tokens: usize, tile: &mut [f32]) {
        let start = tile_start(self.shape, self.pages[page], head);
        store.read(start, &mut tile[..tokens * self.shape.head_dim]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: KvShape = KvShape {
        layers: 2,
        heads: 2,
        head_dim: 4,
        context_length: 40,
        sequences: 2,
        kv_type: KvType::F32,
    };

    fn write(cache: &mut KvCache, id: SequenceId, position: usize, number: f32) {
        cache.reserve(id, 1).unwrap();
        for layer in 0..2 {
            cache.write(layer, id, position, &[number; 8], &[-number; 8]);
        }
        cache.advance(id, 1);
    }

    #[test]
    fn sequences_keep_their_own_tokens() {
        for kv_type in [KvType::F16, KvType::F32] {
            let mut cache = KvCache::new(KvShape { kv_type, ..SHAPE }).unwrap();
            let (one, two) = (cache.open().unwrap(), cache.open().unwrap());
            for position in 0..40 {
                write(&mut cache, one, position, position as f32);
                write(&mut cache, two, position, 100.0 + position as f32);
            }
            let mut tile = [0.0; PAGE_TOKENS * 4];
            cache.view(1, two).keys(1, 1, 8, &mut tile);
            assert_eq!((tile[0], tile[4], tile[31]), (132.0, 133.0, 139.0));
            cache.view(0, one).values(0, 0, 32, &mut tile);
            assert_eq!((tile[0], tile[4], tile[127]), (0.0, -1.0, -31.0));
        }
    }

    #[test]
    fn growing_past_the_context_is_refused() {
        let mut cache = KvCache::new(SHAPE).unwrap();
        let id = cache.open().unwrap();
        cache.reserve(id, 40).unwrap();
        cache.advance(id, 40);
        let full = KvError::Full { length: 40, adding: 1, context_length: 40 };
        assert_eq!(cache.reserve(id, 1), Err(full));
        assert!(cache.reserve(id, usize::MAX).is_err());
    }

    #[test]
    fn freed_slots_come_back_empty_under_a_new_id() {
        let mut cache = KvCache::new(SHAPE).unwrap();
        let (one, _two) = (cache.open().unwrap(), cache.open().unwrap());
        assert_eq!(cache.open(), None);
        cache.reserve(one, 40).unwrap();
        cache.close(one);
        cache.close(one);
        let new = cache.open().unwrap();
        assert_ne!(one, new);
        assert_eq!((cache.len(one), cache.len(new)), (None, Some(0)));
        assert_eq!(cache.reserve(one, 1), Err(KvError::UnknownSequence));
        cache.reserve(new, 40).unwrap();
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let shape = KvShape { context_length: usize::MAX / 2, ..SHAPE };
        assert!(matches!(KvCache::new(shape), Err(KvError::OutOfMemory { .. })));
        let shape = KvShape { sequences: 1 << 50, ..SHAPE };
        assert!(matches!(KvCache::new(shape), Err(KvError::OutOfMemory { .. })));
    }
}
