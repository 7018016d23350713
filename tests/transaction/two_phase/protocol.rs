//! Single runs of the protocol, and what they say and write.

use tripod::transaction::two_phase::{
    AbortReason, Action, Answer, Event, Outcome, ParkReason, Phase, Record, RecordKind, Refusal,
    Report, Request, Resolution, Transaction, Vote,
};

use super::{participant, transaction};

const DONE: Report = Report::Did(Outcome::Committed);
const UNDONE: Report = Report::Did(Outcome::Aborted);

#[test]
fn as_much_is_forced_as_the_table_says() {
    let commits = Run::of(2)
        .commit()
        .votes(&[yes(), yes()])
        .land()
        .report(&[DONE, DONE])
        .land();
    assert_eq!(commits.forced(), 1);
    assert_eq!(commits.kinds(), [RecordKind::Committed, RecordKind::Ended]);
    let aborts = Run::of(2)
        .commit()
        .votes(&[yes(), no()])
        .report(&[UNDONE, UNDONE]);
    assert_eq!(aborts.kinds(), []);
    let read_only = Run::of(2).commit().votes(&[Vote::ReadOnly, Vote::ReadOnly]);
    assert_eq!(read_only.kinds(), []);
    assert_eq!(read_only.answers(), [committed(&[])]);
    let one_phase = Run::of(1).commit().report(&[DONE]);
    assert_eq!(one_phase.kinds(), []);
    assert_eq!(one_phase.answers(), [committed(&[])]);
    for run in [commits, aborts, read_only, one_phase] {
        assert_eq!(run.actions.last(), Some(&Action::Forget));
        assert!(run.it.is_over());
    }
}

#[test]
fn what_cannot_be_listed_is_logged_before_it_works_and_never_committed_in_one_phase() {
    let participant = participant(0);
    let enlist = Event::Enlist {
        participant,
        lists: false,
    };
    let run = Run::of(0).take(enlist);
    assert!(!run.actions.contains(&Action::Work { branch: 0 }));
    let run = run.land();
    assert!(run.actions.contains(&Action::Work { branch: 0 }));
    let run = run.commit();
    assert_eq!(run.sent(), [(0, Request::Prepare)]);
    // Recovery would take it for aborted.
    let run = run.votes(&[Vote::ReadOnly]);
    assert_eq!(run.answers(), []);
    assert_eq!(run.land().answers(), [committed(&[])]);
}

#[test]
fn no_vote_to_rely_on_means_abort() {
    let run = Run::of(2).commit().votes(&[yes(), Vote::Unknown]);
    assert_eq!(
        run.answers(),
        [Answer::Aborted(AbortReason::Unknown { branch: 1 })]
    );
}

#[test]
fn a_no_is_given_with_its_reason() {
    let run = Run::of(2).commit().votes(&[no()]);
    let reason = "out of stock".into();
    let expected = AbortReason::No { branch: 0, reason };
    assert_eq!(run.answers(), [Answer::Aborted(expected)]);
}

#[test]
fn deadlines_end_with_the_record_handed_to_the_log() {
    let late = Run::of(2).commit().votes(&[yes()]).take(Event::Deadline);
    assert_eq!(late.answers(), [Answer::Aborted(AbortReason::Deadline)]);
    let in_time = Run::of(2)
        .commit()
        .votes(&[yes(), yes()])
        .take(Event::Deadline);
    assert_eq!(*in_time.it.phase(), Phase::Logging);
    assert_eq!(in_time.answers(), []);
}

#[test]
fn at_the_phase_timeout_the_pending_branches_are_named_and_asked_on() {
    let run = Run::of(2).commit().votes(&[yes(), yes()]).land();
    let run = run.report(&[DONE]).take(Event::Deadline);
    assert_eq!(run.answers(), [committed(&[1])]);
    let unknown = Event::Reported {
        branch: 1,
        report: Report::Unknown,
    };
    let run = run.take(unknown).take(Event::Retry { branch: 1 });
    assert_eq!(run.sent().last(), Some(&(1, Request::Commit)));
    let run = run
        .take(Event::Reported {
            branch: 1,
            report: DONE,
        })
        .land();
    assert!(run.it.is_over());
    assert_eq!(run.answers().len(), 1, "nobody is answered twice");
}

