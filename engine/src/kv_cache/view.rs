//! One layer of one sequence, to read.

use super::store::{KvTile, Store};

/// Keys and values of one layer.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) keys: Store,
    pub(super) values: Store,
}

impl Layer {
    /// Copies the first `tokens` tokens of a page to another page.
    pub(super) fn copy(&mut self, from: u32, to: u32, tokens: usize) {
        self.keys.copy(from, to, tokens);
        self.values.copy(from, to, tokens);
    }
}

/// One layer of one sequence. Tiles are `PAGE_TOKENS x head_dim`, tokens in order; the caller knows how many count.
#[derive(Debug, Clone, Copy)]
pub struct KvView<'c> {
    pub(super) layer: &'c Layer,
    pub(super) pages: &'c [u32],
}

impl<'c> KvView<'c> {
    /// The keys of the sequence's `page`th page as they are stored.
    pub fn key_tile(&self, page: usize, head: usize) -> KvTile<'c> {
        self.layer.keys.tile(self.pages[page], head)
    }

    /// The values of the sequence's `page`th page as they are stored.
    pub fn value_tile(&self, page: usize, head: usize) -> KvTile<'c> {
        self.layer.values.tile(self.pages[page], head)
    }

    /// The first `tokens` keys of the sequence's `page`th page, into the start of `tile`.
    pub fn keys(&self, page: usize, head: usize, tokens: usize, tile: &mut [f32]) {
        read(&self.layer.keys, self.pages[page], head, tokens, tile);
    }

    /// The first `tokens` values of the sequence's `page`th page, into the start of `tile`.
    pub fn values(&self, page: usize, head: usize, tokens: usize, tile: &mut [f32]) {
        read(&self.layer.values, self.pages[page], head, tokens, tile);
    }
}

fn read(store: &Store, page: u32, head: usize, tokens: usize, tile: &mut [f32]) {
    store.read(page, head, &mut tile[..tokens * store.head_dim()]);
}
