//! Which steps are possible: those that a fair world takes by itself, and faults.

use tripod::transaction::two_phase::{Outcome, ParkReason, Phase, Progress, Row};

use super::faults::Fault;
use super::rules::Rules;
use super::steps::Step;
use super::world::{Coordinator, Message, World, foreign, own};

impl Rules {
    /// What happens sooner or later, if nothing breaks: every one of these, in any order.
    pub(super) fn fair(&self, world: &World) -> Vec<Step> {
        let mut steps: Vec<Step> = world.deliveries().map(Step::Deliver).collect();
        let late = (0..world.late.len()).filter(|at| world.is_first_late(*at));
        steps.extend(late.map(Step::LandLate));
        for by in &world.coordinators {
            let asks = by.epoch == 1 && by.phase() == Some(&Phase::Working);
            steps.extend(asks.then_some(Step::Ask));
            steps.extend((!by.appends.is_empty()).then_some(Step::Land(by.epoch)));
            steps.extend((!by.fates.is_empty()).then_some(Step::Tell(by.epoch)));
            let waiting = by.those(|progress| progress == Progress::Waiting);
            steps.extend(waiting.map(|number| Step::Retry(by.epoch, number)));
        }
        match world.newest().map(|at| &world.coordinators[at]) {
            None => steps.push(Step::Open),
            Some(newest) => {
                steps.extend(newest.poisoned.then_some(Step::Open));
                let calm = newest.appends.is_empty() && newest.fates.is_empty();
                let settled = newest.those(|progress| calm && is_heuristic(progress));
                steps.extend(settled.map(|number| Step::Settle(newest.epoch, number)));
                let unscanned = |number: &usize| newest.scanned & 1 << number == 0;
                let scans = (0..world.ledgers.len()).filter(unscanned);
                let scans = scans.filter(|number| self.would_scan(world, *number));
                steps.extend(scans.map(Step::Scan));
            }
        }
        let silent = world.epoch > 1 || world.lives(1).is_none();
        let working = world.numbers(|row| matches!(row, Row::Working { .. }));
        steps.extend(working.filter(|_| silent).map(Step::Expire));
        steps
    }
}

impl World {
    /// What may happen besides, as often as is left.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut steps: Vec<Fault> = (0..self.late.len()).map(Fault::LoseLate).collect();
        let faults = &self.faults;
        if faults.mischief > 0 {
            for at in self.deliveries() {
                steps.extend([Fault::Lose(at), Fault::Double(at)]);
                let request = matches!(self.post[at], Message::Request(..));
                steps.extend(request.then_some(Fault::Delay(at)));
            }
        }
        for by in &self.coordinators {
            let epoch = by.epoch;
            if faults.failures > 0 && !by.appends.is_empty() && !by.poisoned {
                steps.push(Fault::Fail(epoch, false));
                steps.extend((epoch == self.epoch).then_some(Fault::Fail(epoch, true)));
            }
            steps.extend((faults.crashes > 0).then_some(Fault::Crash(epoch)));
            if faults.inquiries > 0 {
                let prepared = self.numbers(|row| row == Row::Prepared);
                steps.extend(prepared.map(|number| Fault::Inquire(epoch, number)));
            }
        }
        let take_over = faults.take_overs > 0 && self.newest().is_some();
        steps.extend(take_over.then_some(Fault::TakeOver));
        let losses = self.numbers(|row| matches!(row, Row::Working { .. }));
        let losses = losses.filter(|number| faults.losses & 1 << number != 0);
        steps.extend(losses.map(Fault::LoseWork));
        if faults.forces > 0 {
            for number in self.numbers(|row| row == Row::Prepared) {
                let outcomes = [Outcome::Committed, Outcome::Aborted];
                steps.extend(outcomes.map(|outcome| Fault::Force(number, outcome)));
            }
        }
        if self
            .lives(1)
            .is_some_and(|at| self.coordinators[at].subject().is_some())
        {
            if faults.impatience > 0 {
                steps.extend([Fault::Deadline, Fault::Drop]);
            }
            steps.extend((faults.operators > 0).then_some(Fault::Operator));
        }
        steps
    }

    /// Where nothing is left to be done, but by those who have not been heard of since a successor
    /// took over: those never end what they cannot log.
    pub(super) fn is_settled(&self) -> bool {
        let Some(newest) = self.newest().map(|at| &self.coordinators[at]) else {
            return false;
        };
        let open = |row: Option<Row>| matches!(row, Some(Row::Working { .. } | Row::Prepared));
        let orphans = (2..self.epoch).map(own);
        let mut orphans = orphans.map(|orphan| self.ledgers[0].row(orphan));
        newest.subject().is_none()
            && !self.rows().any(open)
            && !orphans.any(open)
            && self.post.is_empty()
    }

    pub(super) fn keeps_hands_off_foreign(&self) -> bool {
        let mut ledgers = self.ledgers.iter();
        ledgers.all(|ledger| ledger.row(foreign()) == Some(Row::Prepared))
    }

    pub(super) fn keeps_hands_off_own(&self) -> bool {
        let own = self.ledgers[0].row(own(self.epoch));
        self.newest().is_none() || self.epoch == 1 || own == Some(Row::Prepared)
    }

    /// Where the post has a message, passing over equal ones.
    fn deliveries(&self) -> impl Iterator<Item = usize> {
        let new = |at: &usize| *at == 0 || self.post[*at] != self.post[*at - 1];
        (0..self.post.len()).filter(new)
    }

    fn is_first_late(&self, at: usize) -> bool {
        let (by, _) = &self.late[at];
        self.late[..at].iter().all(|(other, _)| other != by)
    }

    fn numbers(&self, of: impl Fn(Row) -> bool) -> impl Iterator<Item = usize> {
        let rows = (0..).zip(self.rows());
        rows.filter_map(move |(number, row)| row.filter(|row| of(*row)).map(|_| number))
    }
}

impl Coordinator {
    fn phase(&self) -> Option<&Phase> {
        self.subject()
            .map(tripod::transaction::two_phase::Transaction::phase)
    }

    /// The numbers of the branches that are so far.
    fn those(&self, so_far: impl Fn(Progress) -> bool) -> impl Iterator<Item = usize> {
        let branches = self.subject().map_or(&[][..], |subject| subject.branches());
        let those = branches
            .iter()
            .filter(move |branch| so_far(branch.progress()));
        those.map(|branch| usize::from(branch.number()))
    }
}

fn is_heuristic(progress: Progress) -> bool {
    matches!(progress, Progress::Parked(ParkReason::Heuristic(_)))
}
