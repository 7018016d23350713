//! Points at which a coordinator's process may die: before and after each call of its log and of
//! its participants.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Signal, getpid, kill_process};

/// When to die.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// At the point of this number, counted from 1, or so long after it, whatever is under way then.
    At { number: u64, later: Duration },
    /// At a point of this name, after so many others of that name.
    Named { point: String, others: usize },
}

/// Counts what passes; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Points(Arc<Mutex<Way>>);

/// The points that were passed, and what is to come.
#[derive(Debug, Default)]
struct Way {
    passed: Vec<String>,
    death: Option<Death>,
}

impl Points {
    /// Counts anew from here, and dies then, or not at all.
    pub fn expect(&self, death: Option<Death>) {
        *self.0.lock() = Way {
            passed: Vec::new(),
            death,
        };
    }

    pub fn passed(&self) -> Vec<String> {
        self.0.lock().passed.clone()
    }

    /// The two points of a call.
    pub async fn around<T>(&self, call: &str, answer: impl Future<Output = T>) -> T {
        self.pass(&format!("before {call}"));
        let answer = answer.await;
        self.pass(&format!("after {call}"));
        answer
    }

    fn pass(&self, point: &str) {
        let mut way = self.0.lock();
        let Way { passed, death } = &mut *way;
        passed.push(point.to_owned());
        match death {
            Some(Death::At { number, later }) if *number == passed.len() as u64 => {
                die_later(point, *later);
            }
            Some(Death::Named {
                point: fatal,
                others,
            }) if point == *fatal => match others.checked_sub(1) {
                Some(fewer) => *others = fewer,
                None => die(point),
            },
            _ => {}
        }
    }
}

fn die_later(point: &str, later: Duration) {
    if later.is_zero() {
        die(point);
    }
    let point = format!("shortly {point}").replace("shortly before", "in or after");
    std::thread::spawn(move || {
        std::thread::sleep(later);
        die(&point);
    });
}

fn die(point: &str) -> ! {
    println!("dies {point}");
    loop {
        let _ = kill_process(getpid(), Signal::KILL);
    }
}
