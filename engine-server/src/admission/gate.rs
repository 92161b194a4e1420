//! Places for the requests of one tenant that are answered at the same time, and the line before them: first come,
//! first served. A place is given back by dropping it; one who waits and goes away leaves the line.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// The places of one tenant.
#[derive(Debug, Default)]
pub struct Gate {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    taken: usize,
    line: VecDeque<oneshot::Sender<Place>>,
    /// As the last request knew it.
    places: usize,
}

/// The line is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineFull {
    /// Requests that wait.
    pub waiting: usize,
}

/// A place; dropping it lets the next one in.
#[derive(Debug)]
pub struct Place {
    gate: Arc<Gate>,
}

/// A place, at once or when one is free.
#[derive(Debug)]
pub enum Turn {
    /// At once.
    Now(Place),
    /// Later.
    Later(oneshot::Receiver<Place>),
}

impl Gate {
    /// Asks for one of `places`, or for one of `waiting` in the line before them.
    pub fn ask(self: &Arc<Self>, places: usize, waiting: usize) -> Result<Turn, LineFull> {
        let mut inner = self.lock();
        inner.places = places;
        inner.line.retain(|sender| !sender.is_closed());
        if inner.taken < places && inner.line.is_empty() {
            inner.taken += 1;
            return Ok(Turn::Now(Place { gate: Arc::clone(self) }));
        }
        if inner.line.len() >= waiting {
            return Err(LineFull { waiting: inner.line.len() });
        }
        let (sender, receiver) = oneshot::channel();
        inner.line.push_back(sender);
        // More places than before may be free now.
        let lost = self.fill(inner);
        drop(lost);
        Ok(Turn::Later(receiver))
    }

    /// Lets in as many as there are places. Those who went away meanwhile come back, to be dropped without the lock.
    fn fill(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>) -> Vec<Place> {
        let mut lost = Vec::new();
        while inner.taken < inner.places {
            let Some(next) = inner.line.pop_front() else { break };
            inner.taken += 1;
            lost.extend(next.send(Place { gate: Arc::clone(self) }).err());
        }
        lost
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = self.gate.lock();
        inner.taken = inner.taken.saturating_sub(1);
        let lost = self.gate.fill(inner);
        drop(lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(gate: &Arc<Gate>, places: usize, waiting: usize) -> Place {
        match gate.ask(places, waiting) {
            Ok(Turn::Now(place)) => place,
            other => panic!("not at once: {other:?}"),
        }
    }

    fn later(gate: &Arc<Gate>, places: usize, waiting: usize) -> oneshot::Receiver<Place> {
        match gate.ask(places, waiting) {
            Ok(Turn::Later(receiver)) => receiver,
            other => panic!("not in the line: {other:?}"),
        }
    }

    #[test]
    fn the_line_is_kept_and_bounded() {
        let gate = Arc::new(Gate::default());
        let (first, _second) = (now(&gate, 2, 2), now(&gate, 2, 2));
        let (mut third, mut fourth) = (later(&gate, 2, 2), later(&gate, 2, 2));
        assert_eq!(gate.ask(2, 2).unwrap_err(), LineFull { waiting: 2 });
        assert!(third.try_recv().is_err());
        drop(first);
        let third = third.try_recv().unwrap();
        assert!(fourth.try_recv().is_err(), "first come, first served");
        drop(third);
        assert!(fourth.try_recv().is_ok());
    }

    #[test]
    fn who_goes_away_leaves_the_line_and_no_place_is_lost() {
        let gate = Arc::new(Gate::default());
        let first = now(&gate, 1, 1);
        drop(later(&gate, 1, 1));
        let mut second = later(&gate, 1, 1);
        drop(first);
        drop(second.try_recv().unwrap());
        // A place that was sent and never fetched goes to the next.
        let first = now(&gate, 1, 2);
        let (unfetched, mut last) = (later(&gate, 1, 2), later(&gate, 1, 2));
        drop(first);
        drop(unfetched);
        assert!(last.try_recv().is_ok());
    }

    #[test]
    fn more_places_let_the_line_in() {
        let gate = Arc::new(Gate::default());
        let _first = now(&gate, 1, 4);
        let mut second = later(&gate, 1, 4);
        let mut third = later(&gate, 3, 4);
        assert!(second.try_recv().is_ok() && third.try_recv().is_ok());
    }
}
