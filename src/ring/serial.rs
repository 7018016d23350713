//! `serde` for rings, nodes and ids; the module's essay says what the form is.

use std::num::NonZeroU32;

use serde::de::Error as _;
use serde::de::value::UnitDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::fingerprint::Fingerprint;
use super::hash_ring::HashRing;
use super::node::{Node, NodeId, Zone};
use super::placement::{Dependence, Placement};
use super::snapshot::{Parts, check_placement};
use super::vnode::Vnode;

// Written and read alike, field by field, for formats that do not name their fields.
#[derive(Serialize)]
struct Written<'a, T> {
    placement: Option<&'a str>,
    vnodes_per_weight: Option<NonZeroU32>,
    epoch: u64,
    nodes: Vec<&'a Node<T>>,
    points: Option<Vec<(u64, u32)>>,
    fingerprint: Option<Fingerprint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "T: Deserialize<'de>"))]
struct Read<T> {
    placement: Option<String>,
    vnodes_per_weight: Option<NonZeroU32>,
    #[serde(default)]
    epoch: u64,
    nodes: Vec<Node<T>>,
    points: Option<Vec<(u64, u32)>>,
    fingerprint: Option<Fingerprint>,
}

#[derive(Serialize)]
#[serde(rename = "Node")]
struct WrittenNode<'a, T> {
    id: &'a NodeId,
    weight: u32,
    zone: Option<&'a Zone>,
    payload: Option<&'a T>,
}

impl<T: Serialize> Serialize for Node<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WrittenNode {
            id: self.id(),
            weight: self.weight(),
            zone: self.zone(),
            // Not every format has a unit, and nothing is lost without it.
            payload: (size_of::<T>() > 0).then_some(self.payload()),
        }
        .serialize(serializer)
    }
}

#[derive(Deserialize)]
#[serde(rename = "Node", deny_unknown_fields)]
struct ReadNode<T> {
    id: NodeId,
    #[serde(default = "one")]
    weight: u32,
    zone: Option<Zone>,
    payload: Option<T>,
}

fn one() -> u32 {
    1
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Node<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = ReadNode::<T>::deserialize(deserializer)?;
        let payload = match read.payload {
            Some(payload) => payload,
            // Payloads that can be nothing (units, options) may be left out.
            None => T::deserialize(UnitDeserializer::new())
                .map_err(|_: D::Error| D::Error::missing_field("payload"))?,
        };
        let node = Node::from(read.id).with_weight(read.weight);
        let node = read.zone.into_iter().fold(node, Node::with_zone);
        Ok(node.with_payload(payload))
    }
}

impl<T: Serialize, P: Placement + Clone> Serialize for HashRing<T, P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let points = self.history();
        Written {
            placement: Some(&self.placement().name()),
            vnodes_per_weight: Some(self.vnodes_per_weight()),
            epoch: self.epoch(),
            nodes: self.nodes().collect(),
            points: points.map(|points| {
                points
                    .iter()
                    .map(|vnode| (vnode.point(), vnode.node()))
                    .collect()
            }),
            fingerprint: Some(self.fingerprint()),
        }
        .serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, P: Placement + Clone + Default> Deserialize<'de> for HashRing<T, P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Read::<T>::deserialize(deserializer)?;
        let placement = P::default();
        if let Some(found) = &read.placement {
            check_placement(&placement, found).map_err(D::Error::custom)?;
        }
        let vnodes = NonZeroU32::new(placement.rules().vnodes()).unwrap_or(NonZeroU32::MIN);
        let history = placement.rules().dependence() == Dependence::History;
        if read.points.is_some() && !history {
            return Err(D::Error::custom(
                "points are worked out by this placement, not read",
            ));
        }
        let points = read.points.map(|points| {
            points
                .into_iter()
                .map(|(point, node)| Vnode::new(point, node))
        });
        let parts = Parts {
            epoch: read.epoch,
            vnodes_per_weight: read.vnodes_per_weight.unwrap_or(vnodes),
            nodes: read.nodes,
            history: points.map(Iterator::collect),
            fingerprint: read.fingerprint,
        };
        Self::restore(placement, parts).map_err(D::Error::custom)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
