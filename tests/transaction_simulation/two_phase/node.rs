//! A participant at its end of the network: what lands there, and what that shows.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tripod::transaction::participant::{
    Enlist, MemoryParticipant, Opening, Outcome, Participant, ParticipantError,
    ParticipantOpenError, Reply, Report, Request, Vote,
};
use tripod::transaction::{BranchId, CoordinatorId, Epoch, ParticipantName};

use super::call::{Call, Said};
use super::deals::Forced;
use super::flaw::Flaw;
use super::world::World;
use crate::chronicle::ms;
use crate::counts::Count;
use crate::machine::COORDINATOR;
use crate::network::LATEST;

/// What every participant holds at first under [`POT`].
pub const POT_FIRST: i64 = 100;

/// What transactions take from and put into.
pub const POT: &str = "pot";

#[derive(Debug)]
pub struct Node {
    pub index: usize,
    pub store: MemoryParticipant,
    pub lists: bool,
    seen: Mutex<Seen>,
}

/// What has landed.
#[derive(Debug, Default)]
struct Seen {
    opened: u64,
    scanned: u64,
    watermark: Option<(Epoch, u64)>,
    unreachable: Option<Instant>,
    forbidden: Option<Instant>,
    /// Branches that are being prepared: listed and settled from then on.
    hidden: BTreeMap<BranchId, Instant>,
    branches: BTreeMap<BranchId, Track>,
}

#[derive(Debug, Default)]
struct Track {
    prepared: bool,
    did: Option<Outcome>,
    /// Whether a tombstone was put where there was nothing.
    excluded: bool,
    /// Whether a one-phase commit was done and nobody heard of it.
    unheard: bool,
    /// The latest epoch that gave an order.
    ordered_by: u64,
}

impl Node {
    pub fn new(index: usize, name: &str, lists: bool) -> Self {
        let store = MemoryParticipant::with(name, [(POT, POT_FIRST)]).unwrap();
        Self {
            index,
            store: store.lock_wait(ms(30)),
            lists,
            seen: Mutex::default(),
        }
    }

    pub fn name(&self) -> &ParticipantName {
        self.store.name()
    }

    pub fn is_reachable(&self) -> bool {
        let until = self.seen.lock().unreachable;
        until.is_none_or(|until| until <= Instant::now())
    }

    pub fn cut(&self, world: &World, spell: Duration) {
        world.count(Count::Unreachable);
        self.seen.lock().unreachable = Some(Instant::now() + spell);
    }

    pub fn reach(&self) {
        self.seen.lock().unreachable = None;
    }

    /// Takes away the right to finish branches, for a while.
    pub fn forbid(&self, world: &World, spell: Duration) {
        world.count(Count::Forbidden);
        self.seen.lock().forbidden = Some(Instant::now() + spell);
    }

    pub fn allow(&self) {
        self.seen.lock().forbidden = None;
    }

    fn is_forbidden(&self) -> bool {
        let until = self.seen.lock().forbidden;
        until.is_some_and(|until| until > Instant::now())
    }

    /// Somebody ends a prepared branch by hand, if there is one. Says whether there was.
    pub async fn force(&self, world: &World, did: Outcome) -> bool {
        let coordinator = CoordinatorId::from_u128(COORDINATOR);
        let last = Epoch::new(u64::MAX).unwrap();
        let found = self.store.in_doubt(coordinator, last).await.unwrap();
        let watermark = self.seen.lock().watermark;
        let over = |branch: &BranchId| {
            let id = branch.transaction();
            watermark.is_some_and(|mark| (id.epoch(), id.sequence()) < mark)
        };
        // What is over leaves no row that anybody would drop.
        let mut left = found.into_iter().filter(|branch| !over(branch));
        let Some(branch) = left.find(|branch| self.hidden(*branch).is_none()) else {
            return false;
        };
        let report = match did {
            Outcome::Committed => self.store.commit(branch).await,
            Outcome::Aborted => self.store.abort(branch).await,
        };
        assert_eq!(report.unwrap(), Report::Did(did));
        world.count(Count::Forced);
        world.say(|| format!("{branch} at {} by hand: {did:?}", self.index));
        let forced = Forced { branch, did };
        world.deals.lock().force(self.index, forced);
        true
    }

    /// Loses what is not prepared.
    pub fn crash(&self, world: &World) {
        world.count(Count::ParticipantCrash);
        let seen = self.seen.lock();
        let waits = |track: &Track| track.prepared && track.did.is_none();
        if seen.branches.values().any(waits) {
            world.count(Count::CrashWhilePrepared);
        }
        drop(seen);
        world.say(|| format!("node {} crashes", self.index));
        self.store.crash();
    }

