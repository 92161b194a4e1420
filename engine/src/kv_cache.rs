//! Keys and values of live sequences, in pages.
//!
//! A page holds [`PAGE_TOKENS`] tokens of one sequence in every layer; a sequence owns a list of pages and a length, and
//! nothing past its length is ever read. The transformer sees tiles (one page, one head) and no page numbers, so that
//! sharing of pages can come without touching it. Memory is reserved at the start and touched when it is used.

mod error;
mod shape;
mod store;
mod view;

use self::{store::Store, view::Layer};

pub use self::{
    error::KvError,
    shape::{KvShape, PAGE_TOKENS},
    store::{KV_BLOCK, KvTile, KvType},
    view::KvView,
};

/// Names a live sequence of one cache. A freed id is never valid again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SequenceId {
    slot: u32,
    generation: u32,
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

impl KvCache {
    /// Reserves memory for the whole shape.
    pub fn new(shape: KvShape) -> Result<Self, KvError> {
        let out_of_memory = KvError::OutOfMemory { bytes: shape.bytes().unwrap_or(usize::MAX) };
        if shape.bytes().is_none() || u32::try_from(shape.pages).is_err() {
            return Err(out_of_memory);
        }
        let store = |head_dim| {
            Store::new(shape.kv_type, shape.pages, shape.heads, head_dim)
                .ok_or(out_of_memory.clone())
        };
        let layers = (0..shape.layers)
            .map(|_| Ok(Layer { keys: store(shape.key_dim)?, values: store(shape.value_dim)? }));
        Ok(Self {
            layers: layers.collect::<Result<_, _>>()?,
            free_pages: (0..shape.pages as u32).rev().collect(),
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

    /// Writes the keys and values of consecutive tokens of one sequence in one layer, for which room is reserved. `keys`
    /// and `values` are a row for each token, all heads one after the other. What has no room is left out.
    pub fn write_run(
        &mut self,
        layer: usize,
        id: SequenceId,
        position: usize,
        keys: &[f32],
        values: &[f32],
    ) {
        let Some(slot) = self.slots.get(id.slot as usize).filter(|slot| slot.is(id)) else {
            return;
        };
        let Layer { keys: key_store, values: value_store } = &mut self.layers[layer];
        for (store, mut rows) in [(key_store, keys), (value_store, values)] {
            let mut first = position % PAGE_TOKENS;
            for &page in slot.pages.iter().skip(position / PAGE_TOKENS) {
                let here = ((PAGE_TOKENS - first) * store.row_len()).min(rows.len());
                let (now, later) = rows.split_at(here);
                store.write(page, first, now);
                (first, rows) = (0, later);
                if rows.is_empty() {
                    break;
                }
            }
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
        KvView { layer: &self.layers[layer], pages }
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

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: KvShape = KvShape {
        layers: 2,
        heads: 2,
        key_dim: 4,
        value_dim: 4,
        context_length: 40,
        sequences: 2,
        pages: 4,
        kv_type: KvType::F32,
    };

    fn write(cache: &mut KvCache, id: SequenceId, position: usize, number: f32) {
        cache.reserve(id, 1).unwrap();
        for layer in 0..2 {
            cache.write_run(layer, id, position, &[number; 8], &[-number; 8]);
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
    fn runs_cross_pages_and_read_back_in_every_type() {
        // 33 numbers a head: a whole block and a short one; values have another size.
        let (key_dim, value_dim) = (33, 5);
        for (kv_type, tolerance) in
            [(KvType::F32, 0.0), (KvType::F16, 1e-3), (KvType::Q8_0, 1.0 / 127.0)]
        {
            let shape = KvShape { key_dim, value_dim, kv_type, ..SHAPE };
            let mut cache = KvCache::new(shape).unwrap();
            let id = cache.open().unwrap();
            cache.reserve(id, 40).unwrap();
            let rows = |width: usize| -> Vec<f32> {
                (0..40 * width).map(|at| (at as f32 * 0.7).sin()).collect()
            };
            let (keys, values) = (rows(2 * key_dim), rows(2 * value_dim));
            for (first, end) in [(0, 7), (7, 40)] {
                let (key, value) = (2 * key_dim, 2 * value_dim);
                cache.write_run(
                    1,
                    id,
                    first,
                    &keys[first * key..end * key],
                    &values[first * value..end * value],
                );
            }
            let view = cache.view(1, id);
            for token in 0..40 {
                let (page, at) = (token / PAGE_TOKENS, token % PAGE_TOKENS);
                let mut tile = [0.0; PAGE_TOKENS * 33];
                view.keys(page, 1, at + 1, &mut tile);
                let expected = &keys[(token * 2 + 1) * key_dim..][..key_dim];
                for (read, expected) in tile[at * key_dim..].iter().zip(expected) {
                    assert!((read - expected).abs() <= tolerance, "{kv_type:?} {read} {expected}");
                }
                view.values(page, 0, at + 1, &mut tile);
                let expected = &values[token * 2 * value_dim..][..value_dim];
                for (read, expected) in tile[at * value_dim..].iter().zip(expected) {
                    assert!((read - expected).abs() <= tolerance, "{kv_type:?} {read} {expected}");
                }
            }
        }
    }

    #[test]
    fn eight_bit_tiles_have_a_scale_for_each_block() {
        let shape = KvShape { key_dim: 64, heads: 1, kv_type: KvType::Q8_0, ..SHAPE };
        let mut cache = KvCache::new(shape).unwrap();
        let id = cache.open().unwrap();
        cache.reserve(id, 2).unwrap();
        let mut keys = [0.0; 128];
        (keys[0], keys[64], keys[65], keys[127]) = (-254.0, 1.0, 127.0, 12.7);
        cache.write_run(0, id, 0, &keys, &[0.0; 8]);
        let KvTile::Q8 { codes, scales } = cache.view(0, id).key_tile(0, 0) else {
            panic!("the tile is not of eight bits");
        };
        assert_eq!((codes.len(), scales.len()), (PAGE_TOKENS * 64, PAGE_TOKENS * 2));
        assert_eq!((codes[0], codes[1], codes[64], codes[65], codes[127]), (-127, 0, 1, 127, 127));
        let scales: Vec<f32> =
            scales[..4].iter().map(|&bits| half::f16::from_bits(bits).to_f32()).collect();
        assert_eq!((scales[0], scales[1], scales[2]), (2.0, 0.0, 1.0));
        assert!((scales[3] - 0.1).abs() < 1e-4, "{scales:?}");
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
        let shape = KvShape { pages: usize::MAX / 2, ..SHAPE };
        assert!(matches!(KvCache::new(shape), Err(KvError::OutOfMemory { .. })));
        let shape = KvShape { pages: 1 << 50, ..SHAPE };
        assert!(matches!(KvCache::new(shape), Err(KvError::OutOfMemory { .. })));
    }
}
