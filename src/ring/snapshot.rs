//! A ring as bytes, to be stored or sent, and back.

use std::num::NonZeroU32;

use sha2::{Digest, Sha256};

use super::change::{Change, redraft};
use super::error::SnapshotError;
use super::fingerprint::Fingerprint;
use super::hash_ring::HashRing;
use super::layout::Layout;
use super::limits::SNAPSHOT_VERSION;
use super::node::{Node, NodeId};
use super::placement::{Dependence, Placement};
use super::vnode::Vnode;

const MAGIC: [u8; 8] = *b"tripring";

impl<P: Placement + Clone> HashRing<(), P> {
    /// The ring as bytes, for [`decode`](Self::decode). O(points).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(|()| Vec::new())
    }

    /// A ring from the bytes of [`encode`](Self::encode), epoch included. The bytes are
    /// untrusted: they are checked before anything is built, and what is built is compared to
    /// the fingerprint of the ring that was encoded. They may ask for as many points as a ring may
    /// hold, which takes seconds and some 500 MB: take them from whom you trust with that.
    ///
    /// ```
    /// use tripod::ring::{HashRing, Node, Sha256V1};
    ///
    /// let ring = HashRing::builder().nodes([Node::new("a")?, Node::new("b")?]).build()?;
    /// let same = HashRing::decode(&ring.encode(), Sha256V1)?;
    /// assert_eq!(ring.fingerprint(), same.fingerprint());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`SnapshotError`] says what is wrong with the bytes.
    pub fn decode(bytes: &[u8], placement: P) -> Result<Self, SnapshotError> {
        Self::decode_with(bytes, placement, |bytes| bytes.is_empty().then_some(()))
    }
}

impl<T, P: Placement + Clone> HashRing<T, P> {
    /// The ring as bytes, each payload as `payload` writes it.
    ///
    /// Version 1; integers are big endian, texts and payloads a length of 8 bytes and the bytes:
    /// `"tripring"`, version (2), epoch (8), placement name, vnodes per weight (4), number of
    /// nodes (4), each node (id, weight (4), 1 and zone or 0, payload), 1 and the points or 0
    /// (number (4), each point (8) and its node's number (4)), fingerprint (32), SHA-256 of all
    /// before (32).
    #[must_use]
    pub fn encode_with(&self, mut payload: impl FnMut(&T) -> Vec<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(MAGIC);
        out.extend(SNAPSHOT_VERSION.to_be_bytes());
        out.extend(self.epoch().to_be_bytes());
        put_bytes(&mut out, self.placement().name().as_bytes());
        out.extend(self.vnodes_per_weight().get().to_be_bytes());
        put_len(&mut out, self.len());
        for node in self.nodes() {
            put_bytes(&mut out, node.id().as_str().as_bytes());
            out.extend(node.weight().to_be_bytes());
            out.push(u8::from(node.zone().is_some()));
            if let Some(zone) = node.zone() {
                put_bytes(&mut out, zone.as_str().as_bytes());
            }
            put_bytes(&mut out, &payload(node.payload()));
        }
        let history = self.history();
        out.push(u8::from(history.is_some()));
        if let Some(vnodes) = history {
            put_len(&mut out, vnodes.len());
            for vnode in vnodes {
                out.extend(vnode.point().to_be_bytes());
                out.extend(vnode.node().to_be_bytes());
            }
        }
        out.extend(self.fingerprint().as_bytes());
        let checksum = Sha256::digest(&out);
        out.extend(checksum);
        out
    }

