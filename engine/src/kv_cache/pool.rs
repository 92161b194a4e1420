//! The pages of a cache: which are free, how many sequences hold each of the others, and which are kept for later.

use super::prefix::PrefixIndex;

/// All pages. A page is free, or held by sequences, or idle in the index.
#[derive(Debug)]
pub(super) struct Pool {
    free: Vec<u32>,
    /// By page.
    holders: Vec<u32>,
    pub(super) index: PrefixIndex,
}

impl Pool {
    /// `pages` free pages.
    pub(super) fn new(pages: usize) -> Self {
        Self {
            free: (0..pages as u32).rev().collect(),
            holders: vec![0; pages],
            index: PrefixIndex::default(),
        }
    }

    /// Pages that can be had: free ones and idle ones.
    pub(super) fn available(&self) -> usize {
        self.free.len() + self.index.idle()
    }

    /// A page of one's own: a free one, else the idle one that was let go first.
    pub(super) fn take(&mut self) -> Option<u32> {
        let page = self.free.pop().or_else(|| self.index.evict())?;
        self.holders[page as usize] = 1;
        Some(page)
    }

    /// One more sequence holds the page.
    pub(super) fn hold(&mut self, page: u32) {
        let holders = &mut self.holders[page as usize];
        *holders += 1;
        if *holders == 1 {
            self.index.wake(page);
        }
    }

    /// One sequence less holds the page.
    pub(super) fn release(&mut self, page: u32) {
        let holders = &mut self.holders[page as usize];
        *holders -= 1;
        if *holders == 0 && !self.index.rest(page) {
            self.free.push(page);
        }
    }

    /// Sequences that hold the page.
    pub(super) fn holders(&self, page: u32) -> usize {
        self.holders[page as usize] as usize
    }

    /// Pages that `writers` holders of one page need before all of them can write to it: all but the last copy it, and
    /// the last one, too, when later pages of the index stand on it.
    pub(super) fn copies(&self, page: u32, writers: usize) -> usize {
        let shared = self.holders(page).saturating_sub(1);
        writers.min(shared) + usize::from(writers > shared && self.index.has_children(page))
    }

    /// Whether a holder has to copy the page before it writes to it. If not, the page is out of the index.
    pub(super) fn must_copy(&mut self, page: u32) -> bool {
        if self.copies(page, 1) > 0 {
            return true;
        }
        self.index.forget(page);
        false
    }

    /// Recounts everything against what sequences hold; the first thing that does not add up.
    pub(super) fn audit(&self, held: &[u32]) -> Result<(), String> {
        let mut holders = vec![0_u32; self.holders.len()];
        for &page in held {
            holders[page as usize] += 1;
        }
        let wrong = holders.iter().zip(&self.holders).position(|(real, noted)| real != noted);
        if let Some(page) = wrong {
            let (real, noted) = (holders[page], self.holders[page]);
            return Err(format!("page {page} is held {real} times, but {noted} are noted"));
        }
        let mut kinds = vec![0_u8; holders.len()];
        for &page in &self.free {
            kinds[page as usize] += 1;
        }
        for (page, kind) in kinds.iter_mut().enumerate() {
            let (held, indexed) = (holders[page] > 0, self.index.contains(page as u32));
            if *kind + u8::from(held || indexed) != 1 {
                return Err(format!(
                    "page {page}: {kind} times free, held {held}, indexed {indexed}"
                ));
            }
        }
        let idle = (0..holders.len() as u32)
            .filter(|&page| self.holders(page) == 0 && self.index.contains(page))
            .count();
        if idle != self.index.idle() {
            return Err(format!("{idle} pages are idle, but {} are noted", self.index.idle()));
        }
        Ok(())
    }
}
