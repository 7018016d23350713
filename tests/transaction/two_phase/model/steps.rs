//! What can happen in a world, and what it leads to.

use std::collections::BTreeSet;

use tripod::transaction::two_phase::{
    Action, Answer, Book, Entry, Event, Inquirer, Ledger, Outcome, Record, Reply, Request,
    Resolution, Row, Standing, Vote,
};
use tripod::transaction::{BranchId, CoordinatorId, TransactionId};

use super::faults::Fault;
use super::rules::Rules;
use super::world::{Coordinator, Faults, Message, World, branch, foreign, own, subject};
use super::{IMPOSSIBLE, ZOMBIE};
use crate::two_phase::{coordinator, epoch, participant};

/// Coordinators are given by their epochs, participants by their branches' numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// The caller asks for the commit.
    Ask,
    /// The message at this place arrives.
    Deliver(usize),
    /// The next append reaches the log.
    Land(u64),
    LandLate(usize),
    /// The fate of an append is told.
    Tell(u64),
    Retry(u64, usize),
    /// The log is opened: the epoch raised, and replayed.
    Open,
    Scan(usize),
    /// A branch that works ends because nobody has spoken to it for long.
    Expire(usize),
    /// An operator says what a parked branch did.
    Settle(u64, usize),
    Fault(Fault),
}

/// How a world begins.
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// One branch for each participant: whether it changes nothing.
    pub(super) read_only: Vec<bool>,
    /// Whether participants can list their branches.
    pub(super) lists: bool,
    /// Whether replies and the fates of appends are under way for a while.
    pub(super) slow: bool,
    pub(super) faults: Faults,
}

impl Config {
    /// A transaction whose branches have all done their work.
    pub(super) fn world(&self) -> World {
        let (mut log, mut ledgers) = (Vec::new(), Vec::new());
        let mut book = Book::recover(coordinator(), epoch(1), []).book;
        assert_eq!(book.begin(), subject());
        for (number, read_only) in (0..).zip(&self.read_only) {
            let participant = participant(number);
            log.extend(book.name(&participant));
            book.named(participant.clone());
            let lists = self.lists;
            let enlist = Event::Enlist { participant, lists };
            for action in book.step(subject(), enlist).unwrap() {
                if let Action::Append(record) = action {
                    log.push(Entry::Of(subject(), record.clone()));
                    book.step(subject(), Event::Durable(record)).unwrap();
                }
            }
            let mut ledger = Ledger::default();
            for (coordinator, opening) in [
                (coordinator(), 1),
                (foreign().transaction().coordinator(), 2),
            ] {
                ledger.open(coordinator, epoch(1), opening).unwrap();
            }
            ledger.work(branch(number), *read_only).unwrap();
            ledger.work(foreign(), false).unwrap();
            ledger.answer(foreign(), Request::Prepare);
            ledgers.push(ledger);
        }
        World {
            slow: self.slow,
            lists: self.lists,
            log,
            epoch: 1,
            late: Vec::new(),
            coordinators: vec![Coordinator::new(1, book)],
            ledgers,
            post: Vec::new(),
            faults: self.faults.clone(),
            told: BTreeSet::new(),
            voted: 0,
            forced: false,
            broken: None,
        }
    }
}

impl Coordinator {
    fn new(epoch: u64, book: Book) -> Self {
        Self {
            epoch,
            book,
            appends: Vec::new(),
            fates: Vec::new(),
            poisoned: false,
            scanned: 0,
        }
    }
}

impl Rules {
    pub(super) fn after(&self, world: &World, step: Step) -> World {
        let mut after = world.clone();
        self.take(&mut after, step);
        let standings = after.coordinators.iter().filter_map(|coordinator| {
            match (self.inquire)(&coordinator.book, subject(), Inquirer::Anyone) {
                Standing::Decided(outcome) => Some(outcome),
                Standing::Active | Standing::Unknown | Standing::Forgotten => None,
            }
        });
        let standings: Vec<Outcome> = standings.collect();
        after.told.extend(standings);
        after
    }

