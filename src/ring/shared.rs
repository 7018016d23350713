//! A ring that changes under its readers.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;

use super::change::Change;
use super::error::{ChangeError, UpdateError};
use super::hash_ring::HashRing;
use super::placement::{Placement, Sha256V1};

/// A cell that holds the ring of the day. Clones share it.
///
/// Readers never wait, not for a writer either: they go on with the ring they loaded, whole,
/// while the next one is worked out beside it. Writers take turns.
///
/// ```
/// use tripod::ring::{Change, HashRing, Node, SharedRing};
///
/// let shared = SharedRing::new(HashRing::builder().nodes([Node::new("a")?]).build()?);
/// let before = shared.load();
/// shared.apply([Change::Add(Node::new("b")?)])?;
/// assert_eq!((before.len(), shared.load().len()), (1, 2));
///
/// // Two operators decide on what they read at epoch 1; the second finds out.
/// shared.apply_at(1, [Change::Remove("a".try_into()?)])?;
/// assert!(shared.apply_at(1, [Change::Remove("b".try_into()?)]).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SharedRing<T = (), P = Sha256V1> {
    cell: Arc<Cell<T, P>>,
}

struct Cell<T, P> {
    ring: ArcSwap<HashRing<T, P>>,
    /// Held from reading the ring to replacing it.
    writer: Mutex<()>,
}

impl<T, P> SharedRing<T, P> {
    /// A cell that holds `ring`.
    #[must_use]
    pub fn new(ring: HashRing<T, P>) -> Self {
        Self {
            cell: Arc::new(Cell {
                ring: ArcSwap::from_pointee(ring),
                writer: Mutex::new(()),
            }),
        }
    }

    /// The ring as it is now, for a look-up or a few: wait-free but for a rare fallback that is
    /// lock-free. To keep it for longer, clone the ring out of it.
    #[inline]
    pub fn load(&self) -> RingRef<T, P> {
        RingRef(self.cell.ring.load())
    }
}

impl<T, P: Placement> SharedRing<T, P> {
    /// Replaces the ring by what `change` makes of it, and returns the new one. `change` runs
    /// once, with other writers waiting: it must not update this cell itself. Epochs only go up:
    /// a ring of an epoch not above the present one (built afresh, say) gets the next one.
    ///
    /// # Errors
    /// Those of `change`; then the ring is as it was.
    pub fn update<E>(
        &self,
        change: impl FnOnce(&HashRing<T, P>) -> Result<HashRing<T, P>, E>,
    ) -> Result<HashRing<T, P>, E> {
        let turn = self.cell.writer.lock();
        let before = self.cell.ring.load_full();
        let ring = change(&before)?;
        let epoch = ring.epoch().max(before.epoch().saturating_add(1));
        let ring = ring.at_epoch(epoch);
        self.cell.ring.store(Arc::new(ring.clone()));
        // Payloads dropped with the old ring may do as they like, update this cell included.
        drop(turn);
        drop(before);
        Ok(ring)
    }
}

impl<T, P: Placement + Clone> SharedRing<T, P> {
    /// Applies changes to the ring, whatever its epoch.
    ///
    /// # Errors
    /// [`ChangeError`]; then the ring is as it was.
    pub fn apply(
        &self,
        changes: impl IntoIterator<Item = Change<T>>,
    ) -> Result<HashRing<T, P>, ChangeError> {
        self.update(|ring| ring.apply(changes))
    }

    /// Applies changes if the ring is still at the `expected` epoch.
    ///
    /// # Errors
    /// [`UpdateError::Stale`] if it is not, [`UpdateError::Change`] if the changes are refused;
    /// then the ring is as it was.
    pub fn apply_at(
        &self,
        expected: u64,
        changes: impl IntoIterator<Item = Change<T>>,
    ) -> Result<HashRing<T, P>, UpdateError> {
        self.update(|ring| match ring.epoch() {
            found if found == expected => Ok(ring.apply(changes)?),
            found => Err(UpdateError::Stale { expected, found }),
        })
    }
}

impl<T, P> Clone for SharedRing<T, P> {
    fn clone(&self) -> Self {
        Self {
            cell: Arc::clone(&self.cell),
        }
    }
}

impl<T, P: Placement> fmt::Debug for SharedRing<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedRing").field(&*self.load()).finish()
    }
}

/// A ring borrowed from a [`SharedRing`].
#[must_use = "look something up in it"]
pub struct RingRef<T = (), P = Sha256V1>(Guard<Arc<HashRing<T, P>>>);

impl<T, P> Deref for RingRef<T, P> {
    type Target = HashRing<T, P>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T, P: Placement> fmt::Debug for RingRef<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
