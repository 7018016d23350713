//! What a ring of this program keeps with each node, and who owns a key by it.

use tripod::ring::{HashRing, Node, Placement};

use crate::failure::Failure;
use crate::options::NodeOption;

/// The payload of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    /// The node's number, to count by.
    pub(crate) number: usize,
    /// Whether lookups skip it.
    pub(crate) down: bool,
}

pub(crate) type Ring<P> = HashRing<Seat, P>;

/// A node as the command line gave it, with its seat.
pub(crate) fn seated(option: &NodeOption, number: usize) -> Node<Seat> {
    let down = option.down;
    option.node.clone().with_payload(Seat { number, down })
}

/// Makes sure that every key will find a node.
pub(crate) fn check_owners<P: Placement>(ring: &Ring<P>) -> Result<(), Failure> {
    let mut owners = ring.preference_list("").peekable();
    if owners.peek().is_none() {
        let reason = if ring.is_empty() {
            "no node owns keys: none is left"
        } else if ring.nodes().all(|node| node.weight() == 0) {
            "no node owns keys: every weight is 0"
        } else {
            "no node owns keys: the placement gives nobody a vnode"
        };
        return Err(Failure::refused(reason));
    }
    if owners.all(|node| node.payload().down) {
        return Err(Failure::refused("every node that owns keys is down"));
    }
    Ok(())
}

/// The node for the key with this hash: its owner, or the next one that is not down.
pub(crate) fn up_owner<P: Placement>(
    ring: &Ring<P>,
    hash: u64,
    any_down: bool,
) -> Option<&Node<Seat>> {
    if any_down {
        let mut walk = ring.preference_list_of_hash(hash);
        walk.find(|node| !node.payload().down)
    } else {
        ring.owner_of_hash(hash)
    }
}
