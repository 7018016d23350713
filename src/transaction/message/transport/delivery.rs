//! Messages on their way, and those that are delivered no more.

use std::sync::Arc;

use crate::transaction::message::envelope::Message;

/// A delivery, as its transport knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    id: Arc<str>,
    deliveries: u32,
}

impl Receipt {
    /// For implementors of transports: what names the message in its queue, and how often it was
    /// delivered.
    #[must_use]
    pub fn new(id: impl Into<Arc<str>>, deliveries: u32) -> Self {
        Self {
            id: id.into(),
            deliveries,
        }
    }

    /// What names the message in its queue.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How often it was delivered, this time included.
    #[must_use]
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }
}

/// A message that was received.
#[derive(Clone, Debug)]
pub struct Delivery {
    receipt: Receipt,
    message: Message,
}

impl Delivery {
    /// For implementors of transports.
    #[must_use]
    pub fn new(receipt: Receipt, message: Message) -> Self {
        Self { receipt, message }
    }

    /// What it is acknowledged by.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// What was sent.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }
}

/// A dead letter of a queue, as its transport knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LetterId(Arc<str>);

impl LetterId {
    /// For implementors of transports, and for operators who have its text.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A message that is delivered no more.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    id: LetterId,
    deliveries: u32,
    message: Option<Message>,
}

impl DeadLetter {
    /// For implementors of transports.
    #[must_use]
    pub fn new(id: LetterId, deliveries: u32, message: Option<Message>) -> Self {
        Self {
            id,
            deliveries,
            message,
        }
    }

    /// What it is redriven or discarded by.
    #[must_use]
    pub fn id(&self) -> &LetterId {
        &self.id
    }

    /// How often it was delivered.
    #[must_use]
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// What was sent; none where something else than a message was put into the queue.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        self.message.as_ref()
    }
}
