//! Replicas over zones while nodes are down.

use std::collections::HashMap;

use tripod::ring::{Node, Placement, PreferenceList, Zone, ZonePolicy};

use crate::failure::Failure;
use crate::seat::{Ring, Seat};

/// Chooses replicas among the nodes that are up as `HashRing::replicas` does among all: the
/// first node of each zone that a key's walk meets, then the second of each, and so on.
#[derive(Debug)]
pub(crate) struct Survivors {
    replicas: usize,
    /// The zone of each node, by the node's number.
    zones: Vec<usize>,
    /// How many nodes of each zone the walk has met.
    met: Vec<usize>,
}

impl Survivors {
    /// Refuses a strict policy that the zones with a node up cannot meet.
    pub(crate) fn new<P: Placement>(
        ring: &Ring<P>,
        replicas: usize,
        policy: ZonePolicy,
    ) -> Result<Self, Failure> {
        let mut numbers: HashMap<Option<&Zone>, usize> = HashMap::new();
        let mut zones = vec![0; ring.len()];
        for node in ring.preference_list("").filter(|node| !node.payload().down) {
            let next = numbers.len();
            if let Some(zone) = zones.get_mut(node.payload().number) {
                *zone = *numbers.entry(node.zone()).or_insert(next);
            }
        }
        let up = numbers.len();
        if policy == ZonePolicy::Strict && up < replicas {
            return Err(Failure::refused(format!(
                "{replicas} replicas in as many zones were asked for, and zones with a node up: {up}"
            )));
        }
        let met = vec![0; up];
        Ok(Self {
            replicas,
            zones,
            met,
        })
    }

    /// The replicas of the key whose walk this is.
    pub(crate) fn replicas<'a>(
        &mut self,
        walk: PreferenceList<'a, Seat>,
    ) -> impl Iterator<Item = &'a Node<Seat>> + use<'a> {
        self.met.fill(0);
        let mut rounds: Vec<(usize, &Node<Seat>)> = walk
            .filter(|node| !node.payload().down)
            .map(|node| (self.round(node), node))
            .collect();
        // Stable: within a round the walk's order stays.
        rounds.sort_by_key(|(round, _)| *round);
        let nodes = rounds.into_iter().map(|(_, node)| node);
        nodes.take(self.replicas)
    }

    /// The how-manieth of its zone this node is on the walk.
    fn round(&mut self, node: &Node<Seat>) -> usize {
        let zone = self.zones.get(node.payload().number);
        let met = zone.and_then(|zone| self.met.get_mut(*zone));
        met.map_or(0, |met| {
            *met += 1;
            *met
        })
    }
}
