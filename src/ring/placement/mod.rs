//! Where nodes stand and where keys fall: the trait, and the placements that come with it.

#[cfg(feature = "interop")]
mod address;
mod allocated;
#[cfg(feature = "interop")]
mod ketama;
#[cfg(feature = "interop")]
mod nginx;
mod sha256;
mod xxh3;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::error::PlacementError;
use super::limits::VNODES_MAX;
use super::node::NodeId;
use super::vnode::Vnode;

pub use allocated::Allocated;
#[cfg(feature = "interop")]
pub use ketama::{Ketama, KetamaWeighted};
#[cfg(feature = "interop")]
pub use nginx::Nginx;
pub use sha256::Sha256V1;
pub use xxh3::Xxh3V1;

/// How keys and nodes are mapped to the circle of 64-bit points.
///
/// | placement | keys by | a node's points | agrees with |
/// |---|---|---|---|
/// | [`Sha256V1`] (default) | SHA-256 | weight × 160, from its id alone | itself, for ever |
/// | [`Xxh3V1`] | XXH3 | weight × 160, from its id alone | itself, for ever |
/// | [`Allocated`] | either | weight × 16, chosen to even out the shares | its own snapshot |
/// | `Nginx` (feature `interop`) | CRC-32 | weight × 160 | nginx `hash … consistent` |
/// | `Ketama` (feature `interop`) | MD5 | 100 | libmemcached `KETAMA` |
/// | `KetamaWeighted` (feature `interop`) | MD5 | about 160 × nodes × its part of the weights | libmemcached `KETAMA_WEIGHTED` |
///
/// The law for an implementor; [`HashRing`](super::HashRing) relies on every sentence:
///
/// - `hash` and `place` are pure: the same input gives the same output in every process, on
///   every platform, in every later version. If that ever has to change, `name` changes too.
/// - `name` tells apart everything that places differently, parameters included. It goes into
///   fingerprints and snapshots; rings of different names are never compared.
/// - `hash` spreads keys over all 64 bits, the top bits first: lookups index by the top bits.
///   A hash of fewer bits goes into the top ones (`u64::from(hash32) << 32`).
/// - `place` returns the points of the [`joining`](Membership::joining) nodes only, in any
///   order, and none for a node of weight 0. Where [`Rules::dependence`] is [`Dependence::Node`], the points of a node depend on
///   its own seat and on nothing else in the membership.
///
/// Use it as a type parameter for lookups without an indirect call, or as `Arc<dyn Placement>`
/// where the placement is chosen at run time.
///
/// ```
/// use std::borrow::Cow;
/// use tripod::ring::{HashRing, Membership, Node, Placement, PlacementError, Rules, Vnode};
///
/// /// Keys are spread by their first byte; each node has one point, after its id's first byte.
/// #[derive(Clone, Debug)]
/// struct FirstByte;
///
/// impl FirstByte {
///     fn first(bytes: &[u8]) -> u64 {
///         u64::from(bytes.first().copied().unwrap_or(0)) << 56
///     }
/// }
///
/// impl Placement for FirstByte {
///     fn name(&self) -> Cow<'_, str> {
///         "first-byte-v1".into()
///     }
///     fn rules(&self) -> Rules {
///         Rules::independent(1)
///     }
///     fn hash(&self, key: &[u8]) -> u64 {
///         Self::first(key)
///     }
///     fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError> {
///         let seats = membership.joining().filter(|(_, seat)| seat.vnodes() > 0);
///         Ok(seats.map(|(node, seat)| Vnode::new(Self::first(seat.id().as_str().as_bytes()), node)).collect())
///     }
/// }
///
/// let ring = HashRing::builder_with(FirstByte)
///     .nodes(["h", "p", "z"].map(|id| Node::new(id).unwrap()))
///     .build()?;
/// assert_eq!(ring.owner("kilo").unwrap().id().as_str(), "p");
/// # Ok::<(), tripod::ring::ChangeError>(())
/// ```
pub trait Placement: fmt::Debug + Send + Sync + 'static {
    /// The name and version of this placement, parameters included.
    fn name(&self) -> Cow<'_, str>;

    /// How the ring has to treat this placement.
    fn rules(&self) -> Rules;

    /// The point of a key. Keys are bytes; any bytes.
    fn hash(&self, key: &[u8]) -> u64;

    /// The points of the joining nodes. Everybody else keeps theirs.
    ///
    /// # Errors
    /// [`PlacementError`] refuses the whole change.
    fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError>;
}

macro_rules! forward {
    ($pointer:ident) => {
        #[deny(clippy::missing_trait_methods)]
        impl<P: Placement + ?Sized> Placement for $pointer<P> {
            fn name(&self) -> Cow<'_, str> {
                (**self).name()
            }

            fn rules(&self) -> Rules {
                (**self).rules()
            }

            fn hash(&self, key: &[u8]) -> u64 {
                (**self).hash(key)
            }

            fn place(&self, membership: &Membership<'_>) -> Result<Vec<Vnode>, PlacementError> {
                (**self).place(membership)
            }
        }
    };
}

forward!(Arc);
forward!(Box);

/// What a placement asks of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    vnodes: u32,
    dependence: Dependence,
    ties: Ties,
}

impl Rules {
    /// Rules of a placement in which each node's points follow from the node alone; `vnodes`
    /// points, at least one, for each unit of weight unless the user asks for another number.
    #[must_use]
    pub const fn independent(vnodes: u32) -> Self {
        Self {
            vnodes: if vnodes == 0 { 1 } else { vnodes },
            dependence: Dependence::Node,
            ties: Ties::ById,
        }
    }

