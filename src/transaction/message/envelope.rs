//! What is sent.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::queue::QueueName;
use super::wire;

/// What goes over a queue: a key that tells its effect from all others, and bytes.
///
/// Cheap to clone. `Debug` tells lengths, and neither payload nor headers' values.
#[derive(Clone, PartialEq, Eq)]
pub struct Message(Arc<Parts>);

#[derive(Clone, PartialEq, Eq)]
struct Parts {
    key: Box<str>,
    correlation: Option<Box<str>>,
    reply_to: Option<QueueName>,
    headers: Vec<(Box<str>, Box<str>)>,
    payload: Box<[u8]>,
}

/// No message. Nothing was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The key, or the correlation, is empty, too long or has control characters.
    #[error("a key and a correlation have 1 to 128 bytes, and no control characters")]
    Key,
    /// There are too many headers, one comes twice, or one is too long.
    #[error("a message has at most 16 headers, of names of 1 to 64 bytes and values up to 1024")]
    Header,
    /// The payload is too long.
    #[error("a payload has at most 1 MiB")]
    Payload,
}

impl Message {
    /// Bytes in the longest key and in the longest correlation: any id, and a name beside it.
    pub const KEY_LEN_MAX: usize = 128;

    /// Headers of a message: a few for tracing, and a few of the user's.
    pub const HEADERS_MAX: usize = 16;

    /// Bytes in the longest name of a header.
    pub const HEADER_NAME_LEN_MAX: usize = 64;

    /// Bytes in the longest value of a header.
    pub const HEADER_LEN_MAX: usize = 1024;

    /// Bytes in the longest payload, 1 MiB: queues are for messages, not for files.
    pub const PAYLOAD_LEN_MAX: usize = 1 << 20;

    /// A message with this idempotency key. Whatever is sent under one key is to have one effect,
    /// so a key is drawn, or derived from what is to happen, once, and kept for each further try.
    ///
    /// # Errors
    /// [`MessageError`] where a length is not as it says.
    pub fn new(key: &str, payload: impl Into<Vec<u8>>) -> Result<Self, MessageError> {
        let payload: Vec<u8> = payload.into();
        if payload.len() > Self::PAYLOAD_LEN_MAX {
            return Err(MessageError::Payload);
        }
        Ok(Self(Arc::new(Parts {
            key: checked(key)?,
            correlation: None,
            reply_to: None,
            headers: Vec::new(),
            payload: payload.into(),
        })))
    }

    /// The same, as part of this conversation: a reply carries the correlation of its request.
    ///
    /// # Errors
    /// [`MessageError::Key`] where it is none.
    pub fn with_correlation(mut self, correlation: &str) -> Result<Self, MessageError> {
        self.parts().correlation = Some(checked(correlation)?);
        Ok(self)
    }

    /// The same, to be answered to this queue.
    #[must_use]
    pub fn with_reply_to(mut self, queue: QueueName) -> Self {
        self.parts().reply_to = Some(queue);
        self
    }

    /// The same, with this header.
    ///
    /// # Errors
    /// [`MessageError::Header`] where it is one too many, is there already, or is too long.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, MessageError> {
        let fits = (1..=Self::HEADER_NAME_LEN_MAX).contains(&name.len())
            && value.len() <= Self::HEADER_LEN_MAX
            && self.0.headers.len() < Self::HEADERS_MAX
            && self.header(name).is_none();
        if !fits {
            return Err(MessageError::Header);
        }
        self.parts().headers.push((name.into(), value.into()));
        Ok(self)
    }

    /// Its idempotency key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// The conversation that it is part of.
    #[must_use]
    pub fn correlation(&self) -> Option<&str> {
        self.0.correlation.as_deref()
    }

    /// Where a reply is awaited.
    #[must_use]
    pub fn reply_to(&self) -> Option<&QueueName> {
        self.0.reply_to.as_ref()
    }

    /// The value of this header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers();
        headers.find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Names and values, in the order in which they were given.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
    }

    /// What it says.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.0.payload
    }

    /// Tells apart what was asked for under one key: of the payload alone.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.payload()).into()
    }

    /// As bytes, for transports and tables: format version 1, which later versions of this crate
    /// read as well.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        wire::encoded(self)
    }

    /// From what [`to_bytes`](Self::to_bytes) has written; `None` where that is not what it is.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        wire::decoded(bytes)
    }

    fn parts(&mut self) -> &mut Parts {
        Arc::make_mut(&mut self.0)
    }
}

fn checked(key: &str) -> Result<Box<str>, MessageError> {
    let fits = (1..=Message::KEY_LEN_MAX).contains(&key.len());
    if !fits || key.chars().any(char::is_control) {
        return Err(MessageError::Key);
    }
    Ok(key.into())
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers().map(|(name, _)| name).collect();
        f.debug_struct("Message")
            .field("key", &self.key())
            .field("correlation", &self.correlation())
            .field("reply_to", &self.reply_to())
            .field("headers", &names)
            .field("payload_len", &self.payload().len())
            .finish()
    }
}
