//! What has happened, by kind: a simulation that never does a thing has not tested it.

use std::fmt;

/// Which simulation shows something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Both,
    TwoPhase,
    Sagas,
}

macro_rules! counted {
    ($($of:ident: $group:literal { $($kind:ident = $name:literal,)* })*) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Count {
            $($($kind,)*)*
        }

        /// Where it is shown, the group and the name of each.
        const NAMES: &[(Of, &str, &str)] = &[$($((Of::$of, $group, $name),)*)*];
    };
}

counted! {
    Both: "faults" {
        LostRequest = "lost request",
        LostAnswer = "lost answer",
        LateRequest = "late request",
        Duplicate = "duplicated request",
        DiskFailure = "the disk fails",
        DiskFull = "the disk is full",
        KilledAtDisk = "killed in a call of the disk",
        KilledAtMoment = "killed at a moment of the protocol",
        Killed = "killed at any time",
        PowerCut = "power cut, unsynced bytes lost or garbled",
        TornBatch = "torn batch found by recovery",
        CrashInRecovery = "second crash, in recovery",
        Reopened = "log opened again by the supervisor",
        ZombieAppend = "append of a zombie refused",
        Shutdown = "clean shutdown",
        ShutdownUnfinished = "shutdown before all is over",
    }
    TwoPhase: "participants" {
        Unreachable = "participant unreachable",
        ParticipantCrash = "participant crashed",
        Forced = "prepared branch ended by hand",
        Forbidden = "participant refuses for want of a right",
        LostLogAnswer = "answer of a shared log lost",
    }
    TwoPhase: "clients" {
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
        RetriedParked = "parked branch asked again by an operator",
        Resolved = "heuristic outcome resolved by an operator",
        WordTaken = "operator's word taken before the participant's",
        Retired = "participant of the past retired",
        RetireRefused = "retirement of a registered participant refused",
    }
    TwoPhase: "situations" {
        DurableNotSent = "crash between durable decision and first send",
        VotedNotDecided = "crash between votes and decision",
        LatePrepare = "late prepare lands after a scan",
        LateOrder = "late commit or abort of a dead epoch lands after its successor's",
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
        HeuristicCommit = "branch ended by hand has committed, and was to abort",
        HeuristicAbort = "branch ended by hand has aborted, and was to commit",
        HeuristicRecovered = "heuristic outcome known to a successor",
        DroppedBefore = "commit dropped before the append",
        DroppedAfter = "commit dropped after the append",
        BlindRecovered = "branch that cannot be listed, settled by its record",
        StaleCopy = "stale copy refused",
    }
    Sagas: "sagas" {
        Completed = "told: completed",
        CompensatedFailed = "told: compensated, a step has failed",
        CompensatedDoubtful = "told: compensated, nobody knows of a step",
        CompensatedCancelled = "told: compensated, cancelled",
        CompensatedDeadline = "told: compensated, the time was over",
        Attached = "attached by key",
        Conflict = "another payload refused",
        DroppedStart = "start dropped",
        StartUnknown = "start unknown",
        StartRefused = "full disk refuses a start",
        Cancelled = "cancelled in time",
        CancelTooLate = "cancelled too late, past the pivot",
        Busy = "nobody there to ask",
        Refused = "action refused",
        UndoRefused = "compensation refused",
        Retried = "parked step retried by an operator",
        Skipped = "parked step skipped by an operator",
        SkippedCompensation = "parked compensation skipped by an operator",
        Abandoned = "parked saga abandoned by an operator",
        AbandonedStranded = "stranded saga abandoned by an operator",
    }
    Sagas: "situations of sagas" {
        EffectNotRecorded = "crash between an effect and its record",
        ActedAgain = "action run again after a restart, under its key",
        UndoneAgain = "crash while compensating",
        MaybeHadRun = "compensated: may have run, and had",
        MaybeHadNotRun = "compensated: may have run, and had not",
        SiblingAwaited = "action fails while a sibling runs",
        PivotUnknown = "pivot of unknown outcome parked",
        LateAction = "action lands after its process has died",
        LateRefused = "late action refused by a mark",
        Repeated = "action lands twice under its key",
        Unregistered = "stranded: definition missing",
        Changed = "stranded: definition changed",
        StrandedWentOn = "stranded saga went on, and ended",
        WaitedForRoom = "saga waits for room in the log",
        SagasReplaced = "sagas opened again beside those that are open",
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

    pub fn of(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    pub fn merge(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }

    /// What has happened too rarely, in so many schedules of this simulation.
    pub fn missing(&self, simulation: Of, schedules: u64) -> Vec<&'static str> {
        let times = (schedules * TIMES / 100_000).min(TIMES);
        let all = NAMES.iter().zip(self.0);
        let shown = all.filter(|((of, ..), _)| [simulation, Of::Both].contains(of));
        let rare = shown.filter(|(_, count)| *count < times.max(1));
        rare.map(|((_, _, name), _)| *name).collect()
    }
}

/// The groups of which something has happened.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = || NAMES.iter().zip(self.0);
        let mut last = "";
        for ((_, group, name), count) in all() {
            let told = all().any(|((_, other, _), count)| other == group && count > 0);
            if !told {
                continue;
            }
            if *group != last {
                writeln!(f, "{group}:")?;
                last = group;
            }
            writeln!(f, "  {name:<64}{count:>10}")?;
        }
        Ok(())
    }
}
