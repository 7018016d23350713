//! What a log keeps: records, each of a subject.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::transaction::id::{CoordinatorId, Epoch, TransactionId};

use super::bytes::{Reader, put_bytes_u16, put_bytes_u32};
use super::error::RecordError;

/// What records are about. The log gives it no meaning: it compares, and keeps apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A transaction in two phases.
    Transaction(TransactionId),
    /// A saga, by the key that its caller chose.
    Saga(SubjectKey),
    /// What the whole log should remember, such as the name of a participant.
    Fact(SubjectKey),
}

/// A name within a family of subjects: at most [`LEN_MAX`](Self::LEN_MAX) bytes, of any kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectKey(Arc<[u8]>);

/// A fact about a subject, durable or about to be.
///
/// It lives until a later record ends its subject: opening the log gives it back, and the log
/// carries it along for as long.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Record {
    subject: Subject,
    payload: Vec<u8>,
    ends: bool,
}

/// A record that no other has ended, and the epoch that wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LiveRecord {
    epoch: Epoch,
    record: Record,
}

impl SubjectKey {
    /// The most bytes of a key: room for a text of 255 bytes and what a caller puts before it.
    pub const LEN_MAX: usize = 512;

    /// A key of these bytes.
    ///
    /// # Errors
    /// [`RecordError::KeyTooLong`].
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, RecordError> {
        let bytes = bytes.as_ref();
        Self::check(bytes.len()).map(|()| Self(bytes.into()))
    }

    pub(in crate::transaction) fn shared(bytes: Arc<[u8]>) -> Result<Self, RecordError> {
        Self::check(bytes.len()).map(|()| Self(bytes))
    }

    fn check(len: usize) -> Result<(), RecordError> {
        if len > Self::LEN_MAX {
            return Err(RecordError::KeyTooLong { len });
        }
        Ok(())
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl Record {
    /// The most bytes of a payload: 1 MiB less a little, so that an append is small beside a
    /// segment, and one write of it does not hold up the others for long.
    pub const PAYLOAD_LEN_MAX: usize = (1 << 20) - 1024;

    /// A record that lives until its subject ends.
    ///
    /// # Errors
    /// [`RecordError::PayloadTooLong`].
    pub fn new(subject: Subject, payload: impl Into<Vec<u8>>) -> Result<Self, RecordError> {
        let payload = payload.into();
        if payload.len() > Self::PAYLOAD_LEN_MAX {
            return Err(RecordError::PayloadTooLong { len: payload.len() });
        }
        Ok(Self {
            subject,
            payload,
            ends: false,
        })
    }

    /// The record that ends this subject: neither it nor an earlier one is given back. The
    /// subject may begin again.
    #[must_use]
    pub fn end(subject: Subject) -> Self {
        Self {
            subject,
            payload: Vec::new(),
            ends: true,
        }
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What it says. The log gives it no meaning.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether it ends its subject.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.ends
    }

    /// What it takes of a log, in bytes, wherever the log may have to copy it: what to
    /// [reserve](super::TransactionLog::reserve) for it.
    #[must_use]
    pub fn space(&self) -> u64 {
        Self::space_for(&self.subject, self.payload.len())
    }

    /// One whose payload is known to fit.
    pub(super) fn of_parts(subject: Subject, payload: Vec<u8>) -> Self {
        Self {
            subject,
            payload,
            ends: false,
        }
    }

    pub(super) fn into_parts(self) -> (Subject, Vec<u8>) {
        (self.subject, self.payload)
    }

    /// Writes it: whether it ends (1), family (1), key's length (2) and bytes, payload's length
    /// (4) and bytes.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.ends));
        self.subject.put(out);
        put_bytes_u32(out, &self.payload);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let ends = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let subject = Subject::read(reader)?;
        let payload = reader.bytes_u32()?.to_vec();
        let fits = payload.len() <= Self::PAYLOAD_LEN_MAX && (!ends || payload.is_empty());
        fits.then_some(Self {
            subject,
            payload,
            ends,
        })
    }
}

/// Payloads are the caller's: they are not printed.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("subject", &self.subject)
            .field("payload_len", &self.payload.len())
            .field("ends", &self.ends)
            .finish()
    }
}

/// What a record takes beside its key and its payload, in bytes.
pub(super) const RECORD_HEAD: usize = 1 + 1 + 2 + 4;

const TRANSACTION: u8 = 1;
const SAGA: u8 = 2;
const FACT: u8 = 3;

impl Subject {
    pub(super) fn key_len(&self) -> usize {
        match self {
            Self::Transaction(_) => 32,
            Self::Saga(key) | Self::Fact(key) => key.0.len(),
        }
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Transaction(id) => {
                out.push(TRANSACTION);
                out.extend(32_u16.to_be_bytes());
                out.extend(id.coordinator().as_u128().to_be_bytes());
                out.extend(id.epoch().as_u64().to_be_bytes());
                out.extend(id.sequence().to_be_bytes());
            }
            Self::Saga(key) => {
                out.push(SAGA);
                put_bytes_u16(out, &key.0);
            }
            Self::Fact(key) => {
                out.push(FACT);
                put_bytes_u16(out, &key.0);
            }
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let family = reader.u8()?;
        let bytes = reader.bytes_u16()?;
        match family {
            TRANSACTION => {
                let mut key = Reader::new(bytes);
                let coordinator = CoordinatorId::from_u128(key.u128()?);
                let epoch = Epoch::new(key.u64()?)?;
                let id = TransactionId::new(coordinator, epoch, key.u64()?);
                key.is_empty().then_some(Self::Transaction(id))
            }
            SAGA => SubjectKey::new(bytes).ok().map(Self::Saga),
            FACT => SubjectKey::new(bytes).ok().map(Self::Fact),
            _ => None,
        }
    }
}

/// By the key alone: a log rarely holds subjects of two families with the same key, and they may
/// share a bucket.
impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Transaction(id) => id.hash(state),
            Self::Saga(key) | Self::Fact(key) => state.write(&key.0),
        }
    }
}

impl LiveRecord {
    /// A record and the epoch that wrote it.
    #[must_use]
    pub fn new(epoch: Epoch, record: Record) -> Self {
        Self { epoch, record }
    }

    /// The epoch that wrote it.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What was written.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The record alone.
    #[must_use]
    pub fn into_record(self) -> Record {
        self.record
    }
}
