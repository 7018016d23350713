//! A message as bytes. Integers are big endian, and each part comes after its length.

use super::envelope::Message;
use super::queue::QueueName;
use crate::transaction::log::Reader;

/// The format that is written; all that were ever written are read.
const VERSION: u8 = 1;

pub(super) fn encoded(message: &Message) -> Vec<u8> {
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

pub(super) fn decoded(bytes: &[u8]) -> Option<Message> {
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