#[test]
fn to_drop_it_aborts_before_the_record_and_detaches_after() {
    let before = Run::of(2).commit().votes(&[yes()]).take(Event::Dropped);
    assert_eq!(
        before.sent()[2..],
        [(0, Request::Abort), (1, Request::Abort)]
    );
    let after = Run::of(2)
        .commit()
        .votes(&[yes(), yes()])
        .take(Event::Dropped)
        .land();
    assert_eq!(
        after.sent()[2..],
        [(0, Request::Commit), (1, Request::Commit)]
    );
    assert_eq!((before.answers(), after.answers()), (vec![], vec![]));
}

#[test]
fn a_failed_record_is_in_doubt_and_an_unwritten_one_aborts() {
    let voted = || Run::of(2).commit().votes(&[yes(), yes()]);
    let failed = voted().take(Event::Failed(RecordKind::Committed));
    assert_eq!(*failed.it.phase(), Phase::InDoubt);
    assert_eq!(failed.answers(), [Answer::Unknown]);
    assert_eq!(failed.sent().len(), 2, "nobody is told anything");
    let unwritten = voted().take(Event::NotWritten(RecordKind::Committed));
    assert_eq!(unwritten.answers(), [Answer::Aborted(AbortReason::Log)]);
}

#[test]
fn one_phase_without_an_answer_is_settled_by_proof() {
    for report in [Report::Unknown, Report::Missing] {
        let run = Run::of(1)
            .commit()
            .report(&[report])
            .take(Event::Retry { branch: 0 });
        assert_eq!(
            run.sent(),
            [(0, Request::CommitOnePhase), (0, Request::Settle)]
        );
        assert_eq!(run.answers(), []);
        let run = run.take(Event::Deadline);
        assert_eq!(run.answers(), [Answer::Unknown]);
        assert!(run.report(&[DONE]).it.is_over());
    }
}

#[test]
fn what_is_not_found_has_to_prove_itself() {
    let run = Run::of(2)
        .commit()
        .votes(&[yes(), yes()])
        .land()
        .report(&[Report::Missing]);
    assert_eq!(run.sent().last(), Some(&(0, Request::Settle)));
    let run = run.report(&[Report::Prepared]);
    assert_eq!(run.sent().last(), Some(&(0, Request::Commit)));
}

#[test]
fn what_was_done_otherwise_is_recorded_parked_and_left_to_an_operator() {
    let run = Run::of(2)
        .commit()
        .votes(&[yes(), yes()])
        .land()
        .report(&[UNDONE, DONE]);
    let reason = ParkReason::Heuristic(Outcome::Aborted);
    assert!(run.actions.contains(&Action::Parked { branch: 0, reason }));
    assert_eq!(run.answers(), [committed(&[0])]);
    let run = run.land().take(Event::Retry { branch: 0 });
    assert!(!run.it.is_over());
    let did = Outcome::Aborted;
    let run = run
        .take(Event::Resolve(Resolution::Did { branch: 0, did }))
        .land()
        .land();
    assert!(run.it.is_over());
    let expected = [
        RecordKind::Committed,
        RecordKind::Heuristic(0),
        RecordKind::Resolved(0),
        RecordKind::Ended,
    ];
    assert_eq!(run.kinds(), expected);
}

#[test]
fn an_operator_aborts_what_is_undecided_and_nothing_else() {
    let run = Run::of(2).commit().take(Event::Resolve(Resolution::Abort));
    assert_eq!(run.answers(), [Answer::Aborted(AbortReason::Operator)]);
    assert_eq!(run.kinds(), [RecordKind::Aborted]);
    let run = Run::of(2).commit().votes(&[yes(), yes()]);
    let run = run.take(Event::Resolve(Resolution::Abort));
    assert_eq!(run.actions.last(), Some(&Action::Refuse(Refusal::TooLate)));
}

