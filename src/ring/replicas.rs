//! Replicas of a key: the preference list, chosen from by zone.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::ReplicasError;
use super::layout::Layout;
use super::node::Node;
use super::preference::PreferenceList;

/// How replicas are spread over zones. Nodes without a zone share one unnamed zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZonePolicy {
    /// Zones are not looked at: the first nodes of the preference list.
    #[default]
    Any,
    /// No zone has its second replica before each has its first, nor its third before each has
    /// its second, as far as its nodes go.
    Spread,
    /// Each replica in a zone of its own, or an error.
    Strict,
}

/// Which zone each node is in that may hold replicas, as numbers.
#[derive(Debug)]
pub(crate) struct Zones {
    /// The zone of each node; `None` where it may hold none.
    of: Vec<Option<usize>>,
    /// How many such nodes each zone has.
    sizes: Vec<usize>,
}

impl Zones {
    /// The zones of the nodes that have points and are not excluded.
    pub(crate) fn new<T>(
        nodes: &[Arc<Node<T>>],
        layout: &Layout,
        mut excluded: impl FnMut(&Node<T>) -> bool,
    ) -> Self {
        let mut numbers = HashMap::new();
        let mut sizes = Vec::new();
        let mut zone_of = |(node, vnodes): (&'_ Arc<Node<T>>, &u32)| {
            if *vnodes == 0 || excluded(node) {
                return None;
            }
            let zone = *numbers.entry(node.zone().cloned()).or_insert(sizes.len());
            match sizes.get_mut(zone) {
                Some(size) => *size += 1,
                None => sizes.push(1),
            }
            Some(zone)
        };
        let of = nodes.iter().zip(&layout.vnodes).map(&mut zone_of).collect();
        Self { of, sizes }
    }

    /// Writes the numbers of the first `wanted` nodes of `walk` as `policy` chooses them into
    /// `chosen`, in place of what was there.
    pub(crate) fn choose<T>(
        &self,
        mut walk: PreferenceList<'_, T>,
        wanted: usize,
        policy: ZonePolicy,
        chosen: &mut Vec<u32>,
    ) -> Result<(), ReplicasError> {
        chosen.clear();
        let wanted = match policy {
            ZonePolicy::Any => {
                let numbers = std::iter::from_fn(|| walk.next_number());
                chosen.extend(
                    numbers
                        .filter(|number| self.zone(*number).is_some())
                        .take(wanted),
                );
                return Ok(());
            }
            ZonePolicy::Strict if wanted > self.sizes.len() => {
                return Err(ReplicasError::NotEnoughZones {
                    wanted,
                    found: self.sizes.len(),
                });
            }
            ZonePolicy::Spread | ZonePolicy::Strict => wanted.min(self.sizes.iter().sum()),
        };
        // The node that is the j-th of its zone on the walk belongs to round j. All of the full
        // rounds are chosen, and of the next one those that are met first.
        let (full, mut partial) = self.rounds(wanted);
        let mut met = vec![0; self.sizes.len()];
        let mut rounds = Vec::with_capacity(wanted);
        while rounds.len() < wanted {
            let Some(number) = walk.next_number() else {
                break;
            };
            let Some(round) = self.zone(number).and_then(|zone| met.get_mut(zone)) else {
                continue;
            };
            *round += 1;
            if *round <= full {
                rounds.push((*round, number));
            } else if *round == full + 1 && partial > 0 {
                partial -= 1;
                rounds.push((*round, number));
            }
        }
        rounds.sort_by_key(|(round, _)| *round);
        chosen.extend(rounds.iter().map(|(_, number)| *number));
        Ok(())
    }

    fn zone(&self, number: u32) -> Option<usize> {
        self.of.get(number as usize).copied().flatten()
    }

    /// How many rounds are taken whole, and how many nodes of the next one.
    fn rounds(&self, wanted: usize) -> (usize, usize) {
        let mut left = wanted;
        for full in 0.. {
            let round = self.sizes.iter().filter(|size| **size > full).count();
            if round > left || round == 0 {
                return (full, left);
            }
            left -= round;
        }
        (0, left)
    }
}
