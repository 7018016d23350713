//! What is to happen, by tick.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Things that are to happen. Of those at the same tick, chance says which comes first: `tie`.
#[derive(Debug)]
pub struct Queue<T> {
    events: BinaryHeap<Event<T>>,
    posted: u64,
}

#[derive(Debug)]
struct Event<T> {
    key: Reverse<(u64, u64, u64)>,
    due: T,
}

impl<T> Queue<T> {
    pub fn new() -> Self {
        let events = BinaryHeap::new();
        Self { events, posted: 0 }
    }

    pub fn post(&mut self, tick: u64, tie: u64, due: T) {
        self.posted += 1;
        let key = Reverse((tick, tie, self.posted));
        self.events.push(Event { key, due });
    }

    /// What is due by now.
    pub fn next(&mut self, now: u64) -> Option<T> {
        let Reverse((tick, _, _)) = self.events.peek()?.key;
        if tick > now {
            return None;
        }
        self.events.pop().map(|event| event.due)
    }
}

impl<T> Ord for Event<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl<T> PartialOrd for Event<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Event<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Event<T> {}
