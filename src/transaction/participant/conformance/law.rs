//! The sentences of the law, word for word as [`Participant`](super::super::Participant) and
//! [`Enlist`](super::super::Enlist) say them, links aside: what each case names as its reason.

pub(super) const LEDGER: &str =
    "`Ledger` is the law as a small program: one that answers as it does, durably, obeys.";

// Branches.
pub(super) const ONCE: &str = "A branch works, may be prepared, and is settled as committed or \
    aborted, once and for good: all of it happens, or nothing.";
pub(super) const LOST: &str =
    "Until it is prepared it may be lost at any time, and then nothing of it happens.";
pub(super) const WAITS: &str =
    "Prepared, it waits for the decision, however long that takes and whatever fails.";
pub(super) const OTHERS: &str = "Branches of other coordinators, and whatever else is prepared in \
    the same store, are never touched.";

// Durable.
pub(super) const DURABLE: &str =
    "A vote of yes, and every report of what a branch did, is durable before it is given.";

// Proof.
pub(super) const ROW: &str = "What a branch did is remembered until `forget` allows to drop it, \
    in a row that is written by the branch's own transaction.";
pub(super) const NO_ROW: &str = "Where there is no row, nothing is concluded: `settle` puts a \
    tombstone in its place, which waits for a writer in flight, and then loses to it or keeps it \
    out for ever.";

// Repeats.
pub(super) const REPEATS: &str = "Every request may come again, late, twice at once, and after \
    its transaction is over.";
pub(super) const PRESENT: &str = "It then changes nothing, and its answer is the present one.";

// Dropped futures.
pub(super) const DROPPED: &str = "A future that is dropped may have had its effect, may not have, \
    and may still have it later, whole.";
pub(super) const ENDS: &str = "Every call ends by itself.";

pub(super) const FORWARD: &str =
    "Use it through `Arc<dyn Participant>`, `Box<dyn Participant>` or by value: all forward.";

// name, lists
pub(super) const NAME: &str =
    "What its coordinator calls it, for as long as their logs and rows live.";
pub(super) const LISTS: &str = "Whether `in_doubt` tells every branch that may be prepared.";
pub(super) const SAME: &str = "Always the same.";

// open
pub(super) const NOTED: &str = "Takes note that a coordinator's log was opened: the highest epoch \
    seen of each is remembered.";
pub(super) const FENCED: &str = "From here on, one-phase commits of earlier epochs abort.";
pub(super) const AGAIN: &str = "The same opening may say so again.";
pub(super) const STALE: &str = "`ParticipantOpenError::Stale` at an epoch below the highest seen, \
    or at the same in another opening: nothing changes.";

// prepare
pub(super) const PREPARES: &str =
    "Makes a branch so durable that both outcomes stay possible, and votes.";
pub(super) const VOTES_AGAIN: &str = "A prepared branch votes yes again.";
pub(super) const READ_ONLY: &str =
    "One that has changed nothing may vote read-only: it is over, and its locks are gone.";
pub(super) const VOTES_NO: &str = "One that does not work, or ended by itself, votes no.";

// commit_one_phase
pub(super) const ONE_PHASE: &str = "Commits a branch that works or is prepared, together with its \
    row; or aborts it, if its coordinator was opened in a later epoch.";
pub(super) const REPORTS: &str = "Reports what it did.";
pub(super) const MISSING: &str = "Where there is no such branch and no row, it is missing.";

// commit
pub(super) const COMMITS: &str = "Commits a prepared branch, and reports what it did.";
pub(super) const COMMIT_MISSING: &str = "Where there is no such branch and no row: below the \
    coordinator's watermark it reports that the branch committed, for only a repeat can ask; else \
    it is missing.";

// abort
pub(super) const ABORTS: &str = "Aborts a branch that works or is prepared, and reports what it \
    did: committed, if it had been.";
pub(super) const TOMBSTONE: &str = "Leaves a tombstone but below the coordinator's watermark, so \
    that the branch can never be prepared or committed, whatever of it is still under way.";

// settle
pub(super) const SETTLES: &str = "Says what a branch did, and proves it: by its row, or by a \
    tombstone in the row's place, which ends a branch that works.";
pub(super) const ONLY_REPORTED: &str = "A prepared branch is only reported.";
pub(super) const UNSAID: &str =
    "Below the coordinator's watermark, where there is no row, it says that it cannot be said.";

// in_doubt
pub(super) const IN_DOUBT: &str =
    "The prepared branches of this coordinator's epochs before this one, and of nobody else.";

// forget
pub(super) const FORGETS: &str = "Every transaction of this coordinator below this epoch and \
    sequence is over: the rows of its settled branches may be dropped.";
pub(super) const NEVER_LOWERS: &str = "Never lowers the watermark.";
pub(super) const PREPARED_STAND: &str = "Prepared branches stand.";

// Enlist
pub(super) const HANDLE: &str = "The caller's handle of a branch.";
pub(super) const HANDLE_ENDS: &str = "It ends with the branch: what is asked of it once the commit \
    was asked for is refused, and nothing comes of it.";
pub(super) const BEGINS: &str = "Begins a branch.";
pub(super) const REFUSED: &str = "One that is settled, or below the watermark, is refused.";
pub(super) const EARLIER: &str = "So is one of an epoch before the highest seen of its \
    coordinator: nobody is left who would end it.";