    /// The same with another dependence.
    #[must_use]
    pub const fn with_dependence(mut self, dependence: Dependence) -> Self {
        self.dependence = dependence;
        self
    }

    /// The same with another rule for ties.
    #[must_use]
    pub const fn with_ties(mut self, ties: Ties) -> Self {
        self.ties = ties;
        self
    }

    /// Vnodes for each unit of weight, unless the builder is told otherwise.
    #[must_use]
    pub const fn vnodes(self) -> u32 {
        self.vnodes
    }

    /// What the points of a node depend on: the membership in any case where points are dropped
    /// for those of others ([`Ties::FirstConfigured`]).
    #[must_use]
    pub const fn dependence(self) -> Dependence {
        match self.ties {
            Ties::FirstConfigured => Dependence::Membership,
            Ties::ById | Ties::ByConfiguration => self.dependence,
        }
    }

    /// How nodes are numbered and equal points settled.
    #[must_use]
    pub const fn ties(self) -> Ties {
        self.ties
    }
}

/// What the points of a node depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dependence {
    /// The node alone. Changes are merged in, and placement is a function of the set of nodes.
    Node,
    /// The ring as it was when the node joined. Changes are merged in; the points are history,
    /// so snapshots carry them.
    History,
    /// The whole membership. Every change places everybody anew.
    Membership,
}

/// How nodes are numbered, and who owns a point that several nodes have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ties {
    /// Numbered by id. Equal points are all kept; the least id owns.
    ById,
    /// Numbered as configured. Equal points are all kept; the node configured first owns.
    ByConfiguration,
    /// Numbered as configured. Of equal points only that of the node configured first is kept,
    /// so a lookup that skips this node goes on to the next *other* point. Every change places
    /// everybody anew.
    FirstConfigured,
}

/// The nodes to be placed, numbered as [`Ties`] says.
#[derive(Debug)]
pub struct Membership<'a> {
    vnodes_per_weight: u32,
    seats: &'a [Seat<'a>],
    kept: &'a [Vnode],
    /// How many points stay, whether they are in `kept` or not.
    staying: u64,
}

impl<'a> Membership<'a> {
    pub(crate) fn new(
        vnodes_per_weight: u32,
        seats: &'a [Seat<'a>],
        kept: &'a [Vnode],
        staying: u64,
    ) -> Self {
        Self {
            vnodes_per_weight,
            seats,
            kept,
            staying,
        }
    }

    /// How many vnodes the ring is to have for each unit of weight.
    #[must_use]
    pub fn vnodes_per_weight(&self) -> u32 {
        self.vnodes_per_weight
    }

    /// Every node of the new membership, in the order of their numbers.
    #[must_use]
    pub fn seats(&self) -> &'a [Seat<'a>] {
        self.seats
    }

    /// The nodes to be placed now, with their numbers: the new ones and those whose weight
    /// changed, and everybody where the dependence is [`Dependence::Membership`].
    pub fn joining(&self) -> impl Iterator<Item = (u32, &'a Seat<'a>)> + use<'a> {
        (0..).zip(self.seats).filter(|(_, seat)| seat.joining)
    }

    /// The points that stay, sorted. Empty unless the dependence is [`Dependence::History`].
    #[must_use]
    pub fn kept(&self) -> &'a [Vnode] {
        self.kept
    }

    /// An empty vector with room for the `points` to be made.
    ///
    /// # Errors
    /// [`PlacementError::TooManyVnodes`] where these and the points that stay are more than
    /// [`VNODES_MAX`], before anything is allocated.
    pub fn room(&self, points: impl Iterator<Item = u64>) -> Result<Vec<Vnode>, PlacementError> {
        let room = points.fold(0, u64::saturating_add);
        let wanted = room.saturating_add(self.staying);
        match usize::try_from(room) {
            Ok(room) if wanted <= VNODES_MAX => Ok(Vec::with_capacity(room)),
            _ => Err(PlacementError::TooManyVnodes { wanted }),
        }
    }

    /// Places each joining node by `points_of(seat, push)`: what placements with
    /// [`Dependence::Node`] and a point for each vnode do.
    pub(crate) fn place_each(
        &self,
        mut points_of: impl FnMut(&Seat<'_>, &mut dyn FnMut(u64)),
    ) -> Result<Vec<Vnode>, PlacementError> {
        let mut vnodes = self.room(self.joining().map(|(_, seat)| seat.vnodes()))?;
        for (node, seat) in self.joining() {
            points_of(seat, &mut |point| vnodes.push(Vnode::new(point, node)));
        }
        Ok(vnodes)
    }
}

/// What a placement may know of a node.
#[derive(Debug)]
pub struct Seat<'a> {
    id: &'a NodeId,
    weight: u32,
    vnodes: u64,
    joining: bool,
}

impl<'a> Seat<'a> {
    pub(crate) fn new(id: &'a NodeId, weight: u32, vnodes_per_weight: u32, joining: bool) -> Self {
        let vnodes = u64::from(weight) * u64::from(vnodes_per_weight);
        Self {
            id,
            weight,
            vnodes,
            joining,
        }
    }

    /// The stable id.
    #[must_use]
    pub fn id(&self) -> &'a NodeId {
        self.id
    }

    /// The weight.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    pub(crate) fn is_joining(&self) -> bool {
        self.joining
    }

    /// How many points the node is due: its weight times the vnodes for each unit of weight.
    #[must_use]
    pub fn vnodes(&self) -> u64 {
        self.vnodes
    }
}
