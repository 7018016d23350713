//! An inbox in a `PostgreSQL` database.

use std::time::Duration;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::{InboxError, kept};
use crate::postgres::{Argument, cause};
use crate::transaction::message::envelope::Message;
use crate::transaction::message::postgres::MigrateMessages;
use crate::transaction::message::queue::QueueName;
use crate::transaction::message::step::{StepReply, StepRequest, Turn};

/// A week: longer than any message is under way by far, redriven dead letters aside.
const RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// Less would let a message that is merely slow have its effect twice.
const RETENTION_MIN: Duration = Duration::from_secs(3600);

/// Clocks of machines that send and of those that receive differ by less.
const CLOCKS: Duration = Duration::from_secs(300);

/// Rows that one statement drops, so that it ends soon.
const SWEPT: i32 = 1000;

/// Remembers which messages of a queue had their effect, by a row in the effect's own transaction,
/// and what they were answered (Helland 2007, "activities"; Hohpe and Woolf 2003, *Idempotent
/// Receiver*).
///
/// ```no_run
/// use tripod::transaction::message::{Entered, HandlerError, Inbox, Message};
/// # use tripod::transaction::message::tokio_postgres;
///
/// async fn pay(
///     inbox: &Inbox,
///     client: &mut tokio_postgres::Client,
///     request: &Message,
/// ) -> Result<Vec<u8>, HandlerError> {
///     let transaction = client.transaction().await?;
///     if let Entered::Again(reply) = inbox.enter(&transaction, request).await? {
///         return Ok(reply);
///     }
///     let pay = "UPDATE account SET balance = balance - 30 WHERE owner = 'ada'";
///     transaction.execute(pay, &[]).await?;
///     inbox.keep(&transaction, request, b"paid").await?;
///     transaction.commit().await?;
///     Ok(b"paid".to_vec())
/// }
/// ```
///
/// What else the effect is made of, outside the database, is not covered.
#[derive(Clone, Debug)]
pub struct Inbox {
    queue: QueueName,
    retention: Duration,
}

/// Whether a message had its effect.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "the effect must not happen again"]
pub enum Entered {
    /// It did not: have it now, in this transaction. Nobody else can meanwhile.
    First,
    /// It did, and this was kept as its reply.
    Again(Vec<u8>),
}

impl std::fmt::Debug for Entered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::First => f.write_str("First"),
            Self::Again(reply) => write!(f, "Again({} bytes)", reply.len()),
        }
    }
}

impl Inbox {
    /// That of the messages that come by this queue. Keys of different queues never meet.
    #[must_use]
    pub fn new(queue: QueueName) -> Self {
        Self {
            queue,
            retention: RETENTION,
        }
    }

