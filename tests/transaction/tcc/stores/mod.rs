//! Try, confirm and cancel on real servers.

mod coordinated;
mod cut;
mod law;
mod maria;
mod pg;
mod race;
mod service;
mod traps;

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tripod::BoxFuture;
use tripod::transaction::participant::tcc::{Barrier, BarrierError, Entry};
use tripod::transaction::participant::{Opening, Outcome, Report};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, TransactionId};

const COMMITTED: Report = Report::Did(Outcome::Committed);
const ABORTED: Report = Report::Did(Outcome::Aborted);

/// A database with seats, and a barrier.
trait Store: Clone + Debug + Send + Sync + 'static {
    /// The participant's side of the barrier.
    type Barrier: Barrier + Clone;

    /// As a process that has just started has it.
    fn barrier(&self) -> BoxFuture<'_, Self::Barrier>;

    /// Ends all connections of others, whatever they are in the middle of.
    fn cut(&self);

    /// Passes the barrier in a transaction of its own, and does what it lets through.
    fn pass(&self, step: Step) -> BoxFuture<'_, Result<Entry, BarrierError>>;

    /// How often a seat is held, and booked.
    fn seat(&self, seat: u64) -> BoxFuture<'_, (i64, i64)>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Try,
    Confirm,
    Cancel,
}

/// What is done in one transaction.
#[derive(Clone, Copy, Debug)]
struct Step {
    verb: Verb,
    branch: BranchId,
    /// Which seat. Confirm and cancel have it from the note, but without a barrier.
    seat: u64,
    guard: Guard,
    isolation: Isolation,
    /// How old a stale snapshot is.
    age: Duration,
    ends: Ends,
}

/// What the service puts first in its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    Barrier,
    /// It looks whether there is a row, and inserts it.
    Reading,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Isolation {
    ReadCommitted,
    RepeatableRead,
    Serializable,
    /// Repeatable read, of a snapshot that was taken before.
    Stale,
}

/// How the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Commits,
    /// The work is done, and rolled back.
    RollsBack,
    /// There is no work, whose rows might conflict as well.
    Idle,
}

impl Step {
    fn new(verb: Verb, branch: BranchId, seat: u64) -> Self {
        Self {
            verb,
            branch,
            seat,
            guard: Guard::Barrier,
            isolation: Isolation::ReadCommitted,
            age: Duration::from_millis(2),
            ends: Ends::Commits,
        }
    }

    fn at(self, isolation: Isolation) -> Self {
        Self { isolation, ..self }
    }

    /// What the work adds to how often the seat is held, and booked.
    fn change(self) -> (i32, i32) {
        match self.verb {
            Verb::Try => (1, 0),
            Verb::Confirm => (-1, 1),
            Verb::Cancel => (-1, 0),
        }
    }
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Try => "try",
            Self::Confirm => "confirm",
            Self::Cancel => "cancel",
        }
    }
}

/// What a service concludes that only reads what was done before.
fn conclude(verb: Verb, branch: BranchId, before: &[String]) -> Result<Entry, BarrierError> {
    let has = |verb: Verb| before.iter().any(|done| done == verb.name());
    match verb {
        _ if has(verb) => Ok(Entry::Again(Vec::new())),
        Verb::Try | Verb::Confirm if has(Verb::Cancel) => Err(BarrierError::Cancelled(branch)),
        Verb::Cancel if has(Verb::Confirm) => Err(BarrierError::Confirmed(branch)),
        Verb::Confirm if !has(Verb::Try) => Err(BarrierError::NotTried(branch)),
        Verb::Cancel if !has(Verb::Try) => Ok(Entry::Empty),
        Verb::Try | Verb::Confirm | Verb::Cancel => Ok(Entry::First(Vec::new())),
    }
}

fn seat_of(note: &[u8], seat: u64) -> u64 {
    note.try_into().map_or(seat, u64::from_be_bytes)
}

fn epoch(number: u64) -> Epoch {
    Epoch::new(number).unwrap()
}

/// A coordinator that nobody else has.
fn coordinator() -> CoordinatorId {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    CoordinatorId::from_u128(0x1234_5678_9abc_def0_2700_5c00_22ff_0000 + u128::from(count))
}

fn opening(of: CoordinatorId, number: u64) -> Opening {
    Opening::new(of, epoch(number), number.into())
}

fn id(of: CoordinatorId, begun_in: u64, sequence: u64) -> BranchId {
    BranchId::new(TransactionId::new(of, epoch(begun_in), sequence), 0)
}
