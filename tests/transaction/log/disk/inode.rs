//! A file's bytes: what readers see, and what a loss of power leaves.

use std::collections::BTreeSet;

use super::{Dice, SECTOR};

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) cache: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) dirty: BTreeSet<usize>,
}

/// Fast without optimisation too.
fn grow(bytes: &mut Vec<u8>, len: usize) {
    let zeros = vec![0; len - bytes.len()];
    bytes.extend_from_slice(&zeros);
}

impl Inode {
    /// Makes the dirty sectors durable that are kept, and forgets about the others.
    pub(super) fn settle(&mut self, mut keep: impl FnMut() -> bool) {
        for sector in std::mem::take(&mut self.dirty) {
            if !keep() {
                continue;
            }
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(self.cache.len());
            if start >= end {
                self.durable.truncate(start);
                continue;
            }
            if self.durable.len() < end {
                grow(&mut self.durable, end);
            }
            self.durable[start..end].copy_from_slice(&self.cache[start..end]);
        }
    }

    /// Flips bits, in some dirty sectors, of bytes that are not durable. In the last sector, where a
    /// shutdown writes its seal over zeros, only its first words are written, or its last ones: a
    /// seal with other bits is damage.
    pub(super) fn garble(&mut self, dice: &mut Dice) {
        let last = self.cache.len().saturating_sub(1) / SECTOR;
        if self.dirty.contains(&last) && dice.coin() {
            self.tear(last * SECTOR, dice);
        }
        for sector in self.dirty.iter().filter(|sector| **sector != last) {
            let end = ((sector + 1) * SECTOR).min(self.cache.len());
            let new = (sector * SECTOR..end)
                .filter(|at| self.durable.get(*at) != self.cache.get(*at))
                .collect::<Vec<_>>();
            if !new.is_empty() && dice.coin() {
                let at = new[usize::try_from(dice.below(new.len() as u64)).unwrap()];
                self.cache[at] ^= 1 << dice.below(8);
            }
        }
    }

    fn tear(&mut self, start: usize, dice: &mut Dice) {
        let zeros = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
        if !zeros(self.durable.get(start..).unwrap_or_default()) {
            return;
        }
        let words = (self.cache.len() - start) / 8;
        let at = start + 8 * usize::try_from(dice.below(words as u64 + 1)).unwrap();
        if dice.coin() {
            self.cache[at..].fill(0);
        } else {
            self.cache[start..at].fill(0);
        }
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8], mut keep: impl FnMut() -> bool) {
        let end = offset + bytes.len();
        if self.cache.len() < end {
            grow(&mut self.cache, end);
        }
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            if !keep() {
                continue;
            }
            let from = offset.max(sector * SECTOR);
            let to = end.min((sector + 1) * SECTOR);
            self.cache[from..to].copy_from_slice(&bytes[from - offset..to - offset]);
            self.dirty.insert(sector);
        }
    }
}
