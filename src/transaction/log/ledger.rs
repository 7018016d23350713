//! Who may use how much of the space that a log has. Pure, behind a mutex.

use std::sync::Arc;

use parking_lot::Mutex;

use super::reservation::{Reservation, SpaceKeeper};
use super::scan::OVERHEAD;

/// The space of one opening.
///
/// What is reserved fits into the rest of the segment in use; or else all that lives and all that
/// is reserved fits into the spare one. Every method keeps that true, so an append with a
/// reservation never needs the disk to have room.
#[derive(Debug)]
pub(super) struct Ledger(Mutex<Space>);

#[derive(Clone, Copy, Debug)]
struct Space {
    /// Left in the segment in use, in bytes.
    room: u64,
    /// What copying all live records takes, in bytes.
    live: u64,
    /// Promised, in bytes: reservations, and appends on their way.
    reserved: u64,
    /// The length of the spare segment in bytes; 0 without one.
    spare: u64,
}

impl Space {
    fn holds(&self, more: u64) -> bool {
        let reserved = self.reserved.saturating_add(more);
        let copied = OVERHEAD.saturating_add(self.live).saturating_add(reserved);
        reserved <= self.room || copied <= self.spare
    }
}

impl Ledger {
    pub(super) fn new(room: u64, live: u64) -> Self {
        Self(Mutex::new(Space {
            room,
            live,
            reserved: 0,
            spare: 0,
        }))
    }

    /// Of a log without segments, where at most so many bytes live and are reserved.
    #[cfg_attr(
        not(feature = "postgres"),
        allow(dead_code, reason = "logs in files have segments")
    )]
    pub(super) fn bounded(bytes_max: u64, live: u64) -> Self {
        let ledger = Self::new(0, live);
        ledger.provide(OVERHEAD.saturating_add(bytes_max));
        ledger
    }

    /// Sets so many bytes aside, if there is room.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let mut space = self.0.lock();
        if !space.holds(bytes) {
            return None;
        }
        space.reserved = space.reserved.saturating_add(bytes);
        Some(Reservation::new(bytes, self.keeper()))
    }

    /// Makes this reservation cover exactly so many bytes, if there is room.
    ///
    /// # Errors
    /// What there was of it.
    pub(super) fn cover(
        self: &Arc<Self>,
        given: Option<Reservation>,
        bytes: u64,
    ) -> Result<Reservation, Reservation> {
        let mut covered = Reservation::new(0, self.keeper());
        if let Some(mut given) = given {
            covered.absorb(given.split(bytes));
        }
        match self.reserve(bytes.saturating_sub(covered.bytes())) {
            Some(rest) => {
                covered.absorb(rest);
                Ok(covered)
            }
            None => Err(covered),
        }
    }

    fn keeper(self: &Arc<Self>) -> Arc<dyn SpaceKeeper> {
        let keeper: Arc<Self> = Arc::clone(self);
        keeper
    }

    /// An append that this reservation covered has become so many bytes of the segment.
    pub(super) fn spend(self: &Arc<Self>, reservation: Reservation, written: u64, live: u64) {
        let reserved = reservation.take(&self.keeper());
        let mut space = self.0.lock();
        space.reserved = space.reserved.saturating_sub(reserved);
        space.room = space.room.saturating_sub(written);
        space.live = live;
    }

    /// The spare segment has become the one in use.
    pub(super) fn roll(&self, room: u64) {
        let mut space = self.0.lock();
        space.room = room;
        space.spare = 0;
    }

    /// There is a spare segment of this length.
    pub(super) fn provide(&self, spare: u64) {
        self.0.lock().spare = spare;
    }

    /// How long a segment must be to take all that lives and is reserved, and so much more.
    pub(super) fn wanted(&self, more: u64) -> u64 {
        let space = self.0.lock();
        OVERHEAD
            .saturating_add(space.live)
            .saturating_add(space.reserved)
            .saturating_add(more)
    }
}

impl SpaceKeeper for Ledger {
    fn give_back(&self, bytes: u64) {
        let mut space = self.0.lock();
        space.reserved = space.reserved.saturating_sub(bytes);
    }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    reason = "a failed assertion is how a test speaks"
)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_is_given_once_and_given_back() {
        let ledger = Arc::new(Ledger::new(100, 0));
        let first = ledger.reserve(60).unwrap();
        assert!(ledger.reserve(41).is_none());
        drop(first);
        let mut all = ledger.reserve(100).unwrap();
        drop(all.split(30));
        assert_eq!(ledger.reserve(30).map(|rest| rest.bytes()), Some(30));
        assert!(ledger.reserve(31).is_none());
    }

    #[test]
    fn what_another_keeper_reserved_covers_nothing() {
        let (here, there) = (Arc::new(Ledger::new(100, 0)), Arc::new(Ledger::new(100, 0)));
        let all = here.reserve(100).unwrap();
        let foreign = there.reserve(50).unwrap();
        let missing = here.cover(Some(foreign), 10).unwrap_err();
        assert_eq!(missing.bytes(), 0);
        assert_eq!(there.reserve(100).map(|rest| rest.bytes()), Some(100));
        drop(all);
    }

    #[test]
    fn a_spare_segment_takes_what_the_one_in_use_cannot() {
        let ledger = Arc::new(Ledger::new(100, 1000));
        ledger.provide(OVERHEAD + 1000 + 500);
        assert!(ledger.reserve(501).is_none());
        let mut all = ledger.reserve(500).unwrap();
        ledger.roll(500);
        ledger.spend(all.split(200), 200, 1200);
        assert!(ledger.reserve(1).is_none(), "300 are still promised");
        assert_eq!(all.bytes(), 300);
    }
}