    /// A ring from the bytes of [`encode_with`](Self::encode_with); `payload` reads what was
    /// written there, and answers `None` to what it cannot read.
    ///
    /// # Errors
    /// [`SnapshotError`] says what is wrong with the bytes.
    pub fn decode_with(
        bytes: &[u8],
        placement: P,
        payload: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Self, SnapshotError> {
        let mut reader = Reader(bytes);
        let magic: [u8; 8] = reader.array().ok_or(SnapshotError::Foreign)?;
        if magic != MAGIC {
            return Err(SnapshotError::Foreign);
        }
        match reader
            .array()
            .map(u16::from_be_bytes)
            .ok_or(SnapshotError::Damaged)?
        {
            SNAPSHOT_VERSION => {}
            0 => return Err(SnapshotError::Damaged),
            found => return Err(SnapshotError::Newer { found }),
        }
        let (body, checksum) = bytes
            .split_last_chunk::<32>()
            .ok_or(SnapshotError::Damaged)?;
        if Sha256::digest(body).as_slice() != checksum {
            return Err(SnapshotError::Damaged);
        }
        let rest = reader
            .0
            .len()
            .checked_sub(checksum.len())
            .and_then(|end| reader.0.get(..end));
        let parts = read_parts(
            &mut Reader(rest.ok_or(SnapshotError::Damaged)?),
            &placement,
            payload,
        )?;
        Self::restore(placement, parts)
    }

    /// The points, where they are history and cannot be worked out from the nodes.
    pub(crate) fn history(&self) -> Option<Vec<Vnode>> {
        match self.placement().rules().dependence() {
            Dependence::History => Some(self.layout().index.vnodes().collect()),
            Dependence::Node | Dependence::Membership => None,
        }
    }

    /// Puts a ring together from parts that were checked for form only.
    pub(crate) fn restore(placement: P, parts: Parts<T>) -> Result<Self, SnapshotError> {
        let Parts {
            epoch,
            vnodes_per_weight,
            nodes,
            history,
            fingerprint,
        } = parts;
        let changes = nodes.into_iter().map(Change::Add);
        let drafts = redraft(&[], placement.rules().ties(), changes)?;
        let ring = match history {
            None => Self::draw(
                placement,
                vnodes_per_weight,
                epoch,
                drafts,
                &Layout::default(),
            )?,
            Some(vnodes) => {
                let layout = Layout::restore(&vnodes, &drafts).ok_or(SnapshotError::Damaged)?;
                let nodes = drafts.into_iter().map(|draft| draft.node).collect();
                Self::assemble(placement, vnodes_per_weight, epoch, nodes, layout)
            }
        };
        match fingerprint {
            Some(fingerprint) if fingerprint != ring.fingerprint() => Err(SnapshotError::Diverged),
            _ => Ok(ring),
        }
    }
}

/// What a ring is put together from.
pub(crate) struct Parts<T> {
    pub(crate) epoch: u64,
    pub(crate) vnodes_per_weight: NonZeroU32,
    pub(crate) nodes: Vec<Node<T>>,
    pub(crate) history: Option<Vec<Vnode>>,
    pub(crate) fingerprint: Option<Fingerprint>,
}

/// Refuses a ring of another placement.
pub(crate) fn check_placement<P: Placement>(
    placement: &P,
    found: &str,
) -> Result<(), SnapshotError> {
    match placement.name() {
        expected if expected == found => Ok(()),
        expected => Err(SnapshotError::PlacementMismatch {
            expected: expected.into(),
            found: found.to_owned(),
        }),
    }
}

fn read_parts<T, P: Placement>(
    reader: &mut Reader<'_>,
    placement: &P,
    mut payload: impl FnMut(&[u8]) -> Option<T>,
) -> Result<Parts<T>, SnapshotError> {
    let damaged = || SnapshotError::Damaged;
    let epoch = reader.array().map(u64::from_be_bytes).ok_or_else(damaged)?;
    check_placement(placement, reader.text().ok_or_else(damaged)?)?;
    let vnodes_per_weight = reader
        .number()
        .and_then(NonZeroU32::new)
        .ok_or_else(damaged)?;
    let mut nodes = Vec::new();
    for _ in 0..reader.number().ok_or_else(damaged)? {
        let (node, bytes) = reader.node().ok_or_else(damaged)?;
        let payload = payload(bytes).ok_or_else(|| SnapshotError::Payload {
            id: node.id().clone(),
        })?;
        nodes.push(node.with_payload(payload));
    }
    let history = if reader.flag().ok_or_else(damaged)? {
        Some(reader.vnodes().ok_or_else(damaged)?)
    } else {
        None
    };
    if history.is_some() != (placement.rules().dependence() == Dependence::History) {
        return Err(SnapshotError::Damaged);
    }
    let fingerprint = reader.array().map(Fingerprint::from).ok_or_else(damaged)?;
    if !reader.0.is_empty() {
        return Err(SnapshotError::Damaged);
    }
    Ok(Parts {
        epoch,
        vnodes_per_weight,
        nodes,
        history,
        fingerprint: Some(fingerprint),
    })
}

/// What is left to read. Every method answers `None` where that is too short or malformed, and
/// none allocates more than is there.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn number(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.array()? {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.array().map(u64::from_be_bytes)?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// A node and its payload's bytes.
    fn node(&mut self) -> Option<(Node, &'a [u8])> {
        let id = NodeId::new(self.text()?).ok()?;
        let mut node = Node::from(id).with_weight(self.number()?);
        if self.flag()? {
            node = node.with_zone(self.text()?);
        }
        Some((node, self.bytes()?))
    }

    fn vnodes(&mut self) -> Option<Vec<Vnode>> {
        let count = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(count.checked_mul(12)?)?;
        self.0 = rest;
        let mut points = Reader(bytes);
        let vnode = || {
            Some(Vnode::new(
                u64::from_be_bytes(points.array()?),
                points.number()?,
            ))
        };
        Some(std::iter::from_fn(vnode).collect())
    }
}

/// Nodes and points are fewer than 2^25.
#[expect(
    clippy::cast_possible_truncation,
    reason = "counts are capped when a ring is made"
)]
fn put_len(out: &mut Vec<u8>, len: usize) {
    out.extend((len as u32).to_be_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_be_bytes());
    out.extend(bytes);
}