    /// For how long a row is kept, a week at first, an hour at least: longer than a message may
    /// come again. That is [lease](super::super::Terms::lease) times
    /// [deliveries](super::super::Terms::deliveries_max) for one that is in its queue, and beside
    /// it the time for which those who send it try again, and in which dead letters are redriven.
    /// What comes later has its effect again. For steps of sagas, longer than any saga takes: a
    /// [compensation](Self::turn) that comes later waits for an operator.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention.max(RETENTION_MIN);
        self
    }

    /// Creates the tables in the database of this URL; the same as
    /// [`Outbox::migrate`](super::super::Outbox::migrate).
    pub fn migrate(url: impl Into<String>) -> MigrateMessages {
        MigrateMessages::new(url.into())
    }

    /// Lets a message in. Put it first in the transaction that has the effect: it waits for another
    /// that has the same message in, and then answers what became of it. Rows past their time are
    /// dropped along the way, two for each that comes.
    ///
    /// # Errors
    /// [`InboxError`]: roll back. Under `REPEATABLE READ` or stricter, one that waited for another
    /// fails; it comes again.
    ///
    /// # Cancel safety
    /// Roll back.
    pub async fn enter(
        &self,
        transaction: &Transaction<'_>,
        message: &Message,
    ) -> Result<Entered, InboxError> {
        let (queue, key) = (self.queue.as_str().as_bytes(), message.key().as_bytes());
        let digest = message.digest();
        let (digest, retention_us) = (digest.as_slice(), self.retention_us());
        let arguments: [Argument<'_>; 4] = [
            (&queue, Type::BYTEA),
            (&key, Type::BYTEA),
            (&digest, Type::BYTEA),
            (&retention_us, Type::INT8),
        ];
        let enter = "SELECT is_first, known_digest, known_reply
            FROM tripod.enter_inbox($1, $2, $3, $4)";
        let rows = transaction.query_typed(enter, &arguments).await;
        let rows = rows.map_err(failed)?;
        let garbled = || InboxError::Failed("the server answered what was not understood".into());
        let row = rows.first().ok_or_else(garbled)?;
        if row.try_get(0).map_err(failed)? {
            return Ok(Entered::First);
        }
        let known: Vec<u8> = row.try_get(1).map_err(failed)?;
        if known != digest {
            return Err(InboxError::Conflict);
        }
        Ok(Entered::Again(row.try_get(2).map_err(failed)?))
    }

    /// Keeps the reply to a message that was [let in](Self::enter) first, for its repeats. Without
    /// it, they are answered by nothing.
    ///
    /// # Errors
    /// [`InboxError::Failed`]: roll back.
    ///
    /// # Cancel safety
    /// Roll back.
    pub async fn keep(
        &self,
        transaction: &Transaction<'_>,
        message: &Message,
        reply: &[u8],
    ) -> Result<(), InboxError> {
        let (queue, key) = (self.queue.as_str().as_bytes(), message.key().as_bytes());
        let arguments: [Argument<'_>; 3] = [
            (&queue, Type::BYTEA),
            (&key, Type::BYTEA),
            (&reply, Type::BYTEA),
        ];
        let keep = "UPDATE tripod.inbox SET reply = $3 WHERE queue = $1 AND key = $2 RETURNING 1";
        let rows = transaction.query_typed(keep, &arguments).await;
        if rows.map_err(failed)?.is_empty() {
            return Err(InboxError::Failed("the message was not let in".into()));
        }
        Ok(())
    }

    /// Lets a step of a saga in, and says what is to be done. Put it first in the transaction that
    /// does it, and then [`keep`](Self::keep) what it is answered. An action that comes after its
    /// compensation is answered that it failed. A compensation that failed may be asked for again,
    /// once somebody has seen to it.
    ///
    /// ```no_run
    /// use tripod::transaction::message::{HandlerError, Inbox, Message, StepReply, StepRequest, Turn};
    /// # use tripod::transaction::message::tokio_postgres;
    ///
    /// async fn book(
    ///     inbox: &Inbox,
    ///     client: &mut tokio_postgres::Client,
    ///     message: Message,
    /// ) -> Result<Vec<u8>, HandlerError> {
    ///     let request = StepRequest::new(message)?;
    ///     let transaction = client.transaction().await?;
    ///     let free = match inbox.turn(&transaction, &request).await? {
    ///         Turn::Do => "UPDATE hotel SET free = free - 1 WHERE free > 0",
    ///         Turn::Undo(_) => "UPDATE hotel SET free = free + 1",
    ///         Turn::Answered(reply) => {
    ///             transaction.commit().await?;
    ///             return Ok(reply.to_bytes());
    ///         }
    ///     };
    ///     let reply = match transaction.execute(free, &[]).await? {
    ///         0 => StepReply::failed("the hotel is full"),
    ///         _ => StepReply::done("a room"),
    ///     };
    ///     inbox.keep(&transaction, request.message(), &reply.to_bytes()).await?;
    ///     transaction.commit().await?;
    ///     Ok(reply.to_bytes())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`InboxError`]: roll back. [`InboxError::Forgotten`] for a compensation of a saga that is
    /// older than the retention, where there is no row of its action.
    ///
    /// # Cancel safety
    /// Roll back.
    pub async fn turn(
        &self,
        transaction: &Transaction<'_>,
        request: &StepRequest,
    ) -> Result<Turn, InboxError> {
        let acted = match request.undoes() {
            None => None,
            Some(action) => Some(match self.enter(transaction, action).await? {
                Entered::Again(reply) => kept(&reply)?,
                Entered::First if request.age().saturating_add(CLOCKS) >= self.retention => {
                    return Err(InboxError::Forgotten);
                }
                Entered::First => {
                    let excluded = StepReply::excluded();
                    self.keep(transaction, action, &excluded.to_bytes()).await?;
                    excluded
                }
            }),
        };
        let message = request.message();
        if let Entered::Again(reply) = self.enter(transaction, message).await? {
            let answered = kept(&reply)?;
            return match acted {
                Some(acted)
                    if answered.outcome().is_err()
                        && self.takes_back(transaction, message, &reply).await? =>
                {
                    Ok(Turn::Undo(acted))
                }
                Some(_) | None => Ok(Turn::Answered(answered)),
            };
        }
        Ok(match acted {
            None => Turn::Do,
            Some(acted) if acted.outcome().is_ok() => Turn::Undo(acted),
            Some(_) => {
                let nothing = StepReply::done(());
                self.keep(transaction, message, &nothing.to_bytes()).await?;
                Turn::Answered(nothing)
            }
        })
    }

    /// Takes a reply out of its row, if it is still there: nobody else has it then.
    async fn takes_back(
        &self,
        transaction: &Transaction<'_>,
        message: &Message,
        reply: &[u8],
    ) -> Result<bool, InboxError> {
        let (queue, key) = (self.queue.as_str().as_bytes(), message.key().as_bytes());
        let arguments: [Argument<'_>; 3] = [
            (&queue, Type::BYTEA),
            (&key, Type::BYTEA),
            (&reply, Type::BYTEA),
        ];
        let take = "UPDATE tripod.inbox SET reply = '' WHERE queue = $1 AND key = $2 AND reply = $3
            RETURNING 1";
        let rows = transaction.query_typed(take, &arguments).await;
        Ok(!rows.map_err(failed)?.is_empty())
    }

    /// Drops some rows past their time, at most a thousand, and answers how many. Of use where few
    /// new messages come.
    ///
    /// # Errors
    /// [`InboxError::Failed`]: some may be gone.
    ///
    /// # Cancel safety
    /// Some may be gone.
    pub async fn sweep(&self, client: &Client) -> Result<u64, InboxError> {
        let (queue, retention_us) = (self.queue.as_str().as_bytes(), self.retention_us());
        let arguments: [Argument<'_>; 3] = [
            (&queue, Type::BYTEA),
            (&retention_us, Type::INT8),
            (&SWEPT, Type::INT4),
        ];
        let sweep = "SELECT tripod.sweep_inbox($1, $2, $3)";
        let rows = client.query_typed(sweep, &arguments).await;
        let rows = rows.map_err(failed)?;
        let swept = rows.first().map(|row| row.try_get::<_, i64>(0));
        let swept = swept.transpose().map_err(failed)?;
        Ok(u64::try_from(swept.unwrap_or_default()).unwrap_or_default())
    }

    fn retention_us(&self) -> i64 {
        // More than PostgreSQL's calendar has.
        let most = 100_000 * 365 * 86_400 * 1_000_000;
        i64::try_from(self.retention.as_micros()).map_or(most, |micros| micros.min(most))
    }
}

fn failed(error: tokio_postgres::Error) -> InboxError {
    InboxError::Failed(cause(error))
}
