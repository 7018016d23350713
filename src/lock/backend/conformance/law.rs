//! The sentences of the law, word for word as [`LockBackend`](super::super::LockBackend) says
//! them, links aside: what each case names as its reason.

// Steps.
pub(super) const STEP: &str = "Each method but `changed` and `renew` is one atomic step of the \
    store; `renew` is one for each of its entries.";
pub(super) const DROPPED: &str = "A future that is dropped may have taken its step, may not have, \
    and may still take it later.";
pub(super) const ENDS: &str = "Every call but `changed` ends by itself: a store that does not answer within a \
    time of the implementor's choosing is *indeterminate*, or *unavailable* if nothing can have \
    reached it.";
pub(super) const AGAIN: &str = "Every step may be taken again with the same arguments and does \
    not happen twice; its answer is then the present one.";

// Leases.
pub(super) const LIFE: &str = "An entry lives for its TTL from the last step that began its lease \
    anew: `enqueue`, a `claim` that finds it, `renew`; where it shares a lease with others, from that \
    one's last renewal.";
pub(super) const NOTHING_ELSE: &str = "Nothing else creates or prolongs one.";
pub(super) const END: &str = "By the store's clock it is gone no sooner than that; and at most one \
    TTL and the store's own granularity later, though nobody touches the name, it blocks nobody.";
pub(super) const IN_FORCE: &str = "The store may put a longer TTL in force than was asked for.";
pub(super) const SESSION: &str = "Where entries share a lease or a session with others of the \
    process, the implementor removes those that `renew` and `claim` have stopped naming, while the \
    process lives, and the session's end removes them when it does not.";
pub(super) const PROVED: &str = "Answers carry the `Lease` in force, its time read *before* the \
    request was sent that proved it, so that nobody believes in a lease for longer than the store \
    does.";

// Grants.
pub(super) const JUDGED: &str = "Who may hold is what `judge` says of the entries of the name as \
    they are in that step.";
pub(super) const TOKEN: &str = "A grant carries a fencing token greater than that of any earlier \
    grant of the name, across releases, expiries and restarts of the store, drawn in the step that \
    grants and not in the one that entered the queue; and the lowest token among those who hold \
    then.";
pub(super) const NEVER_DISPLACED: &str = "A holder is never displaced, and its token and floor \
    never change.";

// Names and pointers.
pub(super) const NAMES: &str = "Distinct names never meet: none is a prefix or a neighbour of \
    another in the store.";
pub(super) const POINTERS: &str = "Use it through `Arc<dyn LockBackend>`, `Box<dyn LockBackend>` \
    or by value: all forward.";

// `enqueue`.
pub(super) const ENQUEUE: &str = "Grants a request that may hold; else enters it in the queue; or \
    leaves nothing behind if it does not wait.";
pub(super) const NO_WAIT: &str = "One that does not wait passes no waiter, whatever its priority.";
pub(super) const ENQUEUE_AGAIN: &str = "If the id has an entry in this mode already, nothing is \
    created: the lease begins anew, and the answer is about that entry, a waiting one granted as \
    by `claim`.";
pub(super) const OTHER_MODE: &str = "*Rejected*: the id has an entry in another mode, which stays \
    as it is.";

// `changed`.
pub(super) const TOLD: &str = "Returns once a `claim` of this entry might answer something else \
    than waiting, and at once if it might now.";
pub(super) const ALL_TOLD: &str = "May be called by several at a time: all return.";
pub(super) const SPURIOUS: &str = "May return without reason.";
pub(super) const RECHECK: &str = "May miss what time alone does, the end of a lease; callers look \
    again after `Standing::recheck` as well.";

// `claim`.
pub(super) const CLAIM: &str = "Grants a waiter that may hold now.";
pub(super) const CLAIM_HOLDER: &str = "Answers a holder its grant.";
pub(super) const CLAIM_LEASE: &str = "Begins the lease of either anew.";

// `renew`.
pub(super) const RENEW: &str = "Begins the leases of these entries anew, holders and waiters \
    alike, and answers for each, in their order.";
pub(super) const NEVER_CREATES: &str = "Never creates an entry.";
pub(super) const EACH_ALONE: &str = "One entry's failure is not another's.";

// `release`.
pub(super) const RELEASE: &str = "Ends this id's entry if it holds, and answers whether it did.";
pub(super) const NO_OTHER: &str = "Does nothing to any other.";
pub(super) const FIRST_TRUE: &str = "The first `true` means that nobody else can have held in \
    between; a repeat's `false` says only that it is gone now.";

// `release`, `leave` and `force_release`.
pub(super) const HEIRS_TOLD: &str = "Waiters that may hold now are told.";

// `leave`.
pub(super) const LEAVE: &str = "Ends whatever entry this id has, waiter or holder, and sees to it \
    that an `enqueue` of this id that is still under way leaves none beyond its TTL.";

// `inspect`.
pub(super) const INSPECT: &str = "Who holds and who waits, as of one instant.";

// `force_release`.
pub(super) const FORCE: &str = "Ends the entry of the holder with this fencing token, and answers \
    whether there was one.";
pub(super) const FORCE_EXACT: &str = "It is the token that an operator saw, so a late command does \
    not hit a later holder.";
