//! What waits for a place in the running batch: one line per tenant, first come, first served, with a bound for each tenant
//! and one for all. Whose line is next is [`fairness`](super::fairness)'s to say. Pure; the scheduler puts a lock around it.

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
pub struct Queue<T> {
    bounds: QueueBounds,
    lines: HashMap<TenantId, VecDeque<T>>,
    /// Tenants with a line, in the order in which their lines began.
    order: Vec<TenantId>,
    len: usize,
}

impl<T> Queue<T> {
    /// An empty queue.
    pub fn new(bounds: QueueBounds) -> Self {
        Self { bounds, lines: HashMap::new(), order: Vec::new(), len: 0 }
    }

    /// Adds all items at the end of the tenant's line, or none.
    pub fn push_all(&mut self, tenant: &TenantId, items: Vec<T>) -> Result<(), QueueFull> {
        self.check(tenant, items.len())?;
        if items.is_empty() {
            return Ok(());
        }
        self.len += items.len();
        if !self.lines.contains_key(tenant) {
            self.order.push(tenant.clone());
        }
        self.lines.entry(tenant.clone()).or_default().extend(items);
        Ok(())
    }

    /// Puts an item back at the head of the tenant's line. It was in the queue before, so no bound refuses it.
    pub fn push_front(&mut self, tenant: &TenantId, item: T) {
        self.len += 1;
        if !self.lines.contains_key(tenant) {
            self.order.push(tenant.clone());
        }
        self.lines.entry(tenant.clone()).or_default().push_front(item);
    }

    /// The first of each line, in the order in which the lines began.
    pub fn heads(&self) -> impl Iterator<Item = (&TenantId, &T)> {
        self.order.iter().filter_map(|tenant| Some((tenant, self.lines.get(tenant)?.front()?)))
    }

    /// Takes the first of the tenant's line.
    pub fn pop(&mut self, tenant: &TenantId) -> Option<T> {
        let line = self.lines.get_mut(tenant)?;
        let item = line.pop_front()?;
        self.len -= 1;
        if line.is_empty() {
            self.lines.remove(tenant);
            self.order.retain(|other| other != tenant);
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
        self.order.retain(|tenant| self.lines.contains_key(tenant));
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

    fn queue(total: usize, per_tenant: usize) -> Queue<u32> {
        Queue::new(QueueBounds { total, per_tenant })
    }

    fn heads(queue: &Queue<u32>) -> Vec<u32> {
        queue.heads().map(|(_, item)| *item).collect()
    }

    #[test]
    fn each_tenant_keeps_its_order_and_its_line_its_place() {
        let mut queue = queue(10, 10);
        queue.push_all(&id("a"), vec![1, 2, 3]).unwrap();
        queue.push_all(&id("b"), vec![10]).unwrap();
        queue.push_all(&id("c"), vec![20, 21]).unwrap();
        assert_eq!(heads(&queue), [1, 10, 20]);
        assert_eq!(queue.pop(&id("c")), Some(20));
        assert_eq!(queue.pop(&id("b")), Some(10));
        assert_eq!(queue.pop(&id("b")), None);
        assert_eq!(heads(&queue), [1, 21]);
        queue.push_all(&id("b"), vec![11]).unwrap();
        assert_eq!(heads(&queue), [1, 21, 11], "a new line begins at the end");
        assert_eq!(queue.len(), 5);
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
        assert_eq!(queue.pop(&id("b")), Some(3));
        assert!(queue.is_empty());
        queue.push_all(&id("a"), vec![4]).unwrap();
        assert_eq!(heads(&queue), [4]);
    }

    #[test]
    fn what_comes_back_is_first() {
        let mut queue = queue(2, 2);
        queue.push_all(&id("a"), vec![1, 2]).unwrap();
        queue.push_front(&id("a"), 0);
        queue.push_front(&id("b"), 10);
        assert_eq!(queue.len(), 4, "also over the bound");
        assert_eq!(heads(&queue), [0, 10]);
        assert_eq!(queue.pop(&id("a")), Some(0));
        assert_eq!(heads(&queue), [1, 10]);
    }
}
