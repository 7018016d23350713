//! Two-phase commit.
mod book;
mod branch;
mod event;
mod ledger;
mod record;
mod replay;
mod settle;
mod state;
mod table;
mod vote;

pub use book::{Book, Entry, Inquirer, Recovered, Standing};
pub use branch::{Branch, ParkReason, Progress};
pub use event::{AbortReason, Action, Answer, Event, Impossible, Refusal, Resolution};
pub use ledger::{Ledger, Reply, Row, Settled, StaleLog};
pub use record::{Deed, NamedBranch, Record, RecordKind};
pub use state::{Decision, Phase, Transaction};
pub use vote::{Outcome, Report, Request, Vote};
