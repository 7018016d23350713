//! The owner of each point, in as few bytes as the number of nodes allows.

use std::ops::Range;

/// Node numbers in the order of their points. Two bytes each where that is enough: half the
/// memory that lookups touch at random.
#[derive(Clone, Debug)]
pub(crate) enum Owners {
    /// On a ring of at most 2^16 nodes.
    Narrow(Vec<u16>),
    /// On any larger one.
    Wide(Vec<u32>),
}

impl Owners {
    /// An empty list with room for `points` owners with numbers below `nodes`.
    pub(crate) fn with_capacity(points: usize, nodes: usize) -> Self {
        if nodes <= 1 << u16::BITS {
            Self::Narrow(Vec::with_capacity(points))
        } else {
            Self::Wide(Vec::with_capacity(points))
        }
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<u32> {
        match self {
            Self::Narrow(owners) => owners.get(at).copied().map(u32::from),
            Self::Wide(owners) => owners.get(at).copied(),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the constructor chose the width by the largest number"
    )]
    pub(crate) fn extend(&mut self, more: impl Iterator<Item = u32>) {
        match self {
            Self::Narrow(owners) => owners.extend(more.map(|owner| owner as u16)),
            Self::Wide(owners) => owners.extend(more),
        }
    }

    /// Appends a range of `others` under new numbers.
    pub(crate) fn extend_from(
        &mut self,
        others: &Self,
        range: Range<usize>,
        renumber: impl Fn(u32) -> u32,
    ) {
        match others {
            Self::Narrow(owners) => {
                let owners = owners.get(range).unwrap_or_default();
                self.extend(owners.iter().map(|owner| renumber(u32::from(*owner))));
            }
            Self::Wide(owners) => {
                let owners = owners.get(range).unwrap_or_default();
                self.extend(owners.iter().map(|owner| renumber(*owner)));
            }
        }
    }

    /// Heap bytes in use.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Narrow(owners) => owners.capacity() * size_of::<u16>(),
            Self::Wide(owners) => owners.capacity() * size_of::<u32>(),
        }
    }
}

impl Default for Owners {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}
