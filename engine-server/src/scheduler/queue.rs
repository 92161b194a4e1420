//! What waits for a place in the running batch: one line per tenant, served in turn, with a bound for each tenant and one
//! for all. Pure; the scheduler puts a lock around it.

use std::collections::{HashMap, VecDeque};

use crate::tenant::TenantId;

/// Bounds of the queue, in sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueBounds {
    /// Waiting sequences of all tenants.
    pub total: usize,
    /// Waiting sequences of one tenant: keeps one tenant from filling the queue of the others.
    pub per_tenant: usize,
}

/// The queue has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueFull {
    /// For anyone.
    #[error("{waiting} sequences wait and {adding} more do not fit in a queue of {limit}")]
    Total {
        /// Waiting now.
        waiting: usize,
        /// Asked for.
        adding: usize,
        /// The bound.
        limit: usize,
    },
    /// For this tenant.
    #[error("{waiting} sequences of this tenant wait and {adding} more do not fit in its {limit}")]
    Tenant {
        /// Waiting now.
        waiting: usize,
        /// Asked for.
        adding: usize,
        /// The bound.
        limit: usize,
    },
}

/// Waiting items by tenant.
#[derive(Debug)]
pub struct FairQueue<T> {
    bounds: QueueBounds,
    lines: HashMap<TenantId, VecDeque<T>>,
    /// Tenants with a line, next one first.
    turns: VecDeque<TenantId>,
    len: usize,
}

impl<T> FairQueue<T> {
    /// An empty queue.
    pub fn new(bounds: QueueBounds) -> Self {
        Self { bounds, lines: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }

    /// Adds all items at the end of the tenant's line, or none.
    pub fn push_all(&mut self, tenant: &TenantId, items: Vec<T>) -> Result<(), QueueFull> {
        self.check(tenant, items.len())?;
        if items.is_empty() {
            return Ok(());
        }
        self.len += items.len();
        if !self.lines.contains_key(tenant) {
            self.turns.push_back(tenant.clone());
        }
        self.lines.entry(tenant.clone()).or_default().extend(items);
        Ok(())
    }

    /// Puts an item back at the head of the tenant's line. It was in the queue before, so no bound refuses it.
    pub fn push_front(&mut self, tenant: &TenantId, item: T) {
        self.len += 1;
        if !self.lines.contains_key(tenant) {
            self.turns.push_back(tenant.clone());
        }
        self.lines.entry(tenant.clone()).or_default().push_front(item);
    }

    /// Takes the first of the tenant whose turn it is, if it is `wanted`. Nobody else is taken in its place, so that what
    /// needs much is not overtaken for ever by what needs little.
    pub fn pop_if(&mut self, wanted: impl FnOnce(&T) -> bool) -> Option<T> {
        let next = self.lines.get(self.turns.front()?)?.front()?;
        if wanted(next) { self.pop() } else { None }
    }

    /// Takes the first of the tenant whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let tenant = self.turns.pop_front()?;
        let line = self.lines.get_mut(&tenant)?;
        let item = line.pop_front()?;
        self.len -= 1;
        if line.is_empty() {
            self.lines.remove(&tenant);
        } else {
            self.turns.push_back(tenant);
        }
        Some(item)
    }

    /// Takes out and returns every item for which `gone` holds.
    pub fn take_where(&mut self, gone: impl Fn(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for line in self.lines.values_mut() {
            let (out, stay) = line.drain(..).partition::<VecDeque<T>, _>(&gone);
            *line = stay;
            taken.extend(out);
        }
        self.lines.retain(|_, line| !line.is_empty());
        self.turns.retain(|tenant| self.lines.contains_key(tenant));
        self.len -= taken.len();
        taken
    }

    /// Waiting items of all tenants.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn check(&self, tenant: &TenantId, adding: usize) -> Result<(), QueueFull> {
        let QueueBounds { total, per_tenant } = self.bounds;
        if self.len + adding > total {
            return Err(QueueFull::Total { waiting: self.len, adding, limit: total });
        }
        let waiting = self.lines.get(tenant).map_or(0, VecDeque::len);
        if waiting + adding > per_tenant {
            return Err(QueueFull::Tenant { waiting, adding, limit: per_tenant });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> TenantId {
        TenantId::Named { namespace: "n".into(), name: name.into() }
    }

    fn queue(total: usize, per_tenant: usize) -> FairQueue<u32> {
        FairQueue::new(QueueBounds { total, per_tenant })
    }

    #[test]
    fn tenants_take_turns_and_each_keeps_its_order() {
        let mut queue = queue(10, 10);
        queue.push_all(&id("a"), vec![1, 2, 3]).unwrap();
        queue.push_all(&id("b"), vec![10]).unwrap();
        queue.push_all(&id("c"), vec![20, 21]).unwrap();
        let order: Vec<u32> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [1, 10, 20, 2, 21, 3]);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_full_queue_takes_nothing_of_a_group() {
        let mut queue = queue(4, 3);
        queue.push_all(&id("a"), vec![1, 2]).unwrap();
        assert_eq!(
            queue.push_all(&id("a"), vec![3, 4]),
            Err(QueueFull::Tenant { waiting: 2, adding: 2, limit: 3 })
        );
        assert_eq!(
            queue.push_all(&id("b"), vec![5, 6, 7]),
            Err(QueueFull::Total { waiting: 2, adding: 3, limit: 4 })
        );
        assert_eq!(queue.len(), 2);
        queue.push_all(&id("b"), vec![5, 6]).unwrap();
        assert_eq!(queue.len(), 4);
    }

    #[test]
    fn items_taken_out_leave_room_and_turns_in_order() {
        let mut queue = queue(4, 4);
        queue.push_all(&id("a"), vec![1]).unwrap();
        queue.push_all(&id("b"), vec![2, 3]).unwrap();
        let mut taken = queue.take_where(|item| *item < 3);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.pop(), Some(3));
        assert_eq!(queue.pop(), None);
        queue.push_all(&id("a"), vec![4]).unwrap();
        assert_eq!(queue.pop(), Some(4));
    }
    #[test]
    fn what_comes_back_is_first_and_what_does_not_fit_stays_first() {
        let mut queue = queue(2, 2);
        queue.push_all(&id("a"), vec![1, 2]).unwrap();
        queue.push_front(&id("a"), 0);
        queue.push_front(&id("b"), 10);
        assert_eq!(queue.len(), 4, "also over the bound");
        assert_eq!(queue.pop_if(|&item| item > 0), None);
        assert_eq!(queue.len(), 4);
        let order: Vec<u32> = std::iter::from_fn(|| queue.pop_if(|_| true)).collect();
        assert_eq!(order, [0, 10, 1, 2]);
        assert!(queue.is_empty());
    }
}
