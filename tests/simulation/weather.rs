//! What the network does with a message.

use tripod::lock::BackendErrorKind;

use crate::counts::{Count, Counts};
use crate::random::Random;

/// After how many ticks a call that was never answered is reported as *indeterminate*: later than
/// any lease lives, so that the bounds on the client's side are what ends the waiting.
const HANG: u64 = 14;

/// The latest that a request lands after it was sent, in ticks.
pub const LATEST: u64 = DELAY_MAX + AGAIN_MAX + PAUSE_MAX;

/// The longest pause of a client, in ticks.
pub const PAUSE_MAX: u64 = 15;

const DELAY_MAX: u64 = 12;
const AGAIN_MAX: u64 = 12;

/// How often what goes wrong, per mille of the messages. It differs between schedules: some are
/// calm enough for long stories, some are storms.
#[derive(Clone, Debug)]
pub struct Weather {
    delay: u64,
    delay_max: u64,
    lose_request: u64,
    lose_answer: u64,
    duplicate: u64,
}

/// What becomes of one message. Times are ticks.
#[derive(Clone, Debug)]
pub struct Fate {
    /// When it reaches the store, if it does.
    pub lands: Option<u64>,
    /// When it reaches the store again.
    pub again: Option<u64>,
    pub answer: Answering,
}

/// What the client hears.
#[derive(Clone, Copy, Debug)]
pub enum Answering {
    /// The answer, so long after the step.
    Answer { after: u64 },
    /// An error instead, so long after the step, or after the sending if it never landed.
    Error { kind: BackendErrorKind, after: u64 },
}

impl Fate {
    /// On a perfect network, everything happens at once.
    pub const PERFECT: Self = Self {
        lands: Some(0),
        again: None,
        answer: Answering::Answer { after: 0 },
    };
}

impl Weather {
    /// Faults may come, but none by chance.
    pub const FAIR: Self = Self {
        delay: 0,
        delay_max: 1,
        lose_request: 0,
        lose_answer: 0,
        duplicate: 0,
    };

    pub fn draw(random: &mut Random) -> Self {
        Self {
            delay: random.of(&[0, 50, 150, 300]),
            delay_max: random.of(&[1, 2, 4, DELAY_MAX]),
            lose_request: random.of(&[0, 10, 40, 120]),
            lose_answer: random.of(&[0, 10, 40, 120]),
            duplicate: random.of(&[0, 20, 100]),
        }
    }

    pub fn fate(&self, random: &mut Random, counts: &mut Counts) -> Fate {
        let indeterminate = |after| Answering::Error {
            kind: BackendErrorKind::Indeterminate,
            after,
        };
        if random.chance(self.lose_request) {
            counts.add(Count::LostRequest);
            let after = random.below(3);
            let answer = match random.below(3) {
                0 => Answering::Error {
                    kind: BackendErrorKind::Unavailable,
                    after,
                },
                1 => indeterminate(after),
                _ => {
                    counts.add(Count::Hang);
                    indeterminate(HANG)
                }
            };
            return Fate {
                lands: None,
                again: None,
                answer,
            };
        }
        let lands = self.late(random, counts, Count::DelayedRequest);
        let again = random.chance(self.duplicate).then(|| {
            counts.add(Count::Duplicate);
            lands + random.within(0, AGAIN_MAX)
        });
        let after = self.late(random, counts, Count::DelayedAnswer);
        let answer = if random.chance(self.lose_answer) {
            counts.add(Count::LostAnswer);
            if random.chance(500) {
                counts.add(Count::Hang);
                indeterminate(HANG)
            } else {
                indeterminate(after)
            }
        } else {
            Answering::Answer { after }
        };
        Fate {
            lands: Some(lands),
            again,
            answer,
        }
    }

    fn late(&self, random: &mut Random, counts: &mut Counts, count: Count) -> u64 {
        if !random.chance(self.delay) {
            return 0;
        }
        counts.add(count);
        random.within(1, self.delay_max)
    }
}
