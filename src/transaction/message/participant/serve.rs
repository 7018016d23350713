//! The other side: a participant of this process, served at a queue.

use std::sync::Arc;

use super::serving::{Serving, Work, failed};
use super::session::{IDLE_MAX, Sessions};
use super::wire::{Answer, Ask, LISTED_MAX};
use crate::future::BoxFuture;
use crate::transaction::id::BranchId;
use crate::transaction::message::envelope::Message;
use crate::transaction::message::queue::QueueName;
use crate::transaction::message::server::{Handler, HandlerError, Server, ServerOptions};
use crate::transaction::message::transport::Transport;
use crate::transaction::participant::{
    Enlist, Opening, ParticipantError, ParticipantOpenError, Report, Vote,
};

/// Serves a participant at a queue, to [`QueueParticipant`](super::QueueParticipant)s elsewhere.
/// `work` does what their branches ask for.
///
/// One server at a time serves a queue: the handles of branches that work are in its memory.
/// Prepared ones are the participant's, so a server that comes after it picks them up where they
/// were; those that only worked then vote no. A branch that nobody asks anything of for a minute,
/// and that is not prepared, is aborted.
///
/// # Panics
/// Outside of a runtime of `tokio`.
pub fn serve_participant<P: Enlist>(
    transport: impl Transport,
    queue: QueueName,
    participant: P,
    work: impl Work<P::Branch>,
    options: ServerOptions,
) -> Server {
    let serving = Arc::new(Serving {
        sessions: Sessions::default(),
        participant,
        work: Box::new(work),
    });
    let sweeper = tokio::spawn(sweep(Arc::clone(&serving))).abort_handle();
    let handler = Swept {
        serving,
        _sweeper: Sweeper(sweeper),
    };
    Server::start(transport, queue, handler, options)
}

/// Together with the task that ends what is idle.
struct Swept<P: Enlist> {
    serving: Arc<Serving<P>>,
    _sweeper: Sweeper,
}

struct Sweeper(tokio::task::AbortHandle);

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<P: Enlist> Handler for Swept<P> {
    fn handle<'a>(&'a self, request: &'a Message) -> BoxFuture<'a, Result<Vec<u8>, HandlerError>> {
        Box::pin(async move {
            let not = "it was not understood";
            let answer = match Ask::decoded(request.payload()) {
                Some(ask) => self.serving.answer(ask).await,
                None => Answer::Refused(not.into()),
            };
            Ok(answer.encoded())
        })
    }
}

impl<P: Enlist> Serving<P> {
    async fn answer(&self, ask: Ask) -> Answer {
        match ask {
            Ask::Open(opening) => self.open(opening).await,
            Ask::Begin { branch, nonce } => self.begin(branch, nonce).await,
            Ask::Work {
                branch,
                done,
                payload,
            } => self.work(branch, done, &payload).await,
            Ask::Prepare(branch, done) => voted(self.prepare(branch, done).await),
            Ask::CommitOnePhase(branch, done) => {
                reported(self.commit_one_phase(branch, done).await)
            }
            Ask::Commit(branch) => self.settled(branch, self.participant.commit(branch).await),
            Ask::Abort(branch) => self.settled(branch, self.participant.abort(branch).await),
            Ask::Settle(branch) => self.settled(branch, self.participant.settle(branch).await),
            Ask::InDoubt(coordinator, before) => {
                match self.participant.in_doubt(coordinator, before).await {
                    Ok(mut branches) => {
                        branches.truncate(LISTED_MAX);
                        Answer::Listed(branches)
                    }
                    Err(error) => failed(&error),
                }
            }
            Ask::Forget(coordinator, watermark) => {
                match self.participant.forget(coordinator, watermark).await {
                    Ok(()) => Answer::Forgotten,
                    Err(error) => failed(&error),
                }
            }
        }
    }

    async fn open(&self, opening: Opening) -> Answer {
        match self.participant.open(opening).await {
            Ok(()) => Answer::Opened(self.participant.persistence()),
            Err(ParticipantOpenError::Stale(stale)) => Answer::Stale(stale),
            Err(ParticipantOpenError::Unfit(why)) => Answer::Unfit(why.to_string()),
            Err(ParticipantOpenError::Unknown(why)) => Answer::Unknown(why.to_string()),
        }
    }

    /// A branch that has done either works no more.
    fn settled(&self, branch: BranchId, report: Result<Report, ParticipantError>) -> Answer {
        if matches!(report, Ok(Report::Did(_))) {
            self.sessions.end(branch);
        }
        reported(report)
    }
}

fn voted(vote: Result<Vote, ParticipantError>) -> Answer {
    match vote {
        Ok(vote) => Answer::Vote(vote),
        Err(error) => failed(&error),
    }
}

fn reported(report: Result<Report, ParticipantError>) -> Answer {
    match report {
        Ok(report) => Answer::Report(report),
        Err(error) => failed(&error),
    }
}

/// Aborts what began and was left: a beginning that came late begins what nobody will end.
async fn sweep<P: Enlist>(serving: Arc<Serving<P>>) {
    loop {
        tokio::time::sleep(IDLE_MAX / 4).await;
        for branch in serving.sessions.idle() {
            serving.give_up(branch).await;
        }
    }
}