    fn take(&self, world: &mut World, step: Step) {
        match step {
            Step::Ask => self.tell(world, 1, Event::Commit),
            Step::Deliver(at) => {
                let message = world.post.remove(at);
                self.deliver(world, message);
            }
            Step::Land(by) => {
                self.land(world, by);
                if !world.slow {
                    self.tell_fate(world, by);
                }
            }
            Step::LandLate(at) => {
                let (by, entry) = world.late.remove(at);
                self.append(world, by, entry);
            }
            Step::Tell(to) => self.tell_fate(world, to),
            Step::Retry(by, number) => {
                let branch = u16::try_from(number).unwrap();
                self.tell(world, by, Event::Retry { branch });
            }
            Step::Open => self.open(world),
            Step::Scan(number) => self.scan(world, number),
            Step::Expire(number) => world.ledgers[number].lose(branch(number_of(number))),
            Step::Settle(by, number) => {
                let did = match world.ledgers[number].row(branch(number_of(number))) {
                    Some(Row::Committed) => Outcome::Committed,
                    _ => Outcome::Aborted,
                };
                let branch = number_of(number);
                let resolution = Resolution::Did { branch, did };
                self.tell(world, by, Event::Resolve(resolution));
            }
            Step::Fault(fault) => self.fail(world, fault),
        }
    }

    fn deliver(&self, world: &mut World, message: Message) {
        match message {
            Message::Request(by, of, request) => self.serve(world, by, of, request),
            Message::Reply(to, of, reply) => {
                let branch = of.number();
                let event = match reply {
                    Reply::Vote(vote) => Event::Voted { branch, vote },
                    Reply::Report(report) => Event::Reported { branch, report },
                };
                self.tell(world, to, event);
            }
            Message::Inquiry(to, of) => {
                let Some(at) = world.lives(to) else { return };
                let book = &world.coordinators[at].book;
                match (self.inquire)(book, of.transaction(), Inquirer::Prepared) {
                    Standing::Decided(outcome) => world.post(Message::Verdict(of, outcome)),
                    Standing::Active | Standing::Unknown | Standing::Forgotten => {}
                }
            }
            Message::Verdict(of, outcome) => {
                let ledger = &mut world.ledgers[usize::from(of.number())];
                (self.told)(ledger, of, outcome);
            }
        }
    }

    /// A participant does what it is asked for, and replies to those who live.
    fn serve(&self, world: &mut World, by: u64, of: BranchId, request: Request) {
        let ledger = &mut world.ledgers[usize::from(of.number())];
        let before = ledger.row(of);
        let fenced = request == Request::CommitOnePhase && has_seen_later(ledger, by);
        let reply = (self.answer)(ledger, of, request);
        if fenced && before != ledger.row(of) && ledger.row(of) == Some(Row::Committed) {
            world.broken = Some(ZOMBIE);
        }
        if of.transaction() != subject() {
            return;
        }
        if matches!(reply, Reply::Vote(Vote::Prepared | Vote::ReadOnly)) {
            world.voted |= 1 << of.number();
        }
        if world.lives(by).is_none() {
            return;
        }
        let reply = Message::Reply(by, of, reply);
        if world.slow {
            world.post(reply);
        } else {
            self.deliver(world, reply);
        }
    }

    /// The first append of this coordinator reaches the log.
    pub(super) fn land(&self, world: &mut World, by: u64) {
        let at = world.lives(by).unwrap();
        let record = world.coordinators[at].appends.remove(0);
        let entry = Entry::Of(subject(), record.clone());
        let taken = !world.coordinators[at].poisoned && self.append(world, by, entry);
        world.coordinators[at].fates.push(if taken {
            Event::Durable(record)
        } else {
            Event::NotWritten(record.kind())
        });
    }

    fn append(&self, world: &mut World, by: u64, entry: Entry) -> bool {
        if !(self.accepts)(world.epoch, by) {
            return false;
        }
        let commits = matches!(&entry, Entry::Of(_, Record::Committed { .. }));
        if commits && by < world.epoch {
            world.broken = Some(ZOMBIE);
        }
        world.log.push(entry);
        true
    }

    pub(super) fn tell_fate(&self, world: &mut World, to: u64) {
        let at = world.lives(to).unwrap();
        let fate = world.coordinators[at].fates.remove(0);
        self.tell(world, to, fate);
    }

