//! Performs what is to be done for one transaction, until it is over.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use futures_util::stream::{FuturesUnordered, Stream, StreamExt};
use tokio::time::{Instant, sleep, sleep_until};

use super::engine::Engine;
use super::options::pause;
use super::run::Run;
use crate::transaction::id::BranchId;
use crate::transaction::participant::{ParticipantError, Reply, Report, Request, Vote};
use crate::transaction::two_phase::branch::ParkReason;
use crate::transaction::two_phase::event::{Action, Answer, Event};
use crate::transaction::two_phase::phase::Phase;
use crate::transaction::two_phase::record::{Record, RecordKind};

/// Something that takes time.
enum Job {
    Ask { branch: u16, request: Request },
    Pause { branch: u16, failures: u32 },
    Append(Vec<Record>),
}

/// What came of it.
enum Done {
    Event(Event),
    /// The fates of records, in the order in which they were appended.
    Appended(Vec<Event>),
}

/// What the driver waited for.
enum Next {
    Done(Done),
    Deadline,
    Left(Vec<Action>),
    Closing,
}

/// What is under way for one transaction.
#[derive(Default)]
struct Hands {
    /// To be appended once the append before has come back: records go one after the other.
    queue: Vec<Record>,
    appending: bool,
    /// How often each branch has failed to answer in a row.
    failures: BTreeMap<u16, u32>,
    deadline: Option<Instant>,
    /// Whether it has passed.
    expired: bool,
    over: bool,
}

/// Performs these actions and all that follow from them.
pub(super) async fn drive(engine: Arc<Engine>, run: Arc<Run>, first: Vec<Action>) {
    let mut jobs = FuturesUnordered::new();
    let mut hands = Hands::default();
    let mut actions = first;
    loop {
        for job in hands.take(&engine, &run, actions) {
            jobs.push(perform(&engine, &run, job));
        }
        if hands.over {
            engine.forget(&run);
            // A caller who has yet to ask finds nobody at the wheel.
            match run.let_go() {
                Some(left) => {
                    actions = left;
                    continue;
                }
                None => return,
            }
        }
        let events = match hands.next(&engine, &run, &mut jobs).await {
            Next::Left(left) => {
                actions = left;
                continue;
            }
            Next::Closing => return close(&engine, &run),
            Next::Deadline => vec![Event::Deadline],
            Next::Done(Done::Event(event)) => vec![event],
            Next::Done(Done::Appended(fates)) => {
                hands.appending = false;
                fates
            }
        };
        actions = Vec::new();
        let failed = events.iter().any(|event| matches!(event, Event::Failed(_)));
        for event in events {
            hands.set_deadline(&event);
            actions.extend(engine.step(run.id, event));
        }
        if failed && engine.phase(run.id) == Some(Phase::InDoubt) {
            // The log says what becomes of it, to whoever opens it next.
            hands.take(&engine, &run, actions);
            return;
        }
    }
}

impl Hands {
    /// Does at once what can be done at once; the rest are jobs.
    fn take(&mut self, engine: &Engine, run: &Run, actions: Vec<Action>) -> Vec<Job> {
        let mut jobs = Vec::new();
        for action in actions {
            match action {
                Action::Send { branch, request } => jobs.push(Job::Ask { branch, request }),
                Action::BackOff { branch } => {
                    let failures = self.failures.entry(branch).or_default();
                    jobs.push(Job::Pause {
                        branch,
                        failures: *failures,
                    });
                    *failures = failures.saturating_add(1);
                }
                Action::Append(record) => self.queue.push(record),
                Action::Parked { branch, reason } => engine.tell_parked(run, branch, reason),
                Action::Answer(answer) => engine.answer(run, answer),
                Action::Forget => self.over = true,
                // Whoever asked has seen these.
                Action::Work { .. } | Action::Refuse(_) => {}
            }
        }
        if !self.appending && !self.queue.is_empty() {
            self.appending = true;
            jobs.push(Job::Append(std::mem::take(&mut self.queue)));
        }
        jobs
    }

