//! Sagas: work of seconds or days, whose steps are compensated if it cannot be done.
//!
//! A trip is booked with a hotel, an airline and a bank, and none of them holds a lock for as long
//! as the others take. So each is booked for good; and if the flight is full, the hotel is
//! cancelled. The process that does this can die between any two of these steps: what it has done
//! and what it was about to do is in a log, and whoever opens the log next goes on.
//!
//! ```
//! use tripod::transaction::log::MemoryLog;
//! use tripod::transaction::saga::{Definition, Run, SagaKey, SagaOutcome, Sagas, Step, StepError};
//!
//! async fn book_hotel(run: Run<String>) -> Result<u32, StepError> {
//!     // Under `run.key()`, which is the same however often this is tried.
//!     println!("a room for {}", run.input());
//!     Ok(101)
//! }
//!
//! async fn cancel_hotel(run: Run<String>, room: Option<u32>) -> Result<(), StepError> {
//!     println!("room {room:?} of {} is free again", run.input());
//!     Ok(())
//! }
//!
//! async fn charge(run: Run<String>) -> Result<(), StepError> {
//!     let room: u32 = run.output("hotel")?;
//!     Err(StepError::failed(format!("no money for room {room}")))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let trip = Definition::builder("trip", 1)
//!     .step(Step::new("hotel", 1, book_hotel).compensate(cancel_hotel))
//!     .step(Step::new("charge", 1, charge).pivot())
//!     .build()?;
//! // `FileLog` keeps sagas in a directory. This one forgets them with the process.
//! let sagas = Sagas::open(MemoryLog::new()).register(&trip).await?;
//!
//! let order = SagaKey::new("order 17")?;
//! let saga = sagas.start(&trip, &order, &"Ada".to_owned()).await?;
//! match saga.outcome().await? {
//!     SagaOutcome::Completed(_) => unreachable!("the card is refused"),
//!     SagaOutcome::Compensated { step, .. } => assert_eq!(step.as_deref(), Some("charge")),
//!     SagaOutcome::Abandoned => unreachable!("nobody gave it up"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Steps
//!
//! A step has an action and, before the point of no return, a compensation. It comes after the one
//! before it, or [after](Step::after) those that it names: what comes after the same is run at once.
//!
//! | kind | where | its action fails | its action gives no answer, as often as it is tried |
//! |---|---|---|---|
//! | [compensatable](Step::compensate) | before the pivot | all is compensated | all is compensated, itself too |
//! | [harmless](Step::harmless) | anywhere | as its neighbours | as its neighbours, and nothing is run for itself |
//! | [pivot](Step::pivot) | at most one | all is compensated | it waits for an operator |
//! | [retriable](Step::retriable) | after the pivot | it waits for an operator | it waits for an operator |
//!
//! What an error means, says the [`StepError`]; one that nobody has classified means that nobody
//! knows. An action of which nobody knows may come to pass later: its compensation leaves a mark
//! under the [action's key](Run::action_key), so that it is refused then.
//!
//! # Guarantees
//!
//! - Once [`start`](Sagas::start) has returned, the saga ends as completed or as compensated,
//!   whatever dies and comes back; or waits visibly for an operator, with the step and the reason.
//! - No action is run before all that it comes after is durably done. Compensations are run in the
//!   reverse order, and none before all actions that were under way have come to their end.
//! - An action and its compensation each have one [key](Run::key), the same in every try and after
//!   every restart. Whoever has an effect once per key, has it once.
//! - Past the pivot nothing is compensated; and whether the pivot was taken is never guessed.
//! - A definition that has changed while a saga of it was under way strands that saga, visibly, and
//!   nothing else.
//!
//! # What it does not guarantee
//!
//! - **Isolation.** Others see a step's effect at once, also one that is compensated later. What
//!   helps: let a step only *hold* what a later one makes final (a semantic lock: the order is
//!   "pending" until the retriable step that confirms it); effects that commute (take 5 off, add 5,
//!   never "set to 95"); and reading again, by version, what an earlier step has read, before the
//!   pivot relies on it. The example `isolation` shows all three.
//! - **Effects once without help.** An action is run at least once. The service on the other side
//!   remembers keys, or asks an [inbox](crate::transaction::message); behind a queue, a
//!   [`QueueStep`](crate::transaction::message::QueueStep) does that.
//! - **That a compensation restores.** It makes good, by rules of the business: a mail is followed
//!   by another.
//! - **The clock.** Deadlines and retentions go by the clock of the machine.
//!
//! # Operating
//!
//! Look at [`list`](Sagas::list) with [`SagaFilter::Parked`]. A parked step is
//! [tried again](Sagas::retry), or done by hand and [skipped](Sagas::skip); a saga can be
//! [cancelled](Sagas::cancel) before its pivot, and [abandoned](Sagas::abandon) as it is. Pictures
//! of a saga: [`SagaStatus::to_mermaid`].
//!
//! # Testing
//!
//! [`testing::rehearse`] runs a saga of yours with failures at every step, repeats, and a crash
//! after every record.
//!
//! # Cost
//!
//! One forced append of the log for the start, one for each step, shared by all sagas that append at
//! the time: four for three steps. `cargo run --release --manifest-path benches/peers/Cargo.toml
//! --bin sagas` measures it beside another crate.
//!
//! # Sources
//!
//! Hector Garcia-Molina and Kenneth Salem: *Sagas*, 1987. Sharad Mehrotra, Rajeev Rastogi, Henry F.
//! Korth and Abraham Silberschatz: *A transaction model for multidatabase systems*, 1992, on the
//! pivot. Lars Frank and Torben U. Zahle: *Semantic ACID properties in multidatabases*, 1998, on
//! what helps against the lack of isolation. Pat Helland: *Life beyond distributed transactions*,
//! 2007.

mod backward;
mod blueprint;
mod coordinator;
mod definition;
mod error;
mod event;
mod fact;
mod forward;
mod key;
mod kind;
mod picture;
mod retry;
mod run;
mod shape;
mod state;
mod step;
pub mod testing;
mod wishes;

pub use coordinator::{
    OpenSagas, OutputError, Outputs, SagaEvent, SagaFilter, SagaHandle, SagaLost, SagaOutcome,
    SagaStatus, Sagas, StepStatus, Stranding,
};
pub use definition::{Definition, DefinitionBuilder};
pub use error::{DefinitionError, OpenError, OperateError, StartError, StepError};
pub use event::{Action, Event, Refusal, Transition, Verdict};
pub use fact::{End, Fact, Json, ParkReason, Reason};
pub use key::{SagaKey, SagaKeyError};
pub use kind::Kind;
pub use retry::Retry;
pub use run::Run;
pub use shape::STEPS_MAX;
pub use state::{Direction, Execution, Progress, StepState};
pub use step::{OUTPUT_LEN_MAX, Step};
