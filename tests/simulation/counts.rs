//! What has happened, by kind: a simulation that never does a thing has not tested it.

use std::fmt;

macro_rules! counted {
    ($($group:literal { $($kind:ident = $name:literal,)* })*) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug)]
        pub enum Count {
            $($($kind,)*)*
        }

        /// The group and the name of each.
        const NAMES: &[(&str, &str)] = &[$($(($group, $name),)*)*];
    };
}

counted! {
    "faults" {
        DelayedRequest = "delayed request",
        DelayedAnswer = "delayed answer",
        LostRequest = "lost request",
        LostAnswer = "lost answer",
        Hang = "hang",
        Duplicate = "duplicated request",
        Pause = "pause",
        Crash = "crash",
        DroppedAcquire = "dropped acquire",
        DroppedGuard = "dropped guard",
        CarelessWrite = "write without a look",
    }
    "transitions" {
        EnqueueGranted = "enqueue granted",
        EnqueueWaiting = "enqueue waiting",
        EnqueueHeld = "enqueue held",
        EnqueueForeign = "enqueue foreign",
        ClaimGranted = "claim granted",
        ClaimWaiting = "claim waiting",
        ClaimGone = "claim gone",
        RenewAlive = "renew alive",
        RenewGone = "renew gone",
        ReleaseTrue = "release true",
        ReleaseFalse = "release false",
        Leave = "leave",
        ForcedTrue = "forced release true",
        ForcedFalse = "forced release false",
        ExpiredHolder = "holder expired",
        ExpiredWaiter = "waiter expired",
    }
    "what clients saw" {
        Granted = "granted",
        Together = "granted beside others",
        GrantedSet = "granted as a set",
        RanToEnd = "run to its end",
        RunCut = "run cut short",
        LossExpired = "lost: expired",
        LossRemoved = "lost: removed",
        ReEnqueued = "entered the queue again",
        TimedOut = "timed out",
        NotFree = "not free",
        Failed = "store failed",
        WriteAccepted = "write accepted",
        WriteRefused = "write refused as stale",
    }
    // Of a grant that a late duplicate of `enqueue` had entered anew: see `oracle/belief.rs`.
    "limits" {
        ReleasedLater = "release true of a later grant",
    }
}

/// How often each has happened.
#[derive(Clone, Debug)]
pub struct Counts([u64; NAMES.len()]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; NAMES.len()])
    }
}

impl Counts {
    pub fn add(&mut self, count: Count) {
        self.0[count as usize] += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }

    pub fn of(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    /// What has never happened, and should.
    pub fn missing(&self) -> Vec<&'static str> {
        let all = NAMES.iter().zip(self.0);
        let never = all.filter(|((group, _), count)| *count == 0 && *group != "limits");
        never.map(|((_, name), _)| *name).collect()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        for ((group, name), count) in NAMES.iter().zip(self.0) {
            if *group != last {
                writeln!(f, "{group}:")?;
                last = group;
            }
            writeln!(f, "  {name:<30}{count:>12}")?;
        }
        Ok(())
    }
}
