//! Branches that work for somebody at the other end of a queue.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::serve::{Serving, failed};
use super::wire::{Answer, Done};
use crate::chance::random_wide;
use crate::transaction::id::{BranchId, Epoch};
use crate::transaction::participant::{Enlist, Outcome, ParticipantError, Report, Vote};

/// For how long a branch may be asked nothing before it is aborted: longer than anybody's patience
/// with one request. Branches hold locks meanwhile.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(60);

/// Branches at a time: more than a database has connections for.
const SESSIONS_MAX: usize = 4096;

pub(super) struct Sessions<B>(Mutex<HashMap<BranchId, Arc<Session<B>>>>);

/// What serves one branch, from its beginning to its end.
pub(super) struct Session<B> {
    /// Which beginning it was of those that whoever asks tells apart.
    nonce: u128,
    /// Tells it from any other that served the branch before, in this process or another.
    id: u128,
    used: Mutex<Instant>,
    /// Whether the branch was settled: it works no more.
    has_ended: AtomicBool,
    /// One request at a time.
    held: tokio::sync::Mutex<Held<B>>,
}

struct Held<B> {
    /// None before it began, and once it was asked to prepare.
    branch: Option<B>,
    has_begun: bool,
    /// Of the last request that was begun, and what it was answered.
    number: u32,
    reply: Answer,
    /// Whether some request was begun and not ended: what it did, nobody knows.
    is_broken: bool,
    /// Its vote, where that ended it.
    read_only: bool,
}

impl<B> Default for Sessions<B> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<B> Sessions<B> {
    fn get(&self, branch: BranchId) -> Option<Arc<Session<B>>> {
        let session = self.0.lock().get(&branch).cloned()?;
        *session.used.lock() = Instant::now();
        Some(session)
    }

