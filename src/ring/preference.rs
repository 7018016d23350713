//! The preference list: distinct nodes, clockwise from a key.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;

use super::layout::Layout;
use super::node::Node;
use super::owners::Owners;

/// The nodes in the order of a key's walk, each once. Made by
/// [`HashRing::preference_list`](super::HashRing::preference_list).
#[must_use = "iterators are lazy"]
pub struct PreferenceList<'a, T> {
    nodes: &'a [Arc<Node<T>>],
    owners: &'a Owners,
    points: usize,
    at: usize,
    left: usize,
    seen: Seen,
}

impl<'a, T> PreferenceList<'a, T> {
    pub(crate) fn new(nodes: &'a [Arc<Node<T>>], layout: &'a Layout, start: usize) -> Self {
        let (owners, points) = (layout.index.owners(), layout.index.len());
        Self {
            nodes,
            owners,
            points,
            at: start,
            left: layout.placed,
            seen: Seen::default(),
        }
    }

    /// The number of the next node.
    pub(crate) fn next_number(&mut self) -> Option<u32> {
        // Each node with points is met within one turn, so the walk ends.
        while self.left > 0 {
            let at = if self.at < self.points { self.at } else { 0 };
            let owner = self.owners.get(at)?;
            self.at = at + 1;
            if self.seen.insert(owner) {
                self.left -= 1;
                return Some(owner);
            }
        }
        None
    }
}

impl<'a, T> Iterator for PreferenceList<'a, T> {
    type Item = &'a Node<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let number = self.next_number()?;
        self.nodes.get(number as usize).map(|node| &**node)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T> ExactSizeIterator for PreferenceList<'_, T> {}
impl<T> FusedIterator for PreferenceList<'_, T> {}

impl<T> fmt::Debug for PreferenceList<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreferenceList")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

/// The nodes met so far: a short array, then a bit each.
#[derive(Debug, Default)]
struct Seen {
    few: [u32; 8],
    len: usize,
    many: Vec<u64>,
}

impl Seen {
    /// Whether `node` was not in yet.
    fn insert(&mut self, node: u32) -> bool {
        if self.many.is_empty() {
            let few = self.few.get(..self.len).unwrap_or_default();
            if few.contains(&node) {
                return false;
            }
            if let Some(free) = self.few.get_mut(self.len) {
                *free = node;
                self.len += 1;
                return true;
            }
            for node in self.few {
                self.mark(node);
            }
        }
        self.mark(node)
    }

    fn mark(&mut self, node: u32) -> bool {
        let word = node as usize / 64;
        if word >= self.many.len() {
            self.many.resize(word + 1, 0);
        }
        let bit = 1 << (node % 64);
        self.many.get_mut(word).is_some_and(|bits| {
            let fresh = *bits & bit == 0;
            *bits |= bit;
            fresh
        })
    }
}
