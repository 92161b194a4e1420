//! Which pages hold which tokens, so that a later sequence with the same beginning takes them instead of computing.
//!
//! A tree: a page's parent holds the tokens before it, and a page is found by its parent, its tokens and its salt. Tokens
//! are compared, not only hashed. A page that no sequence holds is idle: it stays until its memory is needed, the one that
//! was let go first goes first, and a page goes after its children. A sequence that holds a page holds its ancestors too,
//! so the descendants of an idle page are idle, and every idle page can be had.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::shape::PAGE_TOKENS;
use crate::tokenizer::TokenId;

/// Pages that are looked at for one that begins with the wanted tokens, the newest first.
const MAX_NEAREST: usize = 64;

/// Who may share. Sequences of different salts never see one another's pages, nor whether they exist.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PrefixSalt {
    /// For everybody: prefixes that the model's owner declared public. Every other salt finds them, too.
    Public,
    /// For those of this name alone.
    Private(Arc<str>),
}

impl PrefixSalt {
    /// Whether sequences of the other salt may take what this one has computed.
    pub(super) fn opens_to(&self, other: &Self) -> bool {
        self == other || *self == Self::Public
    }
}

/// What a page is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    salt: PrefixSalt,
    parent: Option<u32>,
    /// Zeros after the first `length`.
    tokens: [TokenId; PAGE_TOKENS],
    length: usize,
}

impl Key {
    fn new(salt: &PrefixSalt, parent: Option<u32>, tokens: &[TokenId]) -> Self {
        let length = tokens.len().min(PAGE_TOKENS);
        let mut padded = [0; PAGE_TOKENS];
        padded[..length].copy_from_slice(&tokens[..length]);
        Self { salt: salt.clone(), parent, tokens: padded, length }
    }

    fn tokens(&self) -> &[TokenId] {
        &self.tokens[..self.length]
    }
}

#[derive(Debug)]
struct Node {
    key: Key,
    children: Vec<u32>,
    /// When it was let go, for idle nodes.
    idle_since: Option<u64>,
}

/// The tree of all indexed pages.
#[derive(Debug, Default)]
pub(super) struct PrefixIndex {
    pages: HashMap<Key, u32>,
    nodes: HashMap<u32, Node>,
    roots: HashMap<PrefixSalt, Vec<u32>>,
    idle: usize,
    /// Idle pages without children, in the order in which they go.
    evictable: BTreeSet<(u64, u32)>,
    clock: u64,
}

impl PrefixIndex {
    /// The page of these tokens after `parent`, of the salt or public.
    pub(super) fn find(
        &self,
        salt: &PrefixSalt,
        parent: Option<u32>,
        tokens: &[TokenId; PAGE_TOKENS],
    ) -> Option<u32> {
        let page = |salt: &PrefixSalt| self.pages.get(&Key::new(salt, parent, tokens)).copied();
        page(salt).or_else(|| page(&PrefixSalt::Public))
    }

    /// The page after `parent` that begins with most of these tokens, and with how many.
    pub(super) fn nearest(
        &self,
        salt: &PrefixSalt,
        parent: Option<u32>,
        tokens: &[TokenId],
    ) -> Option<(u32, usize)> {
        let own = self.children(salt, parent);
        let public = match (salt, parent) {
            (PrefixSalt::Private(_), None) => self.children(&PrefixSalt::Public, None),
            _ => &[],
        };
        let beginning = |page: &u32| {
            let node = self.nodes.get(page)?;
            let visible = node.key.salt.opens_to(salt);
            let common = common(node.key.tokens(), tokens);
            (visible && common > 0).then_some((*page, common))
        };
        let newest = |pages: &'_ [u32]| {
            pages.iter().rev().take(MAX_NEAREST).filter_map(beginning).max_by_key(|found| found.1)
        };
        [newest(own), newest(public)].into_iter().flatten().max_by_key(|found| found.1)
    }

    /// Adds a page that a sequence holds, full or not. The caller has made sure that no such page is there, and that
    /// nobody writes to it any more.
    pub(super) fn insert(
        &mut self,
        salt: &PrefixSalt,
        parent: Option<u32>,
        tokens: &[TokenId],
        page: u32,
    ) {
        let key = Key::new(salt, parent, tokens);
        self.siblings(&key).push(page);
        self.pages.insert(key.clone(), page);
        self.nodes.insert(page, Node { key, children: Vec::new(), idle_since: None });
    }

    /// Whether the page is in the index.
    pub(super) fn contains(&self, page: u32) -> bool {
        self.nodes.contains_key(&page)
    }

    /// Whether pages follow it in the index.
    pub(super) fn has_children(&self, page: u32) -> bool {
        self.nodes.get(&page).is_some_and(|node| !node.children.is_empty())
    }

    /// A sequence holds the page again.
    pub(super) fn wake(&mut self, page: u32) {
        if let Some(since) = self.nodes.get_mut(&page).and_then(|node| node.idle_since.take()) {
            self.idle -= 1;
            self.evictable.remove(&(since, page));
        }
    }

    /// No sequence holds the page any more. `false` when it is not in the index.
    pub(super) fn rest(&mut self, page: u32) -> bool {
        let Some(node) = self.nodes.get_mut(&page) else { return false };
        self.clock += 1;
        node.idle_since = Some(self.clock);
        if node.children.is_empty() {
            self.evictable.insert((self.clock, page));
        }
        self.idle += 1;
        true
    }

    /// Pages that nobody holds.
    pub(super) fn idle(&self) -> usize {
        self.idle
    }

    /// Takes out the page that was let go first.
    pub(super) fn evict(&mut self) -> Option<u32> {
        let (_, page) = self.evictable.pop_first()?;
        self.idle -= 1;
        self.forget(page);
        Some(page)
    }

    /// Takes out a page that has no children.
    pub(super) fn forget(&mut self, page: u32) {
        let Some(Node { key, .. }) = self.nodes.remove(&page) else { return };
        self.pages.remove(&key);
        let siblings = self.siblings(&key);
        siblings.retain(|&sibling| sibling != page);
        let alone = siblings.is_empty();
        match key.parent {
            None if alone => drop(self.roots.remove(&key.salt)),
            Some(parent) if alone => {
                if let Some(since) = self.nodes.get(&parent).and_then(|node| node.idle_since) {
                    self.evictable.insert((since, parent));
                }
            }
            _ => {}
        }
    }

    fn children(&self, salt: &PrefixSalt, parent: Option<u32>) -> &[u32] {
        match parent {
            None => self.roots.get(salt).map_or(&[], Vec::as_slice),
            Some(parent) => self.nodes.get(&parent).map_or(&[], |node| &node.children),
        }
    }

    fn siblings(&mut self, key: &Key) -> &mut Vec<u32> {
        match key.parent.and_then(|parent| self.nodes.get_mut(&parent)) {
            Some(parent) => &mut parent.children,
            None => self.roots.entry(key.salt.clone()).or_default(),
        }
    }
}

/// How many tokens two texts have in common from their beginning on.
pub(super) fn common(left: &[TokenId], right: &[TokenId]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}
