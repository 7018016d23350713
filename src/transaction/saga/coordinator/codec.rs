//! Records as the log keeps them. Version 1: a version (1), a kind (1), then by kind.

use std::sync::Arc;

use super::facts::{
    progress_byte, put_end, put_fact, read_end, read_facts, read_json, read_progress,
};
use crate::transaction::id::{CoordinatorId, Epoch, TransactionId};
use crate::transaction::log::{Reader, put_bytes_u16, put_bytes_u32};
use crate::transaction::saga::blueprint::Fingerprint;
use crate::transaction::saga::fact::{End, Fact, Json};
use crate::transaction::saga::state::Progress;

const VERSION: u8 = 1;

const CREATED: u8 = 1;
const FACTS: u8 = 2;
const FINISHED: u8 = 3;

/// A start has so many bytes, its name and input left aside.
const CREATED_LEN: usize = 32 + 2 + 4 + 16 + 16 + 8 + 4;

/// A fact has at most so many bytes, its output left aside.
const FACT_LEN: usize = 7;

/// What the log tells of a saga.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// And what was noted as it was started.
    Created(Created, Vec<Fact>),
    Facts(Facts),
    Finished(Finished),
}

/// A saga that was started. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Created {
    pub(super) id: TransactionId,
    pub(super) name: Arc<str>,
    pub(super) version: u32,
    pub(super) fingerprint: Fingerprint,
    pub(super) digest: Digest,
    pub(super) at: u64,
    pub(super) input: Json,
}

/// What was noted at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) at: u64,
    pub(super) facts: Vec<Fact>,
}

/// A saga that is over, and what is remembered of it for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finished {
    pub(super) id: TransactionId,
    pub(super) name: Arc<str>,
    pub(super) version: u32,
    pub(super) digest: Digest,
    pub(super) created: u64,
    pub(super) ended: u64,
    pub(super) end: End,
    /// The name of the step that a reason is about.
    pub(super) step: Option<Arc<str>>,
    /// How far each step had come.
    pub(super) progress: Vec<Progress>,
    /// Of the last steps, by name.
    pub(super) outputs: Vec<(Arc<str>, Json)>,
}

/// What tells an input from another: 16 bytes of SHA-256 over it and the definition's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(pub(super) [u8; 16]);

/// The beginning of a record of what is noted as a saga is started: so many facts.
pub(super) fn encode_created(created: &Created, facts: usize) -> Vec<u8> {
    let texts = created.name.len() + created.input.len();
    let mut out = head(CREATED, CREATED_LEN + texts + facts * FACT_LEN);
    put_id(&mut out, created.id);
    put_text(&mut out, &created.name);
    out.extend(created.version.to_be_bytes());
    out.extend(created.fingerprint.0);
    out.extend(created.digest.0);
    out.extend(created.at.to_be_bytes());
    put_bytes_u32(&mut out, created.input.as_str().as_bytes());
    out
}

/// A record of what is noted; `created` is its beginning, if the saga is started.
pub(super) fn encode_facts(created: Option<Vec<u8>>, at: u64, facts: &[Fact]) -> Vec<u8> {
    let mut out = created.unwrap_or_else(|| {
        let outputs = facts.iter().filter_map(Fact::output);
        let outputs: usize = outputs.map(Json::len).sum();
        let mut out = head(FACTS, 8 + outputs + facts.len() * FACT_LEN);
        out.extend(at.to_be_bytes());
        out
    });
    for fact in facts {
        put_fact(&mut out, fact);
    }
    out
}

pub(super) fn encode_finished(finished: &Finished) -> Vec<u8> {
    let mut out = head(FINISHED, 192);
    put_id(&mut out, finished.id);
    put_text(&mut out, &finished.name);
    out.extend(finished.version.to_be_bytes());
    out.extend(finished.digest.0);
    out.extend(finished.created.to_be_bytes());
    out.extend(finished.ended.to_be_bytes());
    put_end(&mut out, finished.end);
    put_text(&mut out, finished.step.as_deref().unwrap_or_default());
    let progress = finished.progress.iter().copied();
    let progress: Vec<u8> = progress.map(progress_byte).collect();
    put_bytes_u16(&mut out, &progress);
    for (name, output) in &finished.outputs {
        put_text(&mut out, name);
        put_bytes_u32(&mut out, output.as_str().as_bytes());
    }
    out
}

/// With room for so many bytes.
fn head(kind: u8, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + len);
    out.extend([VERSION, kind]);
    out
}

impl Entry {
    /// Reads a record; `None` for what a later version wrote.
    pub(super) fn decode(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        if reader.u8()? != VERSION {
            return None;
        }
        match reader.u8()? {
            CREATED => {
                let created = Created {
                    id: read_id(&mut reader)?,
                    name: read_text(&mut reader)?,
                    version: reader.u32()?,
                    fingerprint: Fingerprint(reader.array()?),
                    digest: Digest(reader.array()?),
                    at: reader.u64()?,
                    input: read_json(&mut reader)?,
                };
                Some(Self::Created(created, read_facts(&mut reader)?))
            }
            FACTS => {
                let at = reader.u64()?;
                let facts = read_facts(&mut reader)?;
                Some(Self::Facts(Facts { at, facts }))
            }
            FINISHED => read_finished(&mut reader).map(Self::Finished),
            _ => None,
        }
    }
}

fn read_finished(reader: &mut Reader<'_>) -> Option<Finished> {
    let mut finished = Finished {
        id: read_id(reader)?,
        name: read_text(reader)?,
        version: reader.u32()?,
        digest: Digest(reader.array()?),
        created: reader.u64()?,
        ended: reader.u64()?,
        end: read_end(reader)?,
        step: read_text(reader).map(|step| (!step.is_empty()).then_some(step))?,
        progress: {
            let progress = reader.bytes_u16()?.iter();
            progress
                .map(|byte| read_progress(*byte))
                .collect::<Option<_>>()?
        },
        outputs: Vec::new(),
    };
    while !reader.is_empty() {
        let output = (read_text(reader)?, read_json(reader)?);
        finished.outputs.push(output);
    }
    Some(finished)
}

fn put_id(out: &mut Vec<u8>, id: TransactionId) {
    out.extend(id.coordinator().as_u128().to_be_bytes());
    out.extend(id.epoch().as_u64().to_be_bytes());
    out.extend(id.sequence().to_be_bytes());
}

fn read_id(reader: &mut Reader<'_>) -> Option<TransactionId> {
    let coordinator = CoordinatorId::from_u128(reader.u128()?);
    let epoch = Epoch::new(reader.u64()?)?;
    Some(TransactionId::new(coordinator, epoch, reader.u64()?))
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes_u16(out, text.as_bytes());
}

fn read_text(reader: &mut Reader<'_>) -> Option<Arc<str>> {
    std::str::from_utf8(reader.bytes_u16()?).ok().map(Arc::from)
}
