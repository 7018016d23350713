//! What is sent.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::queue::QueueName;
use crate::transaction::log::Reader;

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
        encoded(self)
    }

    /// From what [`to_bytes`](Self::to_bytes) has written; `None` where that is not what it is.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        decoded(bytes)
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

// A message as bytes: integers are big endian, and each part comes after its length.

/// The format that is written; all that were ever written are read.
const VERSION: u8 = 1;

fn encoded(message: &Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + message.payload().len());
    out.push(VERSION);
    put_u8(&mut out, message.key());
    // Neither is ever empty.
    put_u8(&mut out, message.correlation().unwrap_or_default());
    let reply_to = message.reply_to().map(QueueName::as_str);
    put_u8(&mut out, reply_to.unwrap_or_default());
    out.push(u8::try_from(message.headers().count()).unwrap_or(u8::MAX));
    for (name, value) in message.headers() {
        put_u8(&mut out, name);
        let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
        out.extend(len.to_be_bytes());
        out.extend(value.as_bytes());
    }
    let len = u32::try_from(message.payload().len()).unwrap_or(u32::MAX);
    out.extend(len.to_be_bytes());
    out.extend(message.payload());
    out
}

/// What writes it bounds it to 255 bytes.
fn put_u8(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend(text.as_bytes());
}

fn decoded(bytes: &[u8]) -> Option<Message> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != VERSION {
        return None;
    }
    let mut text = || text(reader.bytes_u8()?);
    let (key, correlation, reply_to) = (text()?, text()?, text()?);
    let mut headers = Vec::new();
    for _ in 0..reader.u8()? {
        let name = self::text(reader.bytes_u8()?)?;
        headers.push((name, self::text(reader.bytes_u16()?)?));
    }
    let mut message = Message::new(key, reader.bytes_u32()?).ok()?;
    if !reader.is_empty() {
        return None;
    }
    if !correlation.is_empty() {
        message = message.with_correlation(correlation).ok()?;
    }
    if !reply_to.is_empty() {
        message = message.with_reply_to(QueueName::new(reply_to).ok()?);
    }
    for (name, value) in headers {
        message = message.with_header(name, value).ok()?;
    }
    Some(message)
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
