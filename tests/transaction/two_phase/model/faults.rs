//! What goes wrong.

use tripod::transaction::two_phase::{Event, Outcome, Reply, Report, Request, Resolution, Vote};

use super::rules::Rules;
use super::steps::number_of;
use super::world::{Message, World, branch};

/// What a fair world does without.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
    Lose(usize),
    Delay(usize),
    Double(usize),
    LoseLate(usize),
    /// The next append fails, and has landed or not.
    Fail(u64, bool),
    Crash(u64),
    TakeOver,
    /// A participant crashes.
    LoseWork(usize),
    Deadline,
    Drop,
    Inquire(u64, usize),
    Force(usize, Outcome),
    Operator,
}

impl Rules {
    pub(super) fn fail(&self, world: &mut World, fault: Fault) {
        match fault {
            Fault::Lose(at) => {
                world.faults.mischief -= 1;
                let lost = world.post.remove(at);
                Self::give_up(world, &lost);
            }
            Fault::Delay(at) => {
                world.faults.mischief -= 1;
                let late = world.post[at].clone();
                Self::give_up(world, &late);
            }
            Fault::Double(at) => {
                world.faults.mischief -= 1;
                world.post(world.post[at].clone());
            }
            Fault::LoseLate(at) => {
                world.late.remove(at);
            }
            Fault::Fail(by, landed) => {
                world.faults.failures -= 1;
                let at = world.lives(by).unwrap();
                let kind = world.coordinators[at].appends[0].kind();
                if landed {
                    self.land(world, by);
                    world.coordinators[at].fates.pop();
                } else {
                    world.coordinators[at].appends.remove(0);
                }
                world.coordinators[at].fates.push(Event::Failed(kind));
                world.coordinators[at].poisoned = true;
                if !world.slow {
                    self.tell_fate(world, by);
                }
            }
            Fault::Crash(by) => {
                world.faults.crashes -= 1;
                world.crash(by);
            }
            Fault::TakeOver => {
                world.faults.take_overs -= 1;
                self.open(world);
            }
            Fault::LoseWork(number) => {
                world.faults.losses &= !(1 << number);
                world.ledgers[number].lose(branch(number_of(number)));
            }
            Fault::Deadline => {
                world.faults.impatience -= 1;
                self.tell(world, 1, Event::Deadline);
            }
            Fault::Drop => {
                world.faults.impatience -= 1;
                self.tell(world, 1, Event::Dropped);
            }
            Fault::Inquire(of, number) => {
                world.faults.inquiries -= 1;
                world.post(Message::Inquiry(of, branch(number_of(number))));
            }
            Fault::Force(number, outcome) => {
                world.faults.forces -= 1;
                world.forced = true;
                world.ledgers[number].force(branch(number_of(number)), outcome);
            }
            Fault::Operator => {
                world.faults.operators -= 1;
                self.tell(world, 1, Event::Resolve(Resolution::Abort));
            }
        }
    }

    /// Whoever waits for the answer to this waits no longer.
    fn give_up(world: &mut World, message: &Message) {
        let (to, of, reply) = match message {
            Message::Request(by, of, Request::Prepare) => (*by, *of, Reply::Vote(Vote::Unknown)),
            Message::Request(by, of, _) => (*by, *of, Reply::Report(Report::Unknown)),
            Message::Reply(to, of, Reply::Vote(_)) => (*to, *of, Reply::Vote(Vote::Unknown)),
            Message::Reply(to, of, Reply::Report(_)) => (*to, *of, Reply::Report(Report::Unknown)),
            Message::Inquiry(..) | Message::Verdict(..) => return,
        };
        if world.lives(to).is_some() {
            world.post(Message::Reply(to, of, reply));
        }
    }
}
