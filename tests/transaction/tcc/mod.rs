//! Try, confirm and cancel, in memory.

mod barrier;
mod coordinated;
mod handle;
#[cfg(feature = "conformance")]
mod law;
mod refused;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tripod::BoxFuture;
use tripod::transaction::participant::tcc::{MemoryBarrier, Tcc, TccService};
use tripod::transaction::participant::{Opening, Outcome, ParticipantError, Report};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, TransactionId};

const COMMITTED: Report = Report::Did(Outcome::Committed);
const ABORTED: Report = Report::Did(Outcome::Aborted);

/// Seats that are held and booked, each by the number that was tried.
#[derive(Clone, Debug, Default)]
struct Hall {
    barrier: MemoryBarrier,
    /// How often each is held, and booked.
    seats: Arc<Mutex<BTreeMap<u64, (i32, i32)>>>,
    faults: Arc<Faults>,
}

/// What goes wrong, as long as it is told to.
#[derive(Debug, Default)]
struct Faults {
    /// A try is refused.
    sold_out: AtomicBool,
    /// Confirms and cancels do not come through.
    deaf: AtomicBool,
    /// So many ends are done, and their answers are lost.
    lost: AtomicU32,
    /// The service has no barrier.
    barred: AtomicBool,
    /// How often it was asked to cancel.
    cancels: AtomicU32,
}

impl Hall {
    fn tcc(&self) -> Tcc<Hall> {
        Tcc::new("hall", self.clone(), self.barrier.clone()).unwrap()
    }

    /// How often a seat is held, and booked.
    fn seat(&self, seat: u64) -> (i32, i32) {
        self.seats.lock().get(&seat).copied().unwrap_or_default()
    }

    fn change(&self, seat: u64, held: i32, booked: i32) {
        let mut seats = self.seats.lock();
        let seat = seats.entry(seat).or_default();
        *seat = (seat.0 + held, seat.1 + booked);
    }

    fn answer(&self) -> Result<(), ParticipantError> {
        let lost = |left: u32| left.checked_sub(1);
        let answer = &self.faults.lost;
        match answer.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lost) {
            Ok(_) => Err(ParticipantError::unknown("the answer is lost")),
            Err(_) => Ok(()),
        }
    }
}

fn seat_of(note: &[u8]) -> u64 {
    u64::from_be_bytes(note.try_into().unwrap())
}

impl TccService for Hall {
    type Request = u64;
    type Answer = u64;

    fn try_(&self, branch: BranchId, seat: u64) -> BoxFuture<'_, Result<u64, ParticipantError>> {
        Box::pin(async move {
            if self.faults.barred.load(Ordering::SeqCst) {
                self.change(seat, 1, 0);
                return Ok(seat);
            }
            let _ = self.barrier.try_(branch, &seat.to_be_bytes(), || {
                if self.faults.sold_out.load(Ordering::SeqCst) {
                    return Err(ParticipantError::refused("sold out"));
                }
                self.change(seat, 1, 0);
                Ok(())
            })?;
            Ok(seat)
        })
    }

    fn confirm(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(async move {
            if self.faults.deaf.load(Ordering::SeqCst) {
                return Err(ParticipantError::unknown("nobody answers"));
            }
            let booked = |note: &[u8]| {
                self.change(seat_of(note), -1, 1);
                Ok::<_, ParticipantError>(())
            };
            let _ = self.barrier.confirm(branch, booked)?;
            self.answer()
        })
    }

    fn cancel(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(async move {
            self.faults.cancels.fetch_add(1, Ordering::SeqCst);
            if self.faults.deaf.load(Ordering::SeqCst) {
                return Err(ParticipantError::unknown("nobody answers"));
            }
            if self.faults.barred.load(Ordering::SeqCst) {
                return Ok(());
            }
            let freed = |note: &[u8]| {
                self.change(seat_of(note), -1, 0);
                Ok::<_, ParticipantError>(())
            };
            let _ = self.barrier.cancel(branch, freed)?;
            self.answer()
        })
    }
}

fn epoch(number: u64) -> Epoch {
    Epoch::new(number).unwrap()
}

fn opening(number: u64) -> Opening {
    Opening::new(CoordinatorId::from_u128(7), epoch(number), number.into())
}

fn id(begun_in: u64, sequence: u64) -> BranchId {
    let coordinator = CoordinatorId::from_u128(7);
    let transaction = TransactionId::new(coordinator, epoch(begun_in), sequence);
    BranchId::new(transaction, 0)
}

/// Until this is so; by tokio's clock for at most a minute.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never came about: {what}");
}
