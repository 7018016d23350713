//! The sentences of the law, word for word as [`TransactionLog`](super::super::TransactionLog)
//! says them, links aside: what each case names as its reason.

// Records.
pub(super) const LIVES: &str =
    "A record lives from its append until a record of its subject is appended that ends it.";
pub(super) const NOTHING_ELSE: &str =
    "Nothing else ends one: not age, not number, not a new epoch.";
pub(super) const AGAIN: &str = "A subject that has ended may begin again.";
pub(super) const DISTINCT: &str = "Distinct subjects never meet.";

// Epochs.
pub(super) const RISES: &str = "Each opening has an epoch greater than every one before it, \
    durable before anybody learns of it.";
pub(super) const ONE: &str = "At most one epoch may append: the last that was opened.";
pub(super) const BEFORE: &str = "What an earlier one has under way when the next is opened was \
    appended before that, or never is.";

// Durable.
pub(super) const ORDER: &str = "What is appended is durable in the order in which it was \
    appended: with an append, all before it.";

// Dropped futures.
pub(super) const DROPPED: &str = "A future that is dropped may have had its effect, may not have, \
    and may still have it later, whole; nothing else comes of it.";

// open
pub(super) const NEXT: &str =
    "Opens the log for a new epoch: one more than the last, or `hint` if that is greater.";
pub(super) const CREATES: &str =
    "Creates the log, with a coordinator id of random bits, if there is none.";
pub(super) const ANSWERS: &str = "Answers the coordinator id, which stays the same for the life \
    of the log; the epoch; and all that lives, in the order in which it was appended, with the \
    epochs that wrote it.";
pub(super) const REOPENS: &str =
    "A log that is open already, or has failed, is opened again by the same call.";

// reopen
pub(super) const AGAIN_IF_OURS: &str = "Opens the log again, as `open` with a hint of 0 does, if \
    nobody else has opened it since the epoch `after`.";
pub(super) const OUR_OWN: &str = "A reopening after the same epoch was not somebody else's: its \
    answer may have been lost.";
pub(super) const CREATES_NONE: &str = "Creates no log.";
pub(super) const REFUSES: &str = "`LogError::Superseded` if somebody else has opened it: no epoch \
    is used up, and whoever has the log open has it still.";

// append
pub(super) const WHOLE: &str = "Appends these records, all or none, in their order, after all \
    appends that were confirmed before.";
pub(super) const FORCED: &str = "A forced append returns when it is durable.";
pub(super) const UNFORCED: &str = "One that is not forced may return earlier, and is durable with \
    the next forced one at the latest.";
pub(super) const FLUSH: &str = "No records, forced, make durable what was appended before.";
pub(super) const COVERS: &str =
    "`space` covers what it covers; for the rest there must be room beside all reservations.";
pub(super) const FOREIGN: &str =
    "A reservation of another log, or of an earlier opening, covers nothing.";
pub(super) const DEFINITE: &str =
    "`AppendError::is_definite` tells whether the records may have been appended.";

// reserve
pub(super) const RESERVES: &str = "Sets space aside, in bytes of `Record::space`, so that no \
    append that it covers fails for want of it.";
pub(super) const LASTS: &str = "It lasts until it is used, dropped, or the log is opened again.";

// close
pub(super) const CLEAN: &str =
    "Ends this epoch cleanly: all that was appended is durable when this returns.";
pub(super) const CLOSED: &str = "Nothing is appended until the log is opened again.";
pub(super) const NOT_OURS: &str = "Of an epoch that is not the open one, nothing happens.";

// Pointers.
pub(super) const FORWARD: &str =
    "Use it through `Arc<dyn TransactionLog>`, `Box<dyn TransactionLog>` or by value: all forward.";
