//! What a client wants next, and what becomes of it on the way.

use std::num::NonZeroU32;
use std::time::Duration;

use tripod::lock::{Mode, Permits};

use crate::random::Random;
use crate::trace::TICK;
use crate::weather::PAUSE_MAX;

/// Places in the list of names: two for readers and writers, and one for permits.
pub const ORDERS: usize = 0;
pub const STOCK: usize = 1;
pub const PRINTERS: usize = 2;

/// In ticks. The window in which a handle renews, from a quarter to a third of the TTL, lies
/// within one tick for each of them.
const TTLS: [u32; 3] = [2, 5, 9];

/// In ticks.
pub const TTL_MAX: u64 = 9;

/// The longest that anybody wants to hold, in ticks.
pub const HOLD_MAX: u64 = 14;

/// How to acquire.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    Wait,
    WaitAtMost(u64),
    IfFree,
    Run,
    /// Two names at once.
    All,
    /// Not at all: an operator takes the lock from whoever holds it.
    Force,
}

/// One acquisition. Times are ticks.
#[derive(Clone, Debug)]
pub struct Wish {
    pub way: Way,
    pub name: usize,
    pub mode: Mode,
    pub priority: u8,
    pub ttl: Duration,
    pub renews: bool,
    /// Before it begins.
    pub rest: u64,
    pub hold: u64,
    /// How late its writes are.
    pub write_delay: u64,
    /// Whether it writes after a pause without a look, or sleeps while it holds.
    pub careless: bool,
    /// Whether the guard is dropped, not released.
    pub drops: bool,
    /// When it drops what it awaits.
    pub gives_up: Option<u64>,
    pub crashes: Option<u64>,
    /// When its process stands still, and for how long.
    pub pauses: Option<(u64, u64)>,
}

impl Wish {
    /// What a client wants of the names in use.
    pub fn draw(random: &mut Random, names: &[usize], faults: bool) -> Self {
        let name = random.of(names);
        let way = match random.below(20) {
            8..11 => Way::WaitAtMost(random.within(1, 12)),
            11..14 => Way::IfFree,
            14..16 => Way::Run,
            16..18 => Way::All,
            18 if faults => Way::Force,
            _ => Way::Wait,
        };
        let all = matches!(way, Way::All) && names.contains(&STOCK);
        let mode = match name {
            PRINTERS if !all && !random.chance(20) => permits(random.of(&[1, 1, 2, 3])),
            _ if random.chance(450) => Mode::Shared,
            _ => Mode::Exclusive,
        };
        let mut maybe = |per_mille, low, high| {
            let happens = random.chance(per_mille) && faults;
            let at = random.within(low, high);
            happens.then_some(at)
        };
        let gives_up = maybe(60, 0, 8);
        let crashes = maybe(50, 0, 16);
        let pauses = maybe(120, 0, 10).zip(maybe(1000, 2, PAUSE_MAX));
        Self {
            way: match way {
                Way::All if !all => Way::Wait,
                way => way,
            },
            name,
            mode,
            priority: random.of(&[0, 0, 0, 1, 5]),
            ttl: TICK * random.of(&TTLS),
            renews: random.chance(800),
            rest: random.below(4),
            hold: match random.below(10) {
                0 => random.within(6, HOLD_MAX),
                _ => random.below(6),
            },
            write_delay: match random.below(8) {
                0 => random.within(1, 10),
                _ => 0,
            },
            careless: random.chance(250),
            drops: random.chance(250),
            gives_up,
            crashes,
            pauses,
        }
    }
}

/// So many permits of three.
pub fn permits(n: u32) -> Mode {
    let of = NonZeroU32::new(3).unwrap();
    Mode::Permits(Permits::new(NonZeroU32::new(n).unwrap(), of).unwrap())
}
