//! Who stands on the ring.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::text::checked_text;

/// The stable name of a node: 1 byte to 1 MiB of UTF-8.
///
/// Placement hashes these bytes and nothing else, so the same ids give the same ring in every
/// process, on every platform. Cloning copies a pointer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct NodeId(Arc<str>);

impl NodeId {
    /// The longest id, in bytes: long enough for any real name, short enough that a damaged
    /// length field cannot ask for the machine's memory.
    pub const LEN_MAX: usize = 1 << 20;

    /// Checks and wraps `id`.
    ///
    /// # Errors
    /// [`NodeIdError`] if it is empty or longer than [`NodeId::LEN_MAX`].
    pub fn new(id: impl Into<Arc<str>>) -> Result<Self, NodeIdError> {
        let id = id.into();
        match id.len() {
            0 => Err(NodeIdError::Empty),
            len if len > Self::LEN_MAX => Err(NodeIdError::TooLong { len }),
            _ => Ok(Self(id)),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

checked_text!(NodeId, NodeIdError);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for NodeId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.as_str().to_owned()
    }
}

/// A string that cannot name a node. Nothing was created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeIdError {
    /// The id was empty; give it at least one byte.
    #[error("a node id must not be empty")]
    Empty,
    /// The id was longer than [`NodeId::LEN_MAX`]; hash it or shorten it.
    #[error("a node id of {len} bytes is longer than {} bytes", NodeId::LEN_MAX)]
    TooLong {
        /// The length that was refused, in bytes.
        len: usize,
    },
}

/// A failure domain: a rack, an availability zone, a data centre.
///
/// Nodes without a zone share one unnamed zone, so a policy that needs several zones fails
/// loudly when they were forgotten.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "String", into = "String"))]
pub struct Zone(Arc<str>);

impl Zone {
    /// Wraps a zone's name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for Zone {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Zone {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Zone {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.as_str().to_owned()
    }
}

/// A member of a ring: id, weight, zone, and a payload of your own (an address, a connection
/// pool). `Debug` leaves the payload out: it may hold credentials.
///
/// ```
/// use tripod::ring::Node;
///
/// let node = Node::new("cache-1")?
///     .with_weight(2)
///     .with_zone("eu-west-1a")
///     .with_payload("10.0.0.1:6379");
/// assert_eq!((node.weight(), *node.payload()), (2, "10.0.0.1:6379"));
/// # Ok::<(), tripod::ring::NodeIdError>(())
/// ```
#[derive(PartialEq, Eq)]
pub struct Node<T = ()> {
    id: NodeId,
    weight: u32,
    zone: Option<Zone>,
    payload: Arc<T>,
}

impl Node {
    /// A node of weight 1, in no zone, without payload.
    ///
    /// # Errors
    /// [`NodeIdError`] if the id is empty or too long.
    pub fn new(id: impl Into<Arc<str>>) -> Result<Self, NodeIdError> {
        NodeId::new(id).map(Self::from)
    }
}

impl From<NodeId> for Node {
    fn from(id: NodeId) -> Self {
        Self {
            id,
            weight: 1,
            zone: None,
            payload: Arc::new(()),
        }
    }
}

impl<T> Node<T> {
    /// Sets the weight: the node's share of keys relative to the others. Default 1; 0 drains,
    /// which leaves the node a member that owns nothing.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets the failure domain. Default none.
    #[must_use]
    pub fn with_zone(mut self, zone: impl Into<Zone>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Takes the node out of its zone.
    #[must_use]
    pub fn without_zone(mut self) -> Self {
        self.zone = None;
        self
    }

    /// Replaces the payload, of whatever type; clones of the node share it. Placement never looks at it.
    #[must_use]
    pub fn with_payload<U>(self, payload: U) -> Node<U> {
        Node {
            id: self.id,
            weight: self.weight,
            zone: self.zone,
            payload: Arc::new(payload),
        }
    }

    /// The stable id.
    #[must_use]
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// The weight.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// The failure domain, if one was given.
    #[must_use]
    pub fn zone(&self) -> Option<&Zone> {
        self.zone.as_ref()
    }

    /// What you stored with the node.
    #[must_use]
    pub fn payload(&self) -> &T {
        &self.payload
    }
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        Self {
            id: self.id.clone(),
            weight: self.weight,
            zone: self.zone.clone(),
            payload: Arc::clone(&self.payload),
        }
    }
}

impl<T> fmt::Debug for Node<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id)
            .field("weight", &self.weight)
            .field("zone", &self.zone)
            .finish_non_exhaustive()
    }
}
