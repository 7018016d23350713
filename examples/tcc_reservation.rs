//! Seats in one service and money in another: tried, then confirmed or cancelled together.
//!
//! ```text
//! cargo run --example tcc_reservation
//! ```
//!
//! Neither service can prepare a transaction; both can reserve. All is in memory here: on
//! `PostgresBarrier` or `MysqlBarrier` the barrier is the first statement of the service's own
//! transaction, and the rest stays as it is.

use std::error::Error;
use std::sync::Arc;

use parking_lot::Mutex;
use tripod::BoxFuture;
use tripod::transaction::BranchId;
use tripod::transaction::log::MemoryLog;
use tripod::transaction::participant::ParticipantError;
use tripod::transaction::participant::tcc::{Entry, MemoryBarrier, Tcc, TccService};
use tripod::transaction::two_phase::{CommitOutcome, Coordinator, Filter};

/// A service with so much of something: free, reserved and sold.
#[derive(Clone, Debug)]
struct Stock {
    what: &'static str,
    barrier: MemoryBarrier,
    amounts: Arc<Mutex<Amounts>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Amounts {
    free: u64,
    reserved: u64,
    sold: u64,
}

impl Stock {
    fn new(what: &'static str, free: u64) -> Self {
        let amounts = Amounts {
            free,
            reserved: 0,
            sold: 0,
        };
        Self {
            what,
            barrier: MemoryBarrier::new(),
            amounts: Arc::new(Mutex::new(amounts)),
        }
    }

    fn participant(&self) -> Result<Tcc<Self>, Box<dyn Error>> {
        Ok(Tcc::new(self.what, self.clone(), self.barrier.clone())?)
    }

    fn amounts(&self) -> Amounts {
        *self.amounts.lock()
    }

    fn says(&self, verb: &str, entry: &Entry) {
        let what = self.what;
        match entry {
            Entry::First(_) => println!("  {what}: {verb}, done: {:?}", self.amounts()),
            Entry::Again(_) => println!("  {what}: {verb} again, which does nothing"),
            Entry::Empty => println!("  {what}: {verb} of what was never tried: remembered"),
        }
    }
}

/// The amount is the note of the try: confirm and cancel find it, in whichever process.
fn amount(note: &[u8]) -> Result<u64, ParticipantError> {
    let note = note.try_into().map_err(ParticipantError::refused)?;
    Ok(u64::from_be_bytes(note))
}

impl TccService for Stock {
    type Request = u64;
    type Answer = ();

    fn try_(&self, branch: BranchId, wanted: u64) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(async move {
            let entry = self.barrier.try_(branch, &wanted.to_be_bytes(), || {
                let mut amounts = self.amounts.lock();
                let Some(left) = amounts.free.checked_sub(wanted) else {
                    return Err(ParticipantError::refused("there are not so many"));
                };
                amounts.free = left;
                amounts.reserved += wanted;
                Ok(())
            })?;
            self.says("try", &entry);
            Ok(())
        })
    }

    fn confirm(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(async move {
            let entry = self.barrier.confirm(branch, |note| {
                let (mut amounts, sold) = (self.amounts.lock(), amount(note)?);
                amounts.reserved -= sold;
                amounts.sold += sold;
                Ok::<_, ParticipantError>(())
            })?;
            self.says("confirm", &entry);
            Ok(())
        })
    }

    fn cancel(&self, branch: BranchId) -> BoxFuture<'_, Result<(), ParticipantError>> {
        Box::pin(async move {
            let entry = self.barrier.cancel(branch, |note| {
                let (mut amounts, back) = (self.amounts.lock(), amount(note)?);
                amounts.reserved -= back;
                amounts.free += back;
                Ok::<_, ParticipantError>(())
            })?;
            self.says("cancel", &entry);
            Ok(())
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (hall, bank) = (Stock::new("seats", 3), Stock::new("money", 100));
    let (seats, money) = (hall.participant()?, bank.participant()?);
    let coordinator = Coordinator::open(MemoryLog::new())
        .participant(seats.clone())
        .participant(money.clone())
        .await?;

    println!("two seats at 30 each: both can be had");
    let mut sale = coordinator.begin().await?;
    sale.enlist(&seats).await?.try_(2).await?;
    sale.enlist(&money).await?.try_(60).await?;
    println!("  meanwhile everybody sees that they are reserved: this does not isolate");
    tell(&sale.commit().await);

    println!("the last seat at 50: there is not so much money, so the seat is free again");
    let mut sale = coordinator.begin().await?;
    sale.enlist(&seats).await?.try_(1).await?;
    let mut purse = sale.enlist(&money).await?;
    if let Err(error) = purse.try_(50).await {
        println!("  money: {error}: {}", reason(&error));
    }
    tell(&sale.commit().await);
    while !coordinator.list(Filter::All).is_empty() {
        tokio::task::yield_now().await;
    }

    println!("the caller changes its mind, and a try is still on its way: the cancel is first");
    let mut sale = coordinator.begin().await?;
    let late = sale.enlist(&seats).await?.id();
    sale.rollback();
    while !coordinator.list(Filter::All).is_empty() {
        tokio::task::yield_now().await;
    }
    // As a network would deliver it.
    if let Err(error) = hall.try_(late, 1).await {
        println!("  seats: the late try is refused: {}", reason(&error));
    }
    hall.cancel(late).await?;

    let expected = Amounts {
        free: 1,
        reserved: 0,
        sold: 2,
    };
    assert_eq!(hall.amounts(), expected);
    println!("seats: {:?}", hall.amounts());
    println!("money: {:?}", bank.amounts());
    Ok(())
}

fn tell(outcome: &CommitOutcome) {
    match outcome {
        CommitOutcome::Committed { .. } => println!("  committed"),
        CommitOutcome::Aborted { reason, .. } => println!("  aborted: {reason:?}"),
        CommitOutcome::Unknown(id) => println!("  ask later for {id}"),
    }
}

/// What is at the bottom of an error.
fn reason(error: &dyn Error) -> String {
    match error.source() {
        Some(source) => reason(source),
        None => error.to_string(),
    }
}
