//! What has happened, by kind: a simulation that never does a thing has not tested it.

use std::fmt;

macro_rules! counted {
    ($($group:literal { $($kind:ident = $name:literal,)* })*) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Count {
            $($($kind,)*)*
        }

        /// The group and the name of each.
        const NAMES: &[(&str, &str)] = &[$($(($group, $name),)*)*];
    };
}

counted! {
    "faults" {
        LostRequest = "lost request",
        LostAnswer = "lost answer",
        LateRequest = "late request",
        Duplicate = "duplicated request",
        Unreachable = "participant unreachable",
        ParticipantCrash = "participant crashed",
        DiskFailure = "the disk fails",
        DiskFull = "the disk is full",
        KilledAtDisk = "killed in a call of the disk",
        KilledAtMoment = "killed at a moment of the protocol",
        Killed = "killed at any time",
        PowerCut = "power cut, unsynced bytes lost or garbled",
        LostLogAnswer = "answer of a shared log lost",
    }
    "clients" {
        Committed = "told: committed",
        Pending = "told: committed, branches pending",
        Aborted = "told: aborted",
        Unknown = "told: unknown",
        RolledBack = "rolled back",
        Dropped = "transaction dropped",
        DroppedEnlist = "enlisting dropped",
        Overslept = "worked for too long",
        VotedNo = "aborted by a no",
        ReadOnly = "read-only branch",
        Locked = "gave up waiting for a lock",
        OperatorAborts = "aborted by an operator",
        Inquired = "inquiry answered with a decision",
    }
    "situations" {
        DurableNotSent = "crash between durable decision and first send",
        VotedNotDecided = "crash between votes and decision",
        TornBatch = "torn batch found by recovery",
        CrashInRecovery = "second crash, in recovery",
        LatePrepare = "late prepare lands after a scan",
        LateOrder = "late commit or abort of a dead epoch lands after its successor's",
        ZombieAppend = "append of a zombie refused",
        ZombieServes = "zombie beside its successor",
        UnknownCommitted = "decision unknown, found committed",
        UnknownAborted = "decision unknown, found aborted",
        BeginRefused = "full disk refuses a begin",
        CrashWhilePrepared = "participant crashes between prepare and commit",
        OnePhaseProved = "lost answer of one-phase commit, settled by proof",
        OnePhaseFenced = "one-phase commit of an earlier epoch fenced off",
        WriterExcluded = "tombstone keeps out a prepare or commit in flight",
        WorkExcluded = "tombstone keeps out work in flight",
        LateCommit = "commit lands after its row was forgotten",
        RecoveredCommit = "decision carried out by a successor",
        Orphan = "orphan aborted by a scan",
        Reopened = "log opened again by the supervisor",
        DroppedBefore = "commit dropped before the append",
        DroppedAfter = "commit dropped after the append",
        BlindRecovered = "branch that cannot be listed, settled by its record",
        Shutdown = "clean shutdown",
        ShutdownUnfinished = "shutdown before all is over",
        StaleCopy = "stale copy refused",
    }
}

/// Each situation has to come about so many times in a hundred thousand schedules.
const TIMES: u64 = 100;

/// How often each has happened.
#[derive(Clone, Debug)]
pub struct Counts([u64; NAMES.len()]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; NAMES.len()])
    }
}

impl Counts {
    pub fn add(&mut self, count: Count, times: u64) {
        self.0[count as usize] += times;
    }

    pub fn merge(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }

    /// What has happened too rarely, in so many schedules.
    pub fn missing(&self, schedules: u64) -> Vec<&'static str> {
        let times = (schedules * TIMES / 100_000).min(TIMES);
        let all = NAMES.iter().zip(self.0);
        let rare = all.filter(|(_, count)| *count < times.max(1));
        rare.map(|((_, name), _)| *name).collect()
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
            writeln!(f, "  {name:<64}{count:>10}")?;
        }
        Ok(())
    }
}
