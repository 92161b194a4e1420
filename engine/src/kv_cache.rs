//! Keys and values of live sequences, in pages.
//!
//! A page holds [`PAGE_TOKENS`] tokens in every layer. All sequences take their pages from one pool as they grow, and
//! nothing past a sequence's length is ever read. Full pages are found again by their tokens, so that sequences of one salt
//! with the same beginning hold the same pages; who writes to a page that others hold, or that is found by its tokens,
//! writes to a copy. The transformer sees tiles (one page, one head) and no page numbers. Memory is reserved at the start
//! and touched when it is used.

mod error;
mod kv_type;
mod pool;
mod prefix;
mod sequence;
mod shape;
mod store;
mod view;

use self::{pool::Pool, prefix::common, sequence::Slot, store::Store, view::Layer};
use crate::tokenizer::TokenId;

pub use self::{
    error::KvError,
    kv_type::{KV_BLOCK, KvType},
    prefix::PrefixSalt,
    sequence::SequenceId,
    shape::{KvShape, PAGE_TOKENS},
    store::KvTile,
    view::KvView,
};

/// Keys and values of all live sequences of an engine.
#[derive(Debug)]
pub struct KvCache {
    shape: KvShape,
    /// One pair a layer.
    layers: Vec<Layer>,
    pool: Pool,
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
            pool: Pool::new(shape.pages),
            slots: (0..shape.sequences).map(|_| Slot::default()).collect(),
            shape,
        })
    }

    /// What the cache holds.
    pub fn shape(&self) -> &KvShape {
        &self.shape
    }

    /// Starts an empty sequence, which shares with others of its salt; `None` when all slots are taken.
    pub fn open(&mut self, salt: Option<PrefixSalt>) -> Option<SequenceId> {
        let at = self.slots.iter().position(|slot| !slot.live)?;
        let slot = &mut self.slots[at];
        (slot.live, slot.salt) = (true, salt);
        Some(SequenceId { slot: at as u32, generation: slot.generation })
    }

    /// Starts a sequence that holds what another holds. Their pages are the same until one of them writes. `None` when
    /// all slots are taken or `id` is not live.
    pub fn fork(&mut self, id: SequenceId) -> Option<SequenceId> {
        let Slot { tokens, salt, pages, .. } = self.slot(id)?;
        let (tokens, salt) = (tokens.clone(), salt.clone());
        let pages = pages[..tokens.len().div_ceil(PAGE_TOKENS)].to_vec();
        let fork = self.open(salt)?;
        for &page in &pages {
            self.pool.hold(page);
        }
        let slot = &mut self.slots[fork.slot as usize];
        (slot.tokens, slot.pages) = (tokens, pages);
        Some(fork)
    }

    /// Ends a sequence and lets its pages go; an id that is not live is ignored.
    pub fn close(&mut self, id: SequenceId) {
        let Self { slots, pool, .. } = self;
        if let Some(slot) = slots.get_mut(id.slot as usize).filter(|slot| slot.is(id)) {
            keep_begun_page(pool, slot);
            let_go(pool, slot, 0);
            *slot = Slot { generation: slot.generation.wrapping_add(1), ..Slot::default() };
        }
    }

    /// Forgets all tokens of a sequence but the first `length`. Pages that others hold stay as they are.
    pub fn truncate(&mut self, id: SequenceId, length: usize) -> Result<(), KvError> {
        let Self { slots, pool, .. } = self;
        let slot = slots.get_mut(id.slot as usize).filter(|slot| slot.is(id));
        let slot = slot.ok_or(KvError::UnknownSequence { id })?;
        if length < slot.tokens.len() {
            slot.tokens.truncate(length);
            let_go(pool, slot, length.div_ceil(PAGE_TOKENS));
        }
        Ok(())
    }

    /// Tokens that a live sequence holds.
    pub fn len(&self, id: SequenceId) -> Option<usize> {
        self.slot(id).map(|slot| slot.tokens.len())
    }

    /// Pages that a live sequence holds, shared ones included.
    pub fn pages_held(&self, id: SequenceId) -> Option<usize> {
        self.slot(id).map(|slot| slot.pages.len())
    }

    /// Pages that sequences can still take.
    pub fn available_pages(&self) -> usize {
        self.pool.available()
    }

    /// Takes what other sequences of the salt have computed of `tokens`, which go on from what the sequence holds. The
    /// last token is never taken, so that something is left to compute. Returns how many tokens the sequence then holds.
    pub fn reuse(&mut self, id: SequenceId, tokens: &[TokenId]) -> usize {
        let Some(slot) = self.slot(id) else { return 0 };
        let held = slot.tokens.len();
        let Some(salt) = slot.salt.clone().filter(|_| tokens.starts_with(&slot.tokens)) else {
            return held;
        };
        let limit = tokens.len().saturating_sub(1);
        let mut parent = slot.pages[..held / PAGE_TOKENS].last().copied();
        let mut found = Vec::new();
        let full = tokens[..limit].as_chunks().0;
        for tokens in full.iter().skip(held / PAGE_TOKENS) {
            let Some(page) = self.pool.index.find(&salt, parent, tokens) else { break };
            found.push(page);
            parent = Some(page);
        }
        if !found.is_empty() {
            self.adopt(id, tokens, &found);
        }
        let at = (held / PAGE_TOKENS + found.len()) * PAGE_TOKENS;
        let rest = tokens.get(at..limit).unwrap_or_default();
        if let Some((page, common)) = self.nearest(&salt, parent, at, rest)
            && at + common > held
        {
            self.adopt_part(id, &tokens[..at + common], page);
        }
        self.len(id).unwrap_or(held)
    }

    /// Pages of the beginning of `tokens` that live sequences of the salt hold.
    pub fn shared_pages(&self, salt: &PrefixSalt, tokens: &[TokenId]) -> usize {
        let mut parent = None;
        let limit = tokens.len().saturating_sub(1);
        let held = tokens[..limit].as_chunks().0.iter().take_while(|tokens| {
            parent = self.pool.index.find(salt, parent, tokens);
            parent.is_some_and(|page| self.pool.holders(page) > 0)
        });
        held.count()
    }

    /// Makes room for tokens more in several different sequences, without adding them: all of them or none.
    pub fn reserve(&mut self, wants: &[(SequenceId, usize)]) -> Result<(), KvError> {
        let needed = self.needed(wants)?;
        let available = self.pool.available();
        if needed > available {
            return Err(KvError::OutOfPages { needed, available });
        }
        for &(id, adding) in wants {
            self.grow(id, adding);
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

    /// Adds tokens, whose keys and values are written in every layer, to the sequence. From now on others of its salt
    /// find its full pages; a page that another sequence has filled with the same tokens takes the place of its own.
    pub fn advance(&mut self, id: SequenceId, tokens: &[TokenId]) {
        let Self { slots, pool, .. } = self;
        let Some(slot) = slots.get_mut(id.slot as usize).filter(|slot| slot.is(id)) else { return };
        let full = slot.tokens.len() / PAGE_TOKENS;
        let room = slot.pages.len() * PAGE_TOKENS - slot.tokens.len();
        slot.tokens.extend_from_slice(&tokens[..tokens.len().min(room)]);
        let Some(salt) = slot.salt.clone() else { return };
        let mut parent = slot.pages[..full].last().copied();
        for at in full..slot.tokens.len() / PAGE_TOKENS {
            let Some(tokens) = slot.page_tokens(at) else { break };
            let own = slot.pages[at];
            if let Some(known) = pool.index.find(&salt, parent, tokens) {
                pool.hold(known);
                pool.release(own);
                slot.pages[at] = known;
            } else {
                pool.index.insert(&salt, parent, tokens, own);
            }
            parent = Some(slot.pages[at]);
        }
    }

    /// One layer of one sequence, to read.
    pub fn view(&self, layer: usize, id: SequenceId) -> KvView<'_> {
        let pages = self.slot(id).map_or(&[][..], |slot| &slot.pages);
        KvView { layer: &self.layers[layer], pages }
    }

    /// Recounts all pages and holders; says what does not add up. Walks everything: for tests and for hunting faults.
    pub fn audit(&self) -> Result<(), String> {
        let held: Vec<u32> = self.slots.iter().flat_map(|slot| slot.pages.clone()).collect();
        self.pool.audit(&held)
    }

    /// Pages that [`Self::reserve`] will take, if nothing else is in the way.
    fn needed(&self, wants: &[(SequenceId, usize)]) -> Result<usize, KvError> {
        let context_length = self.shape.context_length;
        let mut needed = 0;
        let mut written = Vec::new();
        for &(id, adding) in wants {
            let slot = self.slot(id).ok_or(KvError::UnknownSequence { id })?;
            let length = slot.tokens.len();
            if adding > context_length.saturating_sub(length) {
                return Err(KvError::Full { length, adding, context_length });
            }
            needed += slot.missing_pages(adding);
            written.extend(slot.begun_page().filter(|_| adding > 0).map(|(_, page)| page));
        }
        written.sort_unstable();
        let copies = written.chunk_by(|left, right| left == right);
        Ok(needed + copies.map(|same| self.pool.copies(same[0], same.len())).sum::<usize>())
    }

    /// Takes the pages for tokens more; the caller has made sure that they are there.
    fn grow(&mut self, id: SequenceId, adding: usize) {
        let Self { slots, pool, layers, .. } = self;
        let slot = &mut slots[id.slot as usize];
        if let Some((at, page)) = slot.begun_page().filter(|_| adding > 0)
            && pool.must_copy(page)
            && let Some(copy) = pool.take()
        {
            let tokens = slot.tokens.len() % PAGE_TOKENS;
            for layer in layers {
                layer.copy(page, copy, tokens);
            }
            slot.pages[at] = copy;
            pool.release(page);
        }
        for _ in 0..slot.missing_pages(adding) {
            slot.pages.extend(pool.take());
        }
    }

    /// Goes on with full pages of others: `tokens` from the last full page on.
    fn adopt(&mut self, id: SequenceId, tokens: &[TokenId], pages: &[u32]) {
        let Self { slots, pool, .. } = self;
        let slot = &mut slots[id.slot as usize];
        for &page in pages {
            pool.hold(page);
        }
        let full = slot.tokens.len() / PAGE_TOKENS;
        let_go(pool, slot, full);
        slot.pages.extend_from_slice(pages);
        let held = slot.tokens.len();
        slot.tokens.extend_from_slice(&tokens[held..slot.pages.len() * PAGE_TOKENS]);
    }

    /// Goes on with a copy of the beginning of another's page; `tokens` is all that the sequence then holds.
    fn adopt_part(&mut self, id: SequenceId, tokens: &[TokenId], page: u32) {
        let Self { slots, pool, layers, .. } = self;
        let slot = &mut slots[id.slot as usize];
        // Held, or it could be the very page that is taken.
        pool.hold(page);
        if let Some(copy) = pool.take() {
            let full = tokens.len() / PAGE_TOKENS;
            let_go(pool, slot, full);
            for layer in layers {
                layer.copy(page, copy, tokens.len() % PAGE_TOKENS);
            }
            slot.pages.push(copy);
            slot.tokens.extend_from_slice(&tokens[slot.tokens.len()..]);
        }
        pool.release(page);
    }

    /// A page after `parent`, which ends at token `at`, that begins with most of these tokens, and with how many: of the
    /// index, or begun by a live sequence.
    fn nearest(
        &self,
        salt: &PrefixSalt,
        parent: Option<u32>,
        at: usize,
        tokens: &[TokenId],
    ) -> Option<(u32, usize)> {
        let begun = |slot: &Slot| {
            let visible = slot.salt.as_ref().is_some_and(|owner| owner.opens_to(salt));
            let before = slot.pages[..(at / PAGE_TOKENS).min(slot.pages.len())].last().copied();
            let page = slot.pages.get(at / PAGE_TOKENS).filter(|_| visible && before == parent)?;
            let own = slot.tokens.get(at..)?;
            Some((*page, common(&own[..own.len().min(PAGE_TOKENS)], tokens)))
        };
        let live = self.slots.iter().filter(|slot| slot.live).filter_map(begun);
        let kept = self.pool.index.nearest(salt, parent, tokens);
        live.chain(kept).max_by_key(|found| found.1).filter(|found| found.1 > 0)
    }

    fn slot(&self, id: SequenceId) -> Option<&Slot> {
        self.slots.get(id.slot as usize).filter(|slot| slot.is(id))
    }
}

