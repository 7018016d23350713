//! What is done for branches at the other end of a queue.

use super::session::{Held, Sessions};
use super::wire::{Answer, Done};
use crate::future::BoxFuture;
use crate::transaction::id::{BranchId, Epoch};
use crate::transaction::message::server::HandlerError;
use crate::transaction::participant::{Enlist, Outcome, ParticipantError, Report, Vote};

/// Does the work that messages ask of a branch.
///
/// Implemented by functions that return a boxed future.
pub trait Work<B>: Send + Sync + 'static {
    /// Does what this request asks for by the branch's handle, and answers. Each request of a
    /// branch comes once, in order. It may be dropped at any await; the branch is then aborted.
    ///
    /// # Errors
    /// What it says is told to who asked. The branch goes on: whoever asked decides.
    fn work<'a>(
        &'a self,
        branch: &'a mut B,
        request: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, HandlerError>>;
}

impl<B, F> Work<B> for F
where
    F: for<'a> Fn(&'a mut B, &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, HandlerError>>
        + Send
        + Sync
        + 'static,
{
    fn work<'a>(
        &'a self,
        branch: &'a mut B,
        request: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, HandlerError>> {
        self(branch, request)
    }
}

pub(super) struct Serving<P: Enlist> {
    pub(super) sessions: Sessions<P::Branch>,
    pub(super) participant: P,
    pub(super) work: Box<dyn Work<P::Branch>>,
}

pub(super) fn failed(error: &ParticipantError) -> Answer {
    match error {
        ParticipantError::Refused(why) => Answer::Refused(why.to_string()),
        ParticipantError::Unknown(why) => Answer::Unknown(why.to_string()),
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
        let Some(session) = self.sessions.untouched(branch) else {
            return;
        };
        let Ok(mut held) = session.held.try_lock() else {
            return;
        };
        if session.has_ended() || !session.is_idle() {
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
