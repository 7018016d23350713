//! One value that says whether two rings place every key alike.

use std::fmt;

use sha2::{Digest, Sha256};

use super::hash_ring::HashRing;
use super::node::Node;
use super::placement::Placement;

/// A digest of everything that decides where keys and replicas go: placement, nodes, weights,
/// zones, and every point. Epoch and payloads are left out. Two processes whose rings have the
/// same fingerprint agree on every key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The 32 bytes of the digest.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T, P: Placement> HashRing<T, P> {
    /// The ring's fingerprint. O(points), some 5 ns each: compute it once a change, not once a
    /// look-up.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut digest = Sha256::new_with_prefix(b"tripod ring fingerprint v1");
        update_text(&mut digest, &self.placement().name());
        digest.update(self.vnodes_per_weight().get().to_be_bytes());
        digest.update((self.len() as u64).to_be_bytes());
        for node in self.nodes() {
            update_node(&mut digest, node);
        }
        for vnode in self.layout().index.vnodes() {
            digest.update(vnode.point().to_be_bytes());
            digest.update(vnode.node().to_be_bytes());
        }
        Fingerprint(digest.finalize().into())
    }
}

fn update_node<T>(digest: &mut Sha256, node: &Node<T>) {
    update_text(digest, node.id().as_str());
    digest.update(node.weight().to_be_bytes());
    digest.update([u8::from(node.zone().is_some())]);
    if let Some(zone) = node.zone() {
        update_text(digest, zone.as_str());
    }
}

/// The length first, so that no two lists of texts give the same bytes.
fn update_text(digest: &mut Sha256, text: &str) {
    digest.update((text.len() as u64).to_be_bytes());
    digest.update(text);
}
