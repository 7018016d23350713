//! Messages that are sent if, and only if, a transaction commits.

use std::error::Error;

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::envelope::Message;
use super::postgres::MigrateMessages;
use super::queue::QueueName;
use super::relay::StartRelay;
use super::transport::Transport;
use crate::postgres::{Argument, cause};

/// Writes messages into a table, in the transaction of what they tell of: both commit, or neither.
/// A [`Relay`](super::Relay) sends them.
///
/// ```no_run
/// use tripod::transaction::message::{Message, Outbox, QueueName};
/// # use tripod::transaction::message::tokio_postgres;
///
/// # async fn order(client: &mut tokio_postgres::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let transaction = client.transaction().await?;
/// transaction.execute("INSERT INTO orders VALUES (7, 'a book')", &[]).await?;
/// let bill = Message::new("order-7", "30 EUR")?;
/// Outbox::new().send(&transaction, &QueueName::new("bills")?, &bill).await?;
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// A message is sent at least once: whoever takes it has the effect once by its key
/// ([`Inbox`](super::Inbox)).
///
/// # Order
///
/// A relay sends what it finds in the order in which the messages were written. What commits later
/// is found later, whatever was written first. So of one writer, who commits one transaction before
/// it begins the next, they go out in order, to each queue; but only if one relay is at work, and
/// nothing fails: what was not sent is tried again after what comes behind it elsewhere. And
/// transports promise no order. Say in the message what it follows upon, if that matters.
#[derive(Clone, Copy, Debug)]
pub struct Outbox {
    notifies: bool,
}

/// A message that was not written. Roll the transaction back.
#[derive(Debug, thiserror::Error)]
#[error("the message was not written into the outbox")]
pub struct OutboxError(#[source] Box<dyn Error + Send + Sync>);

impl Outbox {
    /// One that wakes relays by `NOTIFY` when the transaction commits.
    #[must_use]
    pub fn new() -> Self {
        Self { notifies: true }
    }

    /// One that leaves relays to find messages when they [look](StartRelay::poll). The server takes
    /// one lock for all commits that notify, so many writers at a time wait for each other; and a
    /// transaction that has notified cannot be prepared for two-phase commit.
    #[must_use]
    pub fn without_notify(mut self) -> Self {
        self.notifies = false;
        self
    }

    /// Creates the tables in the schema `tripod` of the database of this URL, or brings them to
    /// this version. Await what it returns.
    ///
    /// The user that migrates needs `CREATE` on the database, once. Those who use the tables need
    ///
    /// ```sql
    /// GRANT USAGE ON SCHEMA tripod TO shop;
    /// GRANT SELECT ON tripod.message_migration TO shop;
    /// GRANT SELECT, INSERT, UPDATE, DELETE ON tripod.inbox, tripod.outbox TO shop;
    /// ```
    pub fn migrate(url: impl Into<String>) -> MigrateMessages {
        MigrateMessages::new(url.into())
    }

    /// Sends what the outbox in the database of this URL holds, by this transport, from when it is
    /// awaited on.
    pub fn relay(url: impl Into<String>, transport: impl Transport) -> StartRelay {
        StartRelay::new(url.into(), transport)
    }

    /// Writes a message for this queue.
    ///
    /// # Errors
    /// [`OutboxError`]: roll back.
    ///
    /// # Cancel safety
    /// Roll back.
    pub async fn send(
        &self,
        transaction: &Transaction<'_>,
        queue: &QueueName,
        message: &Message,
    ) -> Result<(), OutboxError> {
        let (queue, bytes) = (queue.as_str(), message.to_bytes());
        let arguments: [Argument<'_>; 3] = [
            (&queue, Type::TEXT),
            (&bytes, Type::BYTEA),
            (&self.notifies, Type::BOOL),
        ];
        let send = "SELECT tripod.send_by_outbox($1, $2, $3)";
        let written = transaction.query_typed(send, &arguments).await;
        written.map_err(|error| OutboxError(cause(error)))?;
        Ok(())
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}