    /// Tells a coordinator what happened to the transaction, and does what it says.
    pub(super) fn tell(&self, world: &mut World, to: u64, event: Event) {
        let Some(at) = world.lives(to) else { return };
        match (self.step)(&mut world.coordinators[at].book, subject(), event) {
            Some(actions) => Self::perform(world, to, subject(), actions),
            None => world.broken = Some(IMPOSSIBLE),
        }
    }

    fn perform(world: &mut World, by: u64, id: TransactionId, actions: Vec<Action>) {
        if id != subject() {
            return;
        }
        let at = world.lives(by).unwrap();
        for action in actions {
            match action {
                Action::Send { branch, request } => {
                    let of = BranchId::new(id, branch);
                    world.post(Message::Request(by, of, request));
                }
                Action::Append(record) => world.coordinators[at].appends.push(record),
                Action::Answer(Answer::Committed { .. }) => {
                    world.told.insert(Outcome::Committed);
                }
                Action::Answer(Answer::Aborted(_)) => {
                    world.told.insert(Outcome::Aborted);
                }
                Action::Answer(Answer::Unknown)
                | Action::Work { .. }
                | Action::BackOff { .. }
                | Action::Parked { .. }
                | Action::Refuse(_)
                | Action::Forget => {}
            }
        }
    }

    /// A coordinator opens the log: a new one, or the newest anew, whose log is poisoned.
    pub(super) fn open(&self, world: &mut World) {
        let poisoned = |c: &&Coordinator| c.poisoned && c.epoch == world.epoch;
        if let Some(by) = world.coordinators.iter().find(poisoned).map(|c| c.epoch) {
            world.crash(by);
        }
        let opened = world.epoch + 1;
        world.epoch = opened;
        let recovered = (self.recover)(epoch(opened), world.log.clone());
        let mut book = recovered.book;
        let own_id = book.begin();
        let event = Event::Enlist {
            participant: participant(0),
            lists: true,
        };
        book.step(own_id, event).unwrap();
        world.coordinators.push(Coordinator::new(opened, book));
        for (number, ledger) in (0..).zip(&mut world.ledgers) {
            let raised = ledger.open(coordinator(), epoch(opened), u128::from(opened));
            raised.unwrap();
            if number == 0 {
                ledger.work(own(opened), false).unwrap();
                ledger.answer(own(opened), Request::Prepare);
            }
        }
        for (id, actions) in recovered.actions {
            Self::perform(world, opened, id, actions);
        }
    }

    /// What the newest coordinator would ask this participant for, on finding what it has prepared.
    fn found(&self, world: &World, number: usize) -> Vec<(BranchId, Request)> {
        let Some(at) = world.newest() else {
            return Vec::new();
        };
        let by = &world.coordinators[at];
        let of_all = [coordinator(), foreign().transaction().coordinator()];
        let found = of_all.iter().flat_map(|coordinator: &CoordinatorId| {
            world.ledgers[number].in_doubt(*coordinator, epoch(u64::MAX))
        });
        let asked = |of: BranchId| {
            let mut post = world.post.iter();
            post.any(|message| match message {
                Message::Request(from, about, _) => (*from, *about) == (by.epoch, of),
                Message::Reply(..) | Message::Inquiry(..) | Message::Verdict(..) => false,
            })
        };
        let listed = |of: BranchId| world.lists || of.transaction() != subject();
        let found = found.filter(|of| listed(*of) && !asked(*of));
        let adopted = found.filter_map(|of| Some((of, (self.adopt)(&by.book, of)?)));
        adopted.collect()
    }

    pub(super) fn would_scan(&self, world: &World, number: usize) -> bool {
        !self.found(world, number).is_empty()
    }

    fn scan(&self, world: &mut World, number: usize) {
        let at = world.newest().unwrap();
        let by = world.coordinators[at].epoch;
        if !self.scans_again {
            world.coordinators[at].scanned |= 1 << number;
        }
        for (of, request) in self.found(world, number) {
            if of.transaction() == subject() {
                world.post(Message::Request(by, of, request));
            } else {
                (self.answer)(&mut world.ledgers[number], of, request);
            }
        }
    }
}

pub(super) fn number_of(at: usize) -> u16 {
    u16::try_from(at).unwrap()
}

fn has_seen_later(ledger: &Ledger, epoch_of: u64) -> bool {
    let mut ledger = ledger.clone();
    ledger
        .open(coordinator(), epoch(epoch_of), u128::from(epoch_of))
        .is_err()
}
