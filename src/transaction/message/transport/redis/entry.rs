//! What the server answers: nothing of it is taken on trust.

use redis::Value;

use crate::transaction::message::envelope::Message;
use crate::transaction::message::error::TransportError;
use crate::transaction::message::transport::{DeadLetter, LetterId};

/// An entry that was delivered.
pub(super) struct Taken {
    pub(super) id: String,
    pub(super) deliveries: u32,
    pub(super) body: Vec<u8>,
}

/// Of the script that takes.
pub(super) fn taken(answer: Value) -> Result<Vec<Taken>, TransportError> {
    array(answer)?.into_iter().map(one).collect()
}

fn one(entry: Value) -> Result<Taken, TransportError> {
    let [id, deliveries, body] = parts(entry)?;
    Ok(Taken {
        id: text(id)?,
        deliveries: u32::try_from(number(&deliveries)?).map_err(|_| garbled())?,
        body: bytes(body)?,
    })
}

/// Of `XREADGROUP` from one stream: none, or its name and its entries.
pub(super) fn read(answer: Value) -> Result<Vec<Taken>, TransportError> {
    if answer == Value::Nil {
        return Ok(Vec::new());
    }
    let [stream] = parts(answer)?;
    let [_, entries] = parts(stream)?;
    let delivered = |entry| {
        let [id, fields] = parts(entry)?;
        // The first value, as the scripts have it.
        let body = array(fields)?.into_iter().nth(1);
        Ok(Taken {
            id: text(id)?,
            deliveries: 1,
            body: body.map_or(Ok(Vec::new()), bytes)?,
        })
    };
    array(entries)?.into_iter().map(delivered).collect()
}

/// Of `XRANGE` over the dead.
pub(super) fn letters(answer: Value) -> Result<Vec<DeadLetter>, TransportError> {
    let letter = |entry| {
        let [id, fields] = parts(entry)?;
        let mut fields = array(fields)?.into_iter();
        let deliveries = fields.nth(1).map_or(Ok(String::new()), text)?;
        let body = fields.nth(1).map_or(Ok(Vec::new()), bytes)?;
        let deliveries = deliveries.parse().unwrap_or_default();
        let id = LetterId::new(&text(id)?);
        Ok(DeadLetter::new(id, deliveries, Message::from_bytes(&body)))
    };
    array(answer)?.into_iter().map(letter).collect()
}

pub(super) fn number(answer: &Value) -> Result<i64, TransportError> {
    let Value::Int(number) = answer else {
        return Err(garbled());
    };
    Ok(*number)
}

/// Whether it is the id of an entry: two numbers.
pub(super) fn is_id(id: &str) -> bool {
    let number =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok();
    id.split_once('-')
        .is_some_and(|(time, count)| number(time) && number(count))
}

fn array(answer: Value) -> Result<Vec<Value>, TransportError> {
    let Value::Array(values) = answer else {
        return Err(garbled());
    };
    Ok(values)
}

fn parts<const N: usize>(answer: Value) -> Result<[Value; N], TransportError> {
    array(answer)?.try_into().map_err(|_| garbled())
}

fn text(answer: Value) -> Result<String, TransportError> {
    String::from_utf8(bytes(answer)?).map_err(|_| garbled())
}

fn bytes(answer: Value) -> Result<Vec<u8>, TransportError> {
    let Value::BulkString(bytes) = answer else {
        return Err(garbled());
    };
    Ok(bytes)
}

fn garbled() -> TransportError {
    TransportError::unknown("the server answered what was not understood")
}