/// Leaves a sequence's last, begun page to the index, unless it is there or others hold the page.
fn keep_begun_page(pool: &mut Pool, slot: &Slot) {
    let (Some(salt), Some((at, page))) = (&slot.salt, slot.begun_page()) else { return };
    let tokens = &slot.tokens[at * PAGE_TOKENS..];
    let parent = slot.pages[..at].last().copied();
    let known = pool.index.nearest(salt, parent, tokens).is_some_and(|(_, n)| n == tokens.len());
    if !known && pool.holders(page) == 1 && !pool.index.contains(page) {
        pool.index.insert(salt, parent, tokens, page);
    }
}

/// Lets all pages of a sequence go but the first `keep`, the last one first, so that the index loses leaves first.
fn let_go(pool: &mut Pool, slot: &mut Slot, keep: usize) {
    for page in slot.pages.drain(keep.min(slot.pages.len())..).rev() {
        pool.release(page);
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
        cache.reserve(&[(id, 1)]).unwrap();
        for layer in 0..2 {
            cache.write_run(layer, id, position, &[number; 8], &[-number; 8]);
        }
        cache.advance(id, &[number as u32]);
    }

    #[test]
    fn sequences_keep_their_own_tokens() {
        for kv_type in [KvType::F16, KvType::F32] {
            let mut cache = KvCache::new(KvShape { kv_type, ..SHAPE }).unwrap();
            let (one, two) = (cache.open(None).unwrap(), cache.open(None).unwrap());
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
            let id = cache.open(None).unwrap();
            cache.reserve(&[(id, 40)]).unwrap();
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
        let id = cache.open(None).unwrap();
        cache.reserve(&[(id, 2)]).unwrap();
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
        let id = cache.open(None).unwrap();
        cache.reserve(&[(id, 40)]).unwrap();
        cache.advance(id, &[7; 40]);
        let full = KvError::Full { length: 40, adding: 1, context_length: 40 };
        assert_eq!(cache.reserve(&[(id, 1)]), Err(full));
        assert!(cache.reserve(&[(id, usize::MAX)]).is_err());
    }

    #[test]
    fn freed_slots_come_back_empty_under_a_new_id() {
        let mut cache = KvCache::new(SHAPE).unwrap();
        let (one, _two) = (cache.open(None).unwrap(), cache.open(None).unwrap());
        assert_eq!(cache.open(None), None);
        cache.reserve(&[(one, 40)]).unwrap();
        cache.close(one);
        cache.close(one);
        let new = cache.open(None).unwrap();
        assert_ne!(one, new);
        assert_eq!((cache.len(one), cache.len(new)), (None, Some(0)));
        assert_eq!(cache.reserve(&[(one, 1)]), Err(KvError::UnknownSequence { id: one }));
        cache.reserve(&[(new, 40)]).unwrap();
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let shape = KvShape { pages: usize::MAX / 2, ..SHAPE };
        assert!(matches!(KvCache::new(shape), Err(KvError::OutOfMemory { .. })));
        let shape = KvShape { pages: 1 << 50, ..SHAPE };
        assert!(matches!(KvCache::new(shape), Err(KvError::OutOfMemory { .. })));
    }
}