    /// Whether nobody was told of a one-phase commit.
    pub fn unheard(&self, branch: BranchId) {
        self.seen.lock().branches.entry(branch).or_default().unheard = true;
    }

    /// Every branch that was ever asked about.
    pub fn branches(&self) -> Vec<BranchId> {
        self.seen.lock().branches.keys().copied().collect()
    }

    /// Does what a request asks for. `from` is the epoch of who sent it.
    pub async fn land(&self, world: &World, from: u64, call: Call) -> Said {
        let said = match call {
            Call::Open(opening) => Said::Opened(self.open(world, opening).await),
            Call::Work(branch) => {
                let works = self.store.work(branch).await;
                if self.excludes(branch) && works.is_err() {
                    world.count(Count::WorkExcluded);
                }
                Said::Works(works)
            }
            Call::Ask(branch, request) => {
                while let Some(until) = self.hidden(branch) {
                    sleep_until(until).await;
                }
                let reply = self.ask(world, branch, request).await;
                if matches!(reply, Ok(Reply::Vote(Vote::Prepared)))
                    && world.chance(world.weather().late)
                {
                    self.take_time(world, branch).await;
                }
                if let Ok(reply) = &reply {
                    self.watch(world, from, branch, request, reply);
                }
                Said::Replied(reply)
            }
            Call::InDoubt(coordinator, before) => {
                self.scanned(before);
                if !self.lists || world.has(Flaw::ListsNothing) {
                    Said::Found(Vec::new())
                } else {
                    let mut found = self.store.in_doubt(coordinator, before).await.unwrap();
                    found.retain(|branch| self.hidden(*branch).is_none());
                    Said::Found(found)
                }
            }
            Call::Forget(coordinator, watermark) => {
                self.told(watermark);
                let mark = if world.has(Flaw::ForgetsEarly) {
                    (watermark.0, u64::MAX)
                } else {
                    watermark
                };
                self.store.forget(coordinator, mark).await.unwrap();
                Said::Forgotten
            }
        };
        world.say(|| format!("node {} {call:?} of epoch {from}: {said:?}", self.index));
        said
    }

    /// Until when nobody sees that a branch is prepared.
    fn hidden(&self, branch: BranchId) -> Option<Instant> {
        let seen = self.seen.lock();
        let until = seen.hidden.get(&branch).copied();
        until.filter(|until| *until > Instant::now())
    }

    /// Takes its time to prepare a branch: a scan may pass meanwhile.
    async fn take_time(&self, world: &World, branch: BranchId) {
        let until = Instant::now() + ms(world.within(20, LATEST));
        let epoch = branch.transaction().epoch().as_u64();
        let before = {
            let mut seen = self.seen.lock();
            seen.hidden.insert(branch, until);
            seen.scanned
        };
        sleep_until(until).await;
        let mut seen = self.seen.lock();
        seen.hidden.remove(&branch);
        if before <= epoch && epoch < seen.scanned {
            world.count(Count::LatePrepare);
        }
    }

    fn excludes(&self, branch: BranchId) -> bool {
        self.seen
            .lock()
            .branches
            .entry(branch)
            .or_default()
            .excluded
    }

    fn scanned(&self, before: Epoch) {
        let mut seen = self.seen.lock();
        seen.scanned = seen.scanned.max(before.as_u64());
    }

    fn told(&self, watermark: (Epoch, u64)) {
        let mut seen = self.seen.lock();
        seen.watermark = seen.watermark.max(Some(watermark));
    }

    async fn open(&self, world: &World, opening: Opening) -> Result<(), ParticipantOpenError> {
        let opened = self.store.open(opening).await;
        if opened.is_ok() {
            let mut seen = self.seen.lock();
            seen.opened = seen.opened.max(opening.epoch().as_u64());
        } else if world.has(Flaw::EpochsComeAgain) {
            return Ok(());
        }
        opened
    }

