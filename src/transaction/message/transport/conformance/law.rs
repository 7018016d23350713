//! The law, sentence by sentence, as the trait's documentation has it, links aside.

// Queues.
pub(super) const KEEPS: &str =
    "A queue keeps each message until it is acknowledged, or discarded as a dead letter.";
pub(super) const NOTHING_ELSE: &str =
    "Nothing else removes one: not age, not the end of who received it.";
pub(super) const CREATED: &str = "Queues need not be created, and never meet.";

// Deliveries.
pub(super) const ONE: &str = "Each message is delivered to one of those who receive from its \
    queue, and kept from the others for the `lease`.";
pub(super) const AGAIN: &str =
    "Not acknowledged by then, it is delivered again, to whoever receives.";
pub(super) const COUNTS: &str =
    "Each delivery of a message says how many there were, itself included.";

// Dead letters.
pub(super) const DEAD: &str = "A message that would be delivered more than `deliveries_max` times \
    becomes a dead letter of its queue instead, and is delivered no more.";

// Dropped futures.
pub(super) const DROPPED: &str = "A future that is dropped may have had its effect, may not have, \
    and may still have it later, whole.";
pub(super) const DROPPED_RECEIVE: &str =
    "What a dropped receive has taken is delivered again after the lease.";
pub(super) const ENDS: &str = "Every call ends by itself.";

// Pointers.
pub(super) const FORWARD: &str =
    "Use it through `Arc<dyn Transport>`, `Box<dyn Transport>` or by value: all forward.";

// terms
pub(super) const SAME: &str = "Always the same.";

// send
pub(super) const PUTS: &str = "Puts a message into a queue, and returns when it is as durable as \
    the transport makes anything.";
pub(super) const TWICE: &str = "The same message sent twice is two.";
pub(super) const FULL: &str = "`TransportError::Full` where the queue has `length_max` messages, \
    dead letters included.";

// receive
pub(super) const TAKES: &str = "Takes messages that may be delivered, at most `count`.";
pub(super) const NONE: &str = "Where there are none it waits, and answers none after `wait`.";
pub(super) const MEANWHILE: &str = "What comes meanwhile ends the wait.";

// postpone
pub(super) const POSTPONES: &str = "Has a message delivered again after this `delay` from now, or \
    after the lease if that is shorter, unless it is acknowledged before.";
pub(super) const POSTPONED: &str = "Answers whether it will be.";
pub(super) const STALE: &str = "Of a delivery that is not its message's last one, or whose \
    message is gone, nothing changes, and the answer is no.";

// acknowledge
pub(super) const ACKNOWLEDGES: &str = "Removes the messages of these deliveries for good, also \
    where a message was delivered again since.";
pub(super) const PASSED_OVER: &str = "Those that are gone are passed over.";

// dead_letters
pub(super) const OLDEST: &str =
    "The dead letters of a queue that have been dead for longest, at most `count`.";

// redrive
pub(super) const REDRIVES: &str =
    "Puts a dead letter back into its queue, to be delivered as if it had never been.";
pub(super) const REDRIVEN: &str = "Answers whether there was one.";

// discard
pub(super) const DISCARDS: &str = "Removes a dead letter for good.";
pub(super) const DISCARDED: &str = "Answers whether there was one.";
