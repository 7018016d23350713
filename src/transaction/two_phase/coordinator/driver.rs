//! Performs what is to be done for one transaction, until it is over.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{Instant, sleep, sleep_until};
use tracing::Instrument;

use super::engine::Engine;
use super::options::pause;
use super::run::Run;
use crate::future::BoxFuture;
use crate::transaction::id::BranchId;
use crate::transaction::jobs::Jobs;
use crate::transaction::participant::{Outcome, ParticipantError, Reply, Report, Request, Vote};
use crate::transaction::two_phase::branch::ParkReason;
use crate::transaction::two_phase::event::{Action, Answer, Event, and_then};
use crate::transaction::two_phase::phase::Phase;
use crate::transaction::two_phase::record::{Record, RecordKind};

impl Engine {
    /// What performs these actions, and what follows from them.
    pub(super) fn driver(
        self: &Arc<Self>,
        run: &Arc<Run>,
        actions: Vec<Action>,
    ) -> BoxFuture<'static, ()> {
        let span = tracing::debug_span!("transaction", id = %run.id);
        let driver = drive(Arc::clone(self), Arc::clone(run), actions);
        if span.is_disabled() {
            return Box::pin(driver);
        }
        Box::pin(driver.instrument(span))
    }
}

/// Something that takes time.
enum Job {
    Ask {
        branch: u16,
        request: Request,
    },
    Pause {
        branch: u16,
        failures: u32,
        number: u64,
    },
    Append(Vec<Record>),
}

/// What came of it.
enum Done {
    Event(Event),
    /// The pause of this number is over.
    Rested {
        branch: u16,
        number: u64,
    },
    /// The fates of records, in the order in which they were appended.
    Appended(Vec<Event>),
}

/// What the driver waited for.
enum Next {
    Done(Done),
    Deadline,
    Left,
    Closing,
}

/// How far one transaction is.
#[derive(Default)]
struct Hands {
    /// To be appended once the append before has come back: records go one after the other.
    queue: Vec<Record>,
    appending: bool,
    /// How often each branch has failed to answer in a row.
    failures: BTreeMap<u16, u32>,
    /// The pause that counts, for each branch that rests: one that was asked again meanwhile has
    /// no other to come.
    pauses: BTreeMap<u16, u64>,
    pauses_begun: u64,
    deadline: Option<Instant>,
    /// Whether it has passed, or there is none.
    expired: bool,
    /// What became of it, as far as it is known.
    outcome: Option<Outcome>,
    over: bool,
}

/// Performs these actions and all that follow from them.
pub(super) async fn drive(engine: Arc<Engine>, run: Arc<Run>, first: Vec<Action>) {
    // Whoever comes next finds the wheel free, however this ends.
    let wheel = Wheel(&run);
    let mut jobs = Jobs::new();
    let mut hands = Hands::default();
    let mut actions = first;
    loop {
        hands.take(&engine, &run, actions, |job| {
            jobs.start(perform(&engine, &run, job));
        });
        if hands.over || jobs.is_empty() && engine.is_over(run.id) {
            engine.forget(&run, hands.outcome);
            drop(wheel);
            return;
        }
        let mut doubts = false;
        actions = match hands.next(&engine, &run, &mut jobs).await {
            Next::Left => run.inbox(),
            Next::Closing => return close(&engine, &run),
            Next::Deadline => hands.hear(&engine, &run, Event::Deadline),
            Next::Done(Done::Event(event)) => hands.hear(&engine, &run, event),
            Next::Done(Done::Rested { branch, number }) => match hands.rested(branch, number) {
                Some(event) => hands.hear(&engine, &run, event),
                None => Vec::new(),
            },
            Next::Done(Done::Appended(fates)) => {
                hands.appending = false;
                doubts = fates.iter().any(|fate| matches!(fate, Event::Failed(_)));
                fates.into_iter().fold(Vec::new(), |actions, fate| {
                    and_then(actions, hands.hear(&engine, &run, fate))
                })
            }
        };
        if doubts && engine.phase(run.id) == Some(Phase::InDoubt) {
            // The log says what becomes of it, to whoever opens it next.
            hands.take(&engine, &run, actions, |_| {});
            return;
        }
    }
}

/// Is given back on every way out.
struct Wheel<'a>(&'a Run);

impl Drop for Wheel<'_> {
    fn drop(&mut self) {
        // What was left meanwhile asks for nothing but answers: it is over, or somebody else's.
        while let Some(left) = self.0.let_go() {
            for action in left {
                if let Action::Answer(answer) = action {
                    self.0.answer(answer);
                }
            }
        }
    }
}