    async fn next<J>(&mut self, engine: &Engine, run: &Run, jobs: &mut J) -> Next
    where
        J: Stream<Item = Done> + Unpin,
    {
        // What is there already costs no timer.
        let ready = poll_fn(|context| match jobs.poll_next_unpin(context) {
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => Poll::Ready(None),
        });
        if let Some(done) = ready.await {
            return Next::Done(done);
        }
        let awaited = run.is_awaited() && !self.expired;
        if self.deadline.is_none() && awaited {
            self.deadline = Some(Instant::now() + engine.patience(run.id));
        }
        let deadline = async {
            match self.deadline {
                Some(deadline) if awaited => sleep_until(deadline).await,
                Some(_) | None => std::future::pending().await,
            }
        };
        let job = poll_fn(|context| match jobs.poll_next_unpin(context) {
            Poll::Ready(Some(done)) => Poll::Ready(done),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        });
        tokio::select! {
            biased;
            done = job => Next::Done(done),
            () = deadline => Next::Deadline,
            left = run.left() => Next::Left(left),
            () = engine.closing.cancelled() => Next::Closing,
        }
    }

    /// Each phase has a time of its own; a decision to commit begins the last one.
    fn set_deadline(&mut self, event: &Event) {
        if let Event::Durable(Record::Committed { .. }) = event {
            self.deadline = None;
            self.expired = false;
        }
        self.expired |= *event == Event::Deadline;
    }
}

/// The coordinator ends. Whoever waits learns what is known; a successor does the rest.
fn close(engine: &Engine, run: &Run) {
    for action in engine.step(run.id, Event::Deadline) {
        if let Action::Answer(answer) = action {
            engine.answer(run, answer);
        }
    }
    if run.is_awaited() {
        engine.answer(run, Answer::Unknown);
    }
}

async fn perform(engine: &Engine, run: &Run, job: Job) -> Done {
    match job {
        Job::Ask { branch, request } => Done::Event(ask(run, branch, request).await),
        Job::Pause { branch, failures } => {
            let of = BranchId::new(run.id, branch);
            sleep(pause(of, failures, engine.options.retry_pause_max)).await;
            Done::Event(Event::Retry { branch })
        }
        Job::Append(records) => Done::Appended(append(engine, run, records).await),
    }
}

async fn ask(run: &Run, branch: u16, request: Request) -> Event {
    let Some(member) = run.member(branch) else {
        let reason = ParkReason::Unregistered;
        return Event::Park { branch, reason };
    };
    match member.ask(BranchId::new(run.id, branch), request).await {
        Ok(Reply::Vote(vote)) => Event::Voted { branch, vote },
        Ok(Reply::Report(report)) => Event::Reported { branch, report },
        Err(error) => {
            tracing::debug!(transaction = %run.id, branch, ?request, %error, "no answer");
            let refused = matches!(error, ParticipantError::Refused(_));
            run.note(branch, Some(Arc::new(error)));
            match request {
                Request::Prepare => Event::Voted {
                    branch,
                    vote: Vote::Unknown,
                },
                Request::CommitOnePhase | Request::Commit | Request::Abort | Request::Settle
                    if refused =>
                {
                    let reason = ParkReason::Refused;
                    Event::Park { branch, reason }
                }
                Request::CommitOnePhase | Request::Commit | Request::Abort | Request::Settle => {
                    let report = Report::Unknown;
                    Event::Reported { branch, report }
                }
            }
        }
    }
}

/// Appends records, and tells the fate of each.
async fn append(engine: &Engine, run: &Run, records: Vec<Record>) -> Vec<Event> {
    let _turn = run.append_turn().await;
    let kinds: Vec<RecordKind> = records.iter().map(Record::kind).collect();
    let mut failures = 0;
    loop {
        match engine.append(run, &records).await {
            Ok(()) => return records.into_iter().map(Event::Durable).collect(),
            // Whatever was recovered has no space set aside. There will be room again.
            Err(true) if engine.serves() && kinds.iter().all(|kind| can_wait(*kind)) => {
                sleep(pause(run.id, failures, engine.options.retry_pause_max)).await;
                failures = failures.saturating_add(1);
            }
            Err(true) => return kinds.into_iter().map(Event::NotWritten).collect(),
            Err(false) => return kinds.into_iter().map(Event::Failed).collect(),
        }
    }
}

/// Whether nothing but the end of the transaction waits for a record of this kind.
fn can_wait(kind: RecordKind) -> bool {
    match kind {
        RecordKind::Aborted | RecordKind::Heuristic(_) | RecordKind::Ended => true,
        RecordKind::Enlisted(_) | RecordKind::Committed | RecordKind::Resolved(_) => false,
    }
}