    async fn ask(
        &self,
        world: &World,
        branch: BranchId,
        request: Request,
    ) -> Result<Reply, ParticipantError> {
        let (prepared, settled) = {
            let seen = self.seen.lock();
            let track = seen.branches.get(&branch);
            let prepared = track.is_some_and(|track| track.prepared);
            (prepared, track.is_some_and(|track| track.did.is_some()))
        };
        if matches!(request, Request::Commit | Request::Abort) && self.is_forbidden() {
            return Err(ParticipantError::refused("a right is missing"));
        }
        let to = &self.store;
        let reply = match request {
            Request::Prepare if !prepared && world.chance(world.weather().refuses) => {
                to.abort(branch).await?;
                Reply::Vote(Vote::No("it ended by itself".into()))
            }
            Request::Prepare if world.has(Flaw::VotesBeforePrepared) && !prepared => {
                Reply::Vote(Vote::Prepared)
            }
            Request::Prepare => {
                let vote = to.prepare(branch).await?;
                if world.has(Flaw::ReadOnlyThoughWritten)
                    && vote == Vote::Prepared
                    && world.chance(250)
                {
                    to.abort(branch).await?;
                    return Ok(Reply::Vote(Vote::ReadOnly));
                }
                Reply::Vote(vote)
            }
            Request::Commit if world.has(Flaw::CommitsNothing) && world.chance(200) => {
                Reply::Report(Report::Did(Outcome::Committed))
            }
            Request::Commit => {
                if world.has(Flaw::VotesBeforePrepared) {
                    to.prepare(branch).await?;
                }
                let report = to.commit(branch).await?;
                let aborted = report == Report::Did(Outcome::Aborted);
                Reply::Report(if aborted && world.has(Flaw::HidesWhatItDid) {
                    Report::Did(Outcome::Committed)
                } else {
                    report
                })
            }
            Request::CommitOnePhase => Reply::Report(to.commit_one_phase(branch).await?),
            Request::Abort => Reply::Report(to.abort(branch).await?),
            Request::Settle if world.has(Flaw::NoTombstone) && !prepared && !settled => {
                Reply::Report(Report::Did(Outcome::Aborted))
            }
            Request::Settle if world.has(Flaw::NotFoundIsDone) && !prepared && !settled => {
                Reply::Report(Report::Did(Outcome::Committed))
            }
            Request::Settle => Reply::Report(to.settle(branch).await?),
        };
        if world.has(Flaw::NotFoundIsDone) && reply == Reply::Report(Report::Missing) {
            return Ok(Reply::Report(Report::Did(Outcome::Committed)));
        }
        Ok(reply)
    }

    /// Counts what is worth it, and sees that no branch does both.
    fn watch(&self, world: &World, from: u64, branch: BranchId, request: Request, reply: &Reply) {
        let mut seen = self.seen.lock();
        let id = branch.transaction();
        let below = seen
            .watermark
            .is_some_and(|mark| (id.epoch(), id.sequence()) < mark);
        let opened = seen.opened;
        let track = seen.branches.entry(branch).or_default();
        let new = track.did.is_none();
        match (request, reply) {
            (Request::Prepare, Reply::Vote(Vote::Prepared)) => {
                track.prepared = true;
            }
            (Request::Prepare, _) | (Request::CommitOnePhase, Reply::Report(Report::Did(_)))
                if track.excluded =>
            {
                world.count(Count::WriterExcluded);
            }
            (Request::CommitOnePhase, Reply::Report(Report::Did(Outcome::Aborted)))
                if new && id.epoch().as_u64() < opened =>
            {
                world.count(Count::OnePhaseFenced);
            }
            (Request::Settle, Reply::Report(Report::Did(Outcome::Committed))) if track.unheard => {
                track.unheard = false;
                world.count(Count::OnePhaseProved);
            }
            (Request::Commit, Reply::Report(_)) if below => world.count(Count::LateCommit),
            (Request::Commit | Request::Abort, Reply::Report(Report::Did(_)))
                if new && from > id.epoch().as_u64() =>
            {
                world.count(if self.lists {
                    Count::RecoveredCommit
                } else {
                    Count::BlindRecovered
                });
            }
            _ => {}
        }
        if matches!(request, Request::Commit | Request::Abort) {
            if from < track.ordered_by {
                world.count(Count::LateOrder);
            }
            track.ordered_by = track.ordered_by.max(from);
        }
        let Reply::Report(Report::Did(did)) = reply else {
            return;
        };
        if new && *did == Outcome::Aborted && !track.prepared {
            track.excluded = true;
        }
        // Below the watermark a participant only guesses what it was told.
        if !below && track.did.is_some_and(|before| before != *did) {
            let before = track.did;
            world.wrong(format!(
                "branch {branch} at {}: {before:?}, then {did:?}",
                self.index
            ));
        }
        if new {
            track.did = Some(*did);
        }
    }
}