impl Hands {
    /// Does at once what can be done at once; the rest are jobs.
    fn take(
        &mut self,
        engine: &Engine,
        run: &Run,
        actions: Vec<Action>,
        mut start: impl FnMut(Job),
    ) {
        for action in actions {
            match action {
                Action::Send { branch, request } => {
                    self.pauses.remove(&branch);
                    self.learn(request);
                    start(Job::Ask { branch, request });
                }
                Action::BackOff { branch } => start(self.rest(branch)),
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
            start(Job::Append(std::mem::take(&mut self.queue)));
        }
    }

    fn learn(&mut self, request: Request) {
        match request {
            Request::Commit => self.outcome = Some(Outcome::Committed),
            Request::Abort => self.outcome = Some(Outcome::Aborted),
            Request::Prepare | Request::CommitOnePhase | Request::Settle => {}
        }
    }

    fn rest(&mut self, branch: u16) -> Job {
        let failures = self.failures.entry(branch).or_default();
        let job = Job::Pause {
            branch,
            failures: *failures,
            number: self.pauses_begun,
        };
        *failures = failures.saturating_add(1);
        self.pauses.insert(branch, self.pauses_begun);
        self.pauses_begun += 1;
        job
    }

    fn rested(&mut self, branch: u16, number: u64) -> Option<Event> {
        if self.pauses.get(&branch) != Some(&number) {
            return None;
        }
        self.pauses.remove(&branch);
        Some(Event::Retry { branch })
    }

    fn hear(&mut self, engine: &Engine, run: &Run, event: Event) -> Vec<Action> {
        self.note(engine, run, &event);
        engine.step_driven(run, event)
    }

    fn note(&mut self, engine: &Engine, run: &Run, event: &Event) {
        match event {
            // Each phase has a time of its own; a decision to commit begins the last one.
            Event::Durable(Record::Committed { .. }) => {
                self.deadline = None;
                self.expired = false;
                self.outcome = Some(Outcome::Committed);
            }
            Event::Durable(Record::Resolved(deed)) => run.resolved(deed.branch, true),
            Event::NotWritten(RecordKind::Resolved(branch))
            | Event::Failed(RecordKind::Resolved(branch)) => run.resolved(*branch, false),
            Event::Deadline => self.expired = true,
            Event::Park { branch, reason } => engine.tell_parked(run, *branch, *reason),
            Event::Reported { report, .. } => {
                if let (Report::Did(did), None) = (report, self.outcome) {
                    self.outcome = Some(*did);
                }
            }
            Event::Enlist { .. }
            | Event::Commit
            | Event::Rollback
            | Event::Dropped
            | Event::Voted { .. }
            | Event::Retry { .. }
            | Event::Resolve(_)
            | Event::Durable(_)
            | Event::NotWritten(_)
            | Event::Failed(_)
            | Event::Recover => {}
        }
    }

    async fn next(&mut self, engine: &Engine, run: &Run, jobs: &mut Jobs<'_, Done>) -> Next {
        // What is there already costs no timer.
        if let Some(done) = jobs.done() {
            return Next::Done(done);
        }
        if self.deadline.is_none() && !self.expired && run.is_awaited() {
            // None is later than the clock reaches.
            self.deadline = Instant::now().checked_add(engine.patience(run.id));
            self.expired = self.deadline.is_none();
        }
        let awaited = run.is_awaited() && !self.expired;
        let deadline = async {
            match self.deadline {
                Some(deadline) if awaited => sleep_until(deadline).await,
                Some(_) | None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(done) = jobs.next() => Next::Done(done),
            () = deadline => Next::Deadline,
            () = run.left() => Next::Left,
            () = engine.closing.cancelled() => Next::Closing,
        }
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

fn perform<'a>(engine: &'a Engine, run: &'a Run, job: Job) -> BoxFuture<'a, Done> {
    match job {
        Job::Ask { branch, request } => {
            Box::pin(async move { Done::Event(ask(run, branch, request).await) })
        }
        Job::Pause {
            branch,
            failures,
            number,
        } => Box::pin(async move {
            let of = BranchId::new(run.id, branch);
            sleep(pause(of, failures, engine.options.retry_pause_max)).await;
            Done::Rested { branch, number }
        }),
        Job::Append(records) => {
            Box::pin(async move { Done::Appended(append(engine, run, records).await) })
        }
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
            // What aborts a transaction is worth a line; the others are asked again.
            if request == Request::Prepare {
                tracing::warn!(transaction = %run.id, branch, %error, "no vote");
            } else {
                tracing::debug!(transaction = %run.id, branch, ?request, %error, "no answer");
            }
            let refused = matches!(error, ParticipantError::Refused(_));
            run.note(branch, Some(Arc::new(error)));
            match request {
                Request::Prepare => Event::Voted {
                    branch,
                    vote: Vote::Unknown,
                },
                // Nothing happened: it has to prove that nothing will.
                Request::CommitOnePhase if refused => {
                    let report = Report::Missing;
                    Event::Reported { branch, report }
                }
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
    let kinds = || records.iter().map(Record::kind);
    let mut failures = 0;
    loop {
        match engine.append(run, &records).await {
            Ok(()) => return records.into_iter().map(Event::Durable).collect(),
            // Whatever was recovered has no space set aside. There will be room again.
            Err(true) if engine.serves() && kinds().all(can_wait) => {
                sleep(pause(run.id, failures, engine.options.retry_pause_max)).await;
                failures = failures.saturating_add(1);
            }
            Err(true) => return kinds().map(Event::NotWritten).collect(),
            Err(false) => return kinds().map(Event::Failed).collect(),
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