#[test]
fn a_parked_branch_is_asked_again_only_when_told_so() {
    let reason = ParkReason::Unregistered;
    let run = Run::of(2).commit().votes(&[yes(), yes()]).land();
    let run = run.report(&[DONE]).take(Event::Park { branch: 1, reason });
    assert_eq!(
        run.answers(),
        [committed(&[1])],
        "to wait on would change nothing"
    );
    let sent = run.sent().len();
    let run = run.take(Event::Reported {
        branch: 1,
        report: Report::Unknown,
    });
    assert_eq!(run.sent().len(), sent);
    let run = run.take(Event::Retry { branch: 1 });
    assert_eq!(run.sent().last(), Some(&(1, Request::Commit)));
}

#[test]
fn who_asks_for_the_commit_of_what_was_aborted_learns_why() {
    let run = Run::of(2).take(Event::Deadline).report(&[UNDONE, UNDONE]);
    assert_eq!(run.answers(), []);
    let run = run.take(Event::Commit);
    assert_eq!(run.answers(), [Answer::Aborted(AbortReason::Deadline)]);
}

fn yes() -> Vote {
    Vote::Prepared
}

fn no() -> Vote {
    Vote::No("out of stock".into())
}

fn committed(pending: &[u16]) -> Answer {
    let pending = pending.to_vec();
    Answer::Committed { pending }
}

/// A transaction, and all that it has asked for.
struct Run {
    it: Transaction,
    actions: Vec<Action>,
    landed: usize,
}

impl Run {
    /// With so many branches, which work.
    fn of(branches: u16) -> Self {
        let it = Transaction::begin(transaction(1));
        let run = Self {
            it,
            actions: Vec::new(),
            landed: 0,
        };
        (0..branches).fold(run, |run, number| {
            let participant = participant(number);
            run.take(Event::Enlist {
                participant,
                lists: true,
            })
        })
    }

    fn take(mut self, event: Event) -> Self {
        self.actions.extend(self.it.step(event).unwrap());
        self
    }

    fn commit(self) -> Self {
        self.take(Event::Commit)
    }

    /// Branches vote, from the first on.
    fn votes(self, votes: &[Vote]) -> Self {
        let votes = (0..).zip(votes.iter().cloned());
        votes.fold(self, |run, (branch, vote)| {
            run.take(Event::Voted { branch, vote })
        })
    }

    fn report(self, reports: &[Report]) -> Self {
        let reports = (0..).zip(reports.iter().copied());
        reports.fold(self, |run, (branch, report)| {
            run.take(Event::Reported { branch, report })
        })
    }

    /// The next record is durable.
    fn land(mut self) -> Self {
        let record = self.records()[self.landed].clone();
        self.landed += 1;
        self.take(Event::Durable(record))
    }

    fn records(&self) -> Vec<Record> {
        let records = self.actions.iter().filter_map(|action| {
            if let Action::Append(record) = action {
                Some(record.clone())
            } else {
                None
            }
        });
        records.collect()
    }

    fn kinds(&self) -> Vec<RecordKind> {
        self.records().iter().map(Record::kind).collect()
    }

    fn forced(&self) -> usize {
        let records = self.records();
        records.iter().filter(|record| record.is_forced()).count()
    }

    fn sent(&self) -> Vec<(u16, Request)> {
        let sent = self.actions.iter().filter_map(|action| {
            if let Action::Send { branch, request } = action {
                Some((*branch, *request))
            } else {
                None
            }
        });
        sent.collect()
    }

    fn answers(&self) -> Vec<Answer> {
        let answers = self.actions.iter().filter_map(|action| {
            if let Action::Answer(answer) = action {
                Some(answer.clone())
            } else {
                None
            }
        });
        answers.collect()
    }
}
