//! One value that says whether two rings place every key alike.

use std::fmt;
use std::str::FromStr;

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
}

impl From<[u8; 32]> for Fingerprint {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// A text that is no fingerprint: not 64 hexadecimal digits in lower case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits in lower case")]
pub struct FingerprintError {
    _private: (),
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(FingerprintError { _private: () }),
        };
        if text.len() != 64 {
            return Err(FingerprintError { _private: () });
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            for half in digits {
                *byte = *byte << 4 | digit(*half)?;
            }
        }
        Ok(Self(bytes))
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
