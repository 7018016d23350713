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

/// Which zone each node with points is in, as numbers.
#[derive(Debug)]
pub(crate) struct Zones {
    /// The zone of each node.
    of: Vec<u32>,
    /// How many nodes with points each zone has.
    sizes: Vec<usize>,
}

impl Zones {
    pub(crate) fn new<T>(nodes: &[Arc<Node<T>>], layout: &Layout) -> Self {
        let mut numbers = HashMap::new();
        let mut zones = Self {
            of: Vec::with_capacity(nodes.len()),
            sizes: Vec::new(),
        };
        for (node, vnodes) in nodes.iter().zip(&layout.vnodes) {
            if *vnodes == 0 {
                // Never met on a walk, so its zone does not count.
                zones.of.push(u32::MAX);
                continue;
            }
            let next = zones.sizes.len();
            let zone = *numbers.entry(node.zone()).or_insert(next);
            match zones.sizes.get_mut(zone) {
                Some(size) => *size += 1,
                None => zones.sizes.push(1),
            }
            zones.of.push(u32::try_from(zone).unwrap_or(u32::MAX));
        }
        zones
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
                chosen.extend(std::iter::from_fn(|| walk.next_number()).take(wanted));
                return Ok(());
            }
            ZonePolicy::Strict if wanted > self.sizes.len() => {
                return Err(ReplicasError::NotEnoughZones {
                    wanted,
                    found: self.sizes.len(),
                });
            }
            ZonePolicy::Spread | ZonePolicy::Strict => wanted.min(walk.len()),
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
            let zone = self.of.get(number as usize).copied().unwrap_or(u32::MAX);
            let Some(round) = met.get_mut(zone as usize) else {
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
