//! What a step asks for over a queue, and what it is answered.

use std::fmt;
#[cfg(feature = "postgres")]
use std::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::transaction::message::envelope::{Message, MessageError};

/// Names the action that a compensation is of, by its key.
const UNDOES: &str = "tripod-undoes";

/// When its saga was started, in milliseconds since 1970.
const SINCE: &str = "tripod-since";

/// What a saga asks a service for: to do something, or to undo it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRequest {
    message: Message,
    action: Option<Message>,
}

/// What became of it. `Debug` does not tell what was given.
#[derive(Clone, PartialEq, Eq)]
pub struct StepReply(Result<Value, String>);

/// What is left to do, as an inbox says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "something may have to be done"]
pub enum Turn {
    /// Do it, in this transaction, and keep the reply.
    Do,
    /// Undo it, in this transaction, and keep the reply. This is what the action was answered.
    Undo(StepReply),
    /// Nothing: this is the reply. Commit all the same: it may be that the action is excluded by it.
    Answered(StepReply),
}

impl StepRequest {
    /// Reads a message as one.
    ///
    /// # Errors
    /// [`MessageError::Key`]: it says that it undoes what has no key.
    pub fn new(message: Message) -> Result<Self, MessageError> {
        let undoes = message.header(UNDOES);
        let action = undoes.map(|key| Message::new(key, message.payload()));
        let action = action.transpose()?;
        Ok(Self { message, action })
    }

    pub(super) fn ask(
        key: &str,
        undoes: Option<&str>,
        asked: &str,
        since: SystemTime,
    ) -> Result<Message, MessageError> {
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let message = Message::new(key, asked)?;
        let message = message.with_header(SINCE, &since.as_millis().to_string())?;
        match undoes {
            Some(action) => message.with_header(UNDOES, action),
            None => Ok(message),
        }
    }

    /// How old its saga is, by the clock of this machine. Where it does not say, older than any.
    #[cfg(feature = "postgres")]
    pub(in crate::transaction::message) fn age(&self) -> Duration {
        let since = self
            .message
            .header(SINCE)
            .and_then(|since| since.parse().ok());
        let since = UNIX_EPOCH.checked_add(Duration::from_millis(since.unwrap_or_default()));
        let age = since.map(|since| since.elapsed().unwrap_or_default());
        age.unwrap_or(Duration::MAX)
    }

    /// The message as it came: what an inbox knows it by.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The action to be undone, as its own message came or may yet come; none, if something is to
    /// be done.
    #[must_use]
    pub fn undoes(&self) -> Option<&Message> {
        self.action.as_ref()
    }

    /// What is asked for. To undo something, the same as was asked for to do it.
    ///
    /// # Errors
    /// It is of another type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.message.payload())
    }
}

impl StepReply {
    /// It was done, and gave this; or it was undone. For what is no JSON yet there is
    /// `serde_json::to_value`.
    #[must_use]
    pub fn done(output: impl Into<Value>) -> Self {
        Self(Ok(output.into()))
    }

    /// It was not done, and under its key never will be, for this reason. Of a compensation: it
    /// cannot be undone, and somebody has to see to it.
    #[must_use]
    pub fn failed(why: impl fmt::Display) -> Self {
        Self(Err(why.to_string()))
    }

    /// What an action is answered that comes after its compensation.
    pub(in crate::transaction::message) fn excluded() -> Self {
        Self::failed("it was compensated before it came")
    }

    /// Whether it was done, else why not.
    ///
    /// # Errors
    /// The reason.
    pub fn outcome(&self) -> Result<(), &str> {
        match &self.0 {
            Ok(_) => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// What it gave; `null`, where it was not done.
    ///
    /// # Errors
    /// It is of another type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        T::deserialize(self.0.as_ref().unwrap_or(&Value::Null))
    }

    /// As the payload of a reply: `{"done": …}` or `{"failed": "why"}`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let reply = match &self.0 {
            Ok(output) => json!({ "done": output }),
            Err(why) => json!({ "failed": why }),
        };
        reply.to_string().into_bytes()
    }

    /// From what [`to_bytes`](Self::to_bytes) has written; `None` where that is not what it is.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut reply: Value = serde_json::from_slice(bytes).ok()?;
        let reply = reply.as_object_mut().filter(|reply| reply.len() == 1)?;
        if let Some(output) = reply.remove("done") {
            return Some(Self(Ok(output)));
        }
        let why = reply.get("failed")?.as_str()?;
        Some(Self(Err(why.to_owned())))
    }
}

impl fmt::Debug for StepReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_ok() { "Done" } else { "Failed" })
    }
}
