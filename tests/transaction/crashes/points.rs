//! Points at which a coordinator's process may die: before and after each call of its log and of
//! its participants.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Signal, getpid, kill_process};

/// When to die.
#[derive(Clone, Copy, Debug)]
pub struct Death {
    /// At the point of this number, counted from 1.
    pub at: u64,
    /// So long after it, whatever is under way then.
    pub later: Duration,
}

/// Counts what passes; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Points(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    passed: AtomicU64,
    death: Mutex<Option<Death>>,
}

impl Points {
    /// Counts anew from here, and dies then, or not at all.
    pub fn expect(&self, death: Option<Death>) {
        let mut expected = self.0.death.lock();
        self.0.passed.store(0, Ordering::Relaxed);
        *expected = death;
    }

    pub fn passed(&self) -> u64 {
        self.0.passed.load(Ordering::Relaxed)
    }

    /// The two points of a call.
    pub async fn around<T>(&self, call: &str, answer: impl Future<Output = T>) -> T {
        self.pass("before", call);
        let answer = answer.await;
        self.pass("after", call);
        answer
    }

    fn pass(&self, when: &str, call: &str) {
        let expected = self.0.death.lock();
        let number = self.0.passed.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(death) = expected.filter(|death| death.at == number) else {
            return;
        };
        if death.later.is_zero() {
            die(&format!("{when} {call}"));
        }
        let point = format!("shortly {when} {call}");
        let point = point.replace("shortly before", "in or after");
        std::thread::spawn(move || {
            std::thread::sleep(death.later);
            die(&point);
        });
    }
}

fn die(point: &str) -> ! {
    println!("dies {point}");
    loop {
        let _ = kill_process(getpid(), Signal::KILL);
    }
}