    /// The session of this beginning, if there is no other one and there is room.
    fn begin(&self, branch: BranchId, nonce: u128) -> Result<Arc<Session<B>>, &'static str> {
        let mut sessions = self.0.lock();
        let crowded = sessions.len() >= SESSIONS_MAX;
        match sessions.entry(branch) {
            Entry::Occupied(session) if session.get().nonce == nonce => {
                Ok(Arc::clone(session.get()))
            }
            Entry::Occupied(_) => Err("the branch works already"),
            Entry::Vacant(_) if crowded => Err("too many branches work"),
            Entry::Vacant(vacant) => Ok(Arc::clone(vacant.insert(Arc::new(Session::new(nonce))))),
        }
    }

    /// No more is done for a branch.
    pub(super) fn end(&self, branch: BranchId) {
        if let Some(session) = self.0.lock().remove(&branch) {
            session.has_ended.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn idle(&self) -> Vec<BranchId> {
        let sessions = self.0.lock();
        let idle = sessions
            .iter()
            .filter(|(_, session)| session.used.lock().elapsed() > IDLE_MAX);
        idle.map(|(branch, _)| *branch).collect()
    }
}

impl<B> Session<B> {
    fn new(nonce: u128) -> Self {
        Self {
            nonce,
            id: random_wide(),
            used: Mutex::new(Instant::now()),
            has_ended: AtomicBool::new(false),
            held: tokio::sync::Mutex::new(Held {
                branch: None,
                has_begun: false,
                number: 0,
                reply: Answer::Lost,
                is_broken: false,
                read_only: false,
            }),
        }
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Whether all that was asked for was done here, and answered.
    fn is_whole(&self, held: &Held<B>, done: Option<Done>) -> bool {
        let here = Done {
            session: self.id,
            number: held.number,
        };
        done == Some(here) && !held.is_broken
    }
}

impl<P: Enlist> Serving<P> {
    pub(super) async fn begin(&self, branch: BranchId, nonce: u128) -> Answer {
        let session = match self.sessions.begin(branch, nonce) {
            Ok(session) => session,
            Err(why) => return Answer::Refused(why.into()),
        };
        let mut held = session.held.lock().await;
        if session.has_ended() {
            return Answer::Refused("the branch is settled".into());
        }
        if !held.has_begun {
            match self.participant.work(branch).await {
                Ok(begun) => {
                    held.branch = Some(begun);
                    held.has_begun = true;
                }
                Err(error) => {
                    self.sessions.end(branch);
                    return failed(&error);
                }
            }
        }
        Answer::Began {
            session: session.id,
        }
    }

    pub(super) async fn work(&self, branch: BranchId, done: Done, payload: &[u8]) -> Answer {
        let session = self.sessions.get(branch);
        let Some(session) = session.filter(|session| session.id == done.session) else {
            return Answer::Lost;
        };
        let mut held = session.held.lock().await;
        if session.has_ended() {
            return Answer::Lost;
        }
        let Held {
            branch: Some(working),
            number,
            reply,
            is_broken,
            ..
        } = &mut *held
        else {
            return Answer::Lost;
        };
        if *number == done.number && !*is_broken {
            return reply.clone();
        }
        if number.checked_add(1) != Some(done.number) || *is_broken {
            return Answer::Lost;
        }
        *number = done.number;
        // If it is dropped half-way, it stays so.
        *is_broken = true;
        *reply = match self.work.work(working, payload).await {
            Ok(payload) => Answer::Worked(payload),
            Err(why) => Answer::Refused(why.to_string()),
        };
        *is_broken = false;
        reply.clone()
    }

    pub(super) async fn prepare(
        &self,
        branch: BranchId,
        done: Option<Done>,
    ) -> Result<Vote, ParticipantError> {
        let Some(session) = self.sessions.get(branch) else {
            return self.prepare_without(branch, done).await;
        };
        let mut held = session.held.lock().await;
        if session.has_ended() {
            return self.prepare_without(branch, done).await;
        }
        if done.is_none() {
            // Who asks knows nothing of its beginning: it is late, or was restarted since.
            return Ok(Vote::No("who asks did not begin it".into()));
        }
        if !session.is_whole(&held, done) {
            held.is_broken = true;
            return Ok(match self.participant.abort(branch).await? {
                Report::Did(Outcome::Aborted) => {
                    self.sessions.end(branch);
                    Vote::No("some of its work was lost".into())
                }
                Report::Did(Outcome::Committed)
                | Report::Prepared
                | Report::Missing
                | Report::Unknown => Vote::Unknown,
            });
        }
        if held.read_only {
            return Ok(Vote::ReadOnly);
        }
        held.branch = None;
        let vote = self.participant.prepare(branch).await?;
        match vote {
            // Kept for repeats, until it is idle.
            Vote::ReadOnly => held.read_only = true,
            Vote::Prepared | Vote::No(_) => self.sessions.end(branch),
            Vote::Unknown => {}
        }
        Ok(vote)
    }

    /// Of a branch whose work is not here. It may be prepared already; if it is not, then what
    /// works under its id is not what was asked for.
    async fn prepare_without(
        &self,
        branch: BranchId,
        done: Option<Done>,
    ) -> Result<Vote, ParticipantError> {
        if done.is_some() && !self.is_prepared(branch).await? {
            return Ok(Vote::No("its work was lost, or it is settled".into()));
        }
        self.participant.prepare(branch).await
    }

    /// Where it cannot be said without ending a branch that works, it is ended: it is lost.
    async fn is_prepared(&self, branch: BranchId) -> Result<bool, ParticipantError> {
        let id = branch.transaction();
        let next = id.epoch().as_u64().checked_add(1).and_then(Epoch::new);
        if let Some(next) = next.filter(|_| self.participant.lists()) {
            let prepared = self.participant.in_doubt(id.coordinator(), next).await?;
            return Ok(prepared.contains(&branch));
        }
        Ok(self.participant.settle(branch).await? == Report::Prepared)
    }

    pub(super) async fn commit_one_phase(
        &self,
        branch: BranchId,
        done: Option<Done>,
    ) -> Result<Report, ParticipantError> {
        let Some(session) = self.sessions.get(branch) else {
            return self.commit_without(branch, done).await;
        };
        let mut held = session.held.lock().await;
        if session.has_ended() {
            return self.commit_without(branch, done).await;
        }
        if done.is_none() {
            return Ok(Report::Missing);
        }
        let report = if session.is_whole(&held, done) {
            held.branch = None;
            self.participant.commit_one_phase(branch).await?
        } else {
            held.is_broken = true;
            self.participant.abort(branch).await?
        };
        if matches!(report, Report::Did(_)) {
            self.sessions.end(branch);
        }
        Ok(report)
    }

    async fn commit_without(
        &self,
        branch: BranchId,
        done: Option<Done>,
    ) -> Result<Report, ParticipantError> {
        match done {
            // It says what became of the branch, and commits none that works.
            Some(_) => self.participant.commit(branch).await,
            None => self.participant.commit_one_phase(branch).await,
        }
    }

    /// Aborts a branch that nobody asks anything of, unless it is prepared.
    pub(super) async fn give_up(&self, branch: BranchId) {
        let Some(session) = self.sessions.0.lock().get(&branch).cloned() else {
            return;
        };
        let Ok(mut held) = session.held.try_lock() else {
            return;
        };
        if session.has_ended() || session.used.lock().elapsed() <= IDLE_MAX {
            return;
        }
        if held.read_only {
            self.sessions.end(branch);
            return;
        }
        held.is_broken = true;
        held.branch = None;
        // It says so of one that is prepared, and ends any other.
        let settled = self.participant.settle(branch).await;
        if settled.is_ok_and(|report| report != Report::Unknown) {
            self.sessions.end(branch);
        }
    }
}
