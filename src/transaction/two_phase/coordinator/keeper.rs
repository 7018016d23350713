//! What goes on for as long as a coordinator lives: scans, forgetting, deadlines.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::{Instant, sleep};

use super::counters::count;
use super::engine::Engine;
use super::member::{Member, Panicked};
use super::options::pause;
use crate::transaction::id::{BranchId, Epoch};
use crate::transaction::participant::{
    Opening, ParticipantError, ParticipantOpenError, Reply, Report, Request,
};
use crate::transaction::two_phase::phase::Phase;

/// The pause after the first scan. The next ones are each twice as long, up to the interval: what
/// an earlier epoch has under way mostly lands soon.
const SCAN_PAUSE_FIRST: Duration = Duration::from_secs(1);

/// So many branches of earlier epochs are settled at once, so that one that hangs holds up few.
const SETTLED_AT_ONCE: usize = 16;

/// Starts a task for each participant, so that none waits for another, and one for deadlines.
pub(super) fn start(engine: &Arc<Engine>, opening: Opening) {
    for member in engine.members.values() {
        let keeper = Keeper {
            engine: Arc::clone(engine),
            member: Arc::clone(member),
            opening,
            forgotten: None,
        };
        engine.spawn(keeper.run());
    }
    engine.spawn(sweep(Arc::clone(engine)));
}

struct Keeper {
    engine: Arc<Engine>,
    member: Arc<Member>,
    opening: Opening,
    /// The watermark that the participant knows.
    forgotten: Option<(Epoch, u64)>,
}

impl Keeper {
    async fn run(mut self) {
        let closing = self.engine.keeping.clone();
        let mut failures = 0;
        let mut scan_pause = SCAN_PAUSE_FIRST;
        loop {
            let longest = self.engine.options.scan_interval;
            let looked = tokio::select! {
                // First: what is to end does not look once more.
                biased;
                () = closing.cancelled() => return,
                looked = AssertUnwindSafe(self.look()).catch_unwind() => {
                    looked.unwrap_or_else(|_| Err(ParticipantError::unknown(Panicked)))
                }
            };
            let rest = match looked {
                Ok(()) => {
                    failures = 0;
                    let rest = scan_pause.min(longest);
                    scan_pause = scan_pause.saturating_mul(2).min(longest);
                    rest
                }
                Err(error) => {
                    let participant = self.member.participant.name();
                    tracing::warn!(%participant, %error, "participant not looked after");
                    failures += 1;
                    let (coordinator, epoch) = (self.engine.coordinator, self.engine.epoch);
                    pause((coordinator, epoch, participant), failures, longest)
                }
            };
            tokio::select! {
                () = sleep(rest) => {}
                () = closing.cancelled() => return,
            }
        }
    }

    async fn look(&mut self) -> Result<(), ParticipantError> {
        if !self.member.is_open() && !self.open().await? {
            return Ok(());
        }
        self.scan().await?;
        let watermark = self.engine.state.lock().book.watermark();
        if self.forgotten != Some(watermark) {
            let to = &self.member.participant;
            to.forget(self.engine.coordinator, watermark).await?;
            self.forgotten = Some(watermark);
        }
        Ok(())
    }

    /// Tells the participant of the epoch, if that could not be done before.
    async fn open(&self) -> Result<bool, ParticipantError> {
        match self.member.participant.open(self.opening).await {
            Ok(()) => {
                self.member.opened();
                Ok(true)
            }
            Err(ParticipantOpenError::Stale(error)) => {
                tracing::error!(%error, "this log is a copy of the past");
                self.engine.condemn();
                Ok(false)
            }
            Err(ParticipantOpenError::Unfit(error)) => Err(ParticipantError::Refused(error)),
            Err(ParticipantOpenError::Unknown(error)) => Err(ParticipantError::Unknown(error)),
        }
    }

    /// Settles what earlier epochs have left behind. What cannot be settled now is found again.
    async fn scan(&self) -> Result<(), ParticipantError> {
        let (coordinator, epoch) = (self.engine.coordinator, self.engine.epoch);
        let found = self.member.participant.in_doubt(coordinator, epoch);
        let found = stream::iter(found.await?);
        let settled = found.for_each_concurrent(SETTLED_AT_ONCE, |branch| self.settle(branch));
        settled.await;
        Ok(())
    }

    async fn settle(&self, branch: BranchId) {
        let request = self.engine.state.lock().book.adopt(branch);
        let Some(request) = request else { return };
        match self.member.ask(branch, request).await {
            Ok(Reply::Report(Report::Did(did))) => {
                if request == Request::Abort {
                    count(&self.engine.counters.orphans);
                }
                tracing::info!(%branch, ?did, "a branch of an earlier epoch was settled");
            }
            Ok(reply) => tracing::debug!(%branch, ?reply, "a branch is not settled yet"),
            Err(error) => tracing::warn!(%branch, %error, "a branch is not settled yet"),
        }
    }
}

/// Aborts what its caller has left lying about for too long.
async fn sweep(engine: Arc<Engine>) {
    let limit = engine.options.work_timeout;
    let every = (limit / 8).clamp(Duration::from_millis(1), Duration::from_secs(1));
    loop {
        tokio::select! {
            () = sleep(every) => {}
            // Not `keeping`: an epoch that is superseded still has its own to abort.
            () = engine.closing.cancelled() => return,
        }
        let now = Instant::now();
        engine.expire(|transaction, run| {
            let worked = now.saturating_duration_since(run.began);
            *transaction.phase() == Phase::Working && worked >= limit
        });
    }
}
