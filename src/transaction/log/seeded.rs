//! Faults that tests put into the log, one at a time, to see that they are caught. Built for
//! anything else, the log has none.

/// What the log does wrong. Each stands at the one place where it would be done right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seeded {
    /// A frame counts whatever its checksum, unless that is zero.
    ChecksNothing,
    /// A forced append is answered before its sync.
    AnswersBeforeItSyncs,
    /// After a failed sync it syncs again, and believes that.
    SyncsAgainAfterAFailure,
    /// A new segment gets its name before it is durable.
    NamesBeforeItSyncs,
    /// Names are not made durable.
    SyncsNoNames,
    /// The next opening has the epoch of the one before.
    KeepsTheEpoch,
    /// The first of the live records is not carried into the next segment.
    CarriesAllButOne,
    /// Records of earlier epochs are not carried.
    DropsByAge,
    /// Who ends a subject ends nothing.
    ForgetsEnds,
    /// The tail is cut without a look at what follows it.
    CutsWithoutALook,
    /// What is sealed may have changed.
    IgnoresTheSeal,
    /// The seal is written with what it vouches for, and synced with it.
    SealsBeforeItSyncs,
    /// A frame says of those beside it in its batch that they are durable.
    CallsDurableWhatIsNot,
    /// Whatever epoch appends, it is taken.
    TakesAnyEpoch,
    /// The segment that was left is gone before the next one has its name.
    LeavesBeforeItHasArrived,
    /// An opening reads the first segment that it finds.
    ReadsTheOldest,
}

#[cfg(not(test))]
pub(super) const fn has(_: Seeded) -> bool {
    false
}

#[cfg(test)]
pub(crate) use switch::{has, with};

#[cfg(test)]
mod switch {
    use std::cell::Cell;

    use super::Seeded;

    thread_local! {
        static SEEDED: Cell<Option<Seeded>> = const { Cell::new(None) };
    }

    /// Whether the log of this thread does this wrong.
    pub(crate) fn has(fault: Seeded) -> bool {
        SEEDED.get() == Some(fault)
    }

    /// The log of this thread does this wrong while that runs.
    #[allow(dead_code, reason = "as where the log names it")]
    pub(crate) fn with<T>(fault: Seeded, run: impl FnOnce() -> T) -> T {
        SEEDED.set(Some(fault));
        let answer = run();
        SEEDED.set(None);
        answer
    }
}
