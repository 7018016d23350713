//! `serde` for rings, nodes and ids: a readable form, fit for a configuration file.
//!
//! A ring is a map of `nodes` and, where wanted, `placement`, `vnodes_per_weight`, `epoch`,
//! `points` and `fingerprint`. A node is a map of `id`, where wanted `weight` and `zone`, and the
//! `payload`, unless it is of a type that can be nothing. Unknown fields are errors, and a
//! fingerprint is checked. `points` are for placements that depend on history; they name nodes by
//! their place among the sorted ids.

use std::fmt::Write;
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

#[derive(Serialize)]
struct Written<'a, T> {
    placement: &'a str,
    vnodes_per_weight: NonZeroU32,
    epoch: u64,
    nodes: Vec<&'a Node<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    points: Option<Vec<(u64, u32)>>,
    fingerprint: Fingerprint,
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
            payload: Some(self.payload()),
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
            None => T::deserialize(UnitDeserializer::new())?,
        };
        let node = Node::from(read.id).with_weight(read.weight);
        let node = read.zone.into_iter().fold(node, Node::with_zone);
        Ok(node.with_payload(payload))
    }
}

impl<T: Serialize + Clone, P: Placement + Clone> Serialize for HashRing<T, P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let points = self.history();
        Written {
            placement: &self.placement().name(),
            vnodes_per_weight: self.vnodes_per_weight(),
            epoch: self.epoch(),
            nodes: self.nodes().collect(),
            points: points.map(|points| {
                points
                    .iter()
                    .map(|vnode| (vnode.point(), vnode.node()))
                    .collect()
            }),
            fingerprint: self.fingerprint(),
        }
        .serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de> + Clone, P: Placement + Clone + Default> Deserialize<'de>
    for HashRing<T, P>
{
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
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(D::Error::custom)?;
            *byte = u8::from_str_radix(digits, 16).map_err(D::Error::custom)?;
        }
        let fingerprint = Self::from_bytes(bytes);
        let mut written = String::new();
        write!(written, "{fingerprint}").map_err(D::Error::custom)?;
        // Writing it again catches a wrong length, signs and capitals in one.
        (written == text)
            .then_some(fingerprint)
            .ok_or_else(|| D::Error::custom("not a fingerprint"))
    }
}
