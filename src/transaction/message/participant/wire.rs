//! What is asked of a participant behind a queue, and answered, as bytes: version 1 of each.

use crate::transaction::id::{BranchId, CoordinatorId, Epoch, TransactionId};
use crate::transaction::log::{Persistence, Reader};
use crate::transaction::participant::{Opening, Outcome, Report, StaleLog, Vote};

/// The format that is written and read.
const VERSION: u8 = 1;

/// Branches in one answer: with 34 bytes each, well within a message.
pub(super) const LISTED_MAX: usize = 20_000;

/// Bytes of a reason: enough for what a server says, and no more of what it quotes.
const REASON_MAX: usize = 1000;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Open(Opening),
    /// `nonce` tells a repeat from another beginning.
    Begin {
        branch: BranchId,
        nonce: u128,
    },
    /// Request number `number` of the branch, from 1 on, to be done by what began in this session.
    Work {
        branch: BranchId,
        done: Done,
        payload: Vec<u8>,
    },
    Prepare(BranchId, Option<Done>),
    CommitOnePhase(BranchId, Option<Done>),
    Commit(BranchId),
    Abort(BranchId),
    Settle(BranchId),
    InDoubt(CoordinatorId, Epoch),
    Forget(CoordinatorId, (Epoch, u64)),
}

/// How much of a branch's work was done, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    /// Drawn by whoever serves, when the branch began: another means that the work is lost.
    pub(super) session: u128,
    /// Of the last request.
    pub(super) number: u32,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Opened(Persistence),
    Stale(StaleLog),
    Unfit(String),
    Began {
        session: u128,
    },
    Worked(Vec<u8>),
    /// What had worked is gone: it can only be aborted.
    Lost,
    Vote(Vote),
    Report(Report),
    Listed(Vec<BranchId>),
    Forgotten,
    Refused(String),
    Unknown(String),
}

impl Ask {
    /// For the message's key: what it is about.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::Open(opening) => format!("open {} {}", opening.coordinator(), opening.epoch()),
            Self::Begin { branch, .. } => format!("begin {branch}"),
            Self::Work { branch, done, .. } => format!("work {branch} {}", done.number),
            Self::Prepare(branch, _) => format!("prepare {branch}"),
            Self::CommitOnePhase(branch, _) => format!("commit alone {branch}"),
            Self::Commit(branch) => format!("commit {branch}"),
            Self::Abort(branch) => format!("abort {branch}"),
            Self::Settle(branch) => format!("settle {branch}"),
            Self::InDoubt(coordinator, before) => format!("in doubt {coordinator} {before}"),
            Self::Forget(coordinator, (epoch, sequence)) => {
                format!("forget {coordinator} {epoch} {sequence}")
            }
        }
    }

    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut out = Writer(vec![VERSION]);
        match self {
            Self::Open(opening) => {
                out.tag(0).u128(opening.coordinator().as_u128());
                out.u64(opening.epoch().as_u64()).u128(opening.nonce());
            }
            Self::Begin { branch, nonce } => {
                out.tag(1).branch(*branch).u128(*nonce);
            }
            Self::Work {
                branch,
                done,
                payload,
            } => {
                out.tag(2).branch(*branch).done(*done).bytes(payload);
            }
            Self::Prepare(branch, done) => {
                out.tag(3).branch(*branch).maybe_done(*done);
            }
            Self::CommitOnePhase(branch, done) => {
                out.tag(4).branch(*branch).maybe_done(*done);
            }
            Self::Commit(branch) => {
                out.tag(5).branch(*branch);
            }
            Self::Abort(branch) => {
                out.tag(6).branch(*branch);
            }
            Self::Settle(branch) => {
                out.tag(7).branch(*branch);
            }
            Self::InDoubt(coordinator, before) => {
                out.tag(8).u128(coordinator.as_u128()).u64(before.as_u64());
            }
            Self::Forget(coordinator, (epoch, sequence)) => {
                out.tag(9).u128(coordinator.as_u128());
                out.u64(epoch.as_u64()).u64(*sequence);
            }
        }
        out.0
    }

    pub(super) fn decoded(bytes: &[u8]) -> Option<Self> {
        let mut from = started(bytes)?;
        let ask = match from.u8()? {
            0 => {
                let (coordinator, epoch) = (coordinator(&mut from)?, epoch(&mut from)?);
                Self::Open(Opening::new(coordinator, epoch, from.u128()?))
            }
            1 => Self::Begin {
                branch: branch(&mut from)?,
                nonce: from.u128()?,
            },
            2 => Self::Work {
                branch: branch(&mut from)?,
                done: done(&mut from)?,
                payload: from.bytes_u32()?.to_vec(),
            },
            3 => {
                let (branch, done) = asked(&mut from)?;
                Self::Prepare(branch, done)
            }
            4 => {
                let (branch, done) = asked(&mut from)?;
                Self::CommitOnePhase(branch, done)
            }
            5 => Self::Commit(branch(&mut from)?),
            6 => Self::Abort(branch(&mut from)?),
            7 => Self::Settle(branch(&mut from)?),
            8 => Self::InDoubt(coordinator(&mut from)?, epoch(&mut from)?),
            9 => {
                let coordinator = coordinator(&mut from)?;
                Self::Forget(coordinator, (epoch(&mut from)?, from.u64()?))
            }
            _ => return None,
        };
        from.is_empty().then_some(ask)
    }
}

impl Answer {
    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut out = Writer(vec![VERSION]);
        match self {
            Self::Opened(Persistence::Process) => {
                out.tag(0).tag(0);
            }
            Self::Opened(Persistence::Storage) => {
                out.tag(0).tag(1);
            }
            Self::Stale(stale) => {
                out.tag(1).u128(stale.coordinator.as_u128());
                out.u64(stale.seen.as_u64()).u64(stale.opened.as_u64());
            }
            Self::Unfit(why) => {
                out.tag(2).text(why);
            }
            Self::Began { session } => {
                out.tag(3).u128(*session);
            }
            Self::Worked(payload) => {
                out.tag(4).bytes(payload);
            }
            Self::Lost => {
                out.tag(5);
            }
            Self::Vote(vote) => match vote {
                Vote::ReadOnly => {
                    out.tag(6).tag(0);
                }
                Vote::Prepared => {
                    out.tag(6).tag(1);
                }
                Vote::Unknown => {
                    out.tag(6).tag(2);
                }
                Vote::No(why) => {
                    out.tag(6).tag(3).text(why);
                }
            },
            Self::Report(report) => {
                let report = match report {
                    Report::Did(Outcome::Committed) => 0,
                    Report::Did(Outcome::Aborted) => 1,
                    Report::Prepared => 2,
                    Report::Missing => 3,
                    Report::Unknown => 4,
                };
                out.tag(7).tag(report);
            }
            Self::Listed(branches) => {
                out.tag(8);
                for branch in branches {
                    out.branch(*branch);
                }
            }
            Self::Forgotten => {
                out.tag(9);
            }
            Self::Refused(why) => {
                out.tag(10).text(why);
            }
            Self::Unknown(why) => {
                out.tag(11).text(why);
            }
        }
        out.0
    }

    pub(super) fn decoded(bytes: &[u8]) -> Option<Self> {
        let mut from = started(bytes)?;
        let answer = match from.u8()? {
            0 => Self::Opened(match from.u8()? {
                0 => Persistence::Process,
                1 => Persistence::Storage,
                _ => return None,
            }),
            1 => Self::Stale(StaleLog {
                coordinator: coordinator(&mut from)?,
                seen: epoch(&mut from)?,
                opened: epoch(&mut from)?,
            }),
            2 => Self::Unfit(text(&mut from)?),
            3 => Self::Began {
                session: from.u128()?,
            },
            4 => Self::Worked(from.bytes_u32()?.to_vec()),
            5 => Self::Lost,
            6 => Self::Vote(match from.u8()? {
                0 => Vote::ReadOnly,
                1 => Vote::Prepared,
                2 => Vote::Unknown,
                3 => Vote::No(text(&mut from)?.into()),
                _ => return None,
            }),
            7 => Self::Report(match from.u8()? {
                0 => Report::Did(Outcome::Committed),
                1 => Report::Did(Outcome::Aborted),
                2 => Report::Prepared,
                3 => Report::Missing,
                4 => Report::Unknown,
                _ => return None,
            }),
            8 => {
                let mut branches = Vec::new();
                while !from.is_empty() {
                    branches.push(branch(&mut from)?);
                }
                Self::Listed(branches)
            }
            9 => Self::Forgotten,
            10 => Self::Refused(text(&mut from)?),
            11 => Self::Unknown(text(&mut from)?),
            _ => return None,
        };
        from.is_empty().then_some(answer)
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn tag(&mut self, tag: u8) -> &mut Self {
        self.0.push(tag);
        self
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn u128(&mut self, number: u128) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    /// At most as long as a message.
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend(len.to_be_bytes());
        self.0.extend(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        let mut ends = (0..=text.len().min(REASON_MAX)).rev();
        let text = ends.find_map(|end| text.get(..end));
        self.bytes(text.unwrap_or_default().as_bytes())
    }

    fn branch(&mut self, branch: BranchId) -> &mut Self {
        let id = branch.transaction();
        self.u128(id.coordinator().as_u128());
        self.u64(id.epoch().as_u64()).u64(id.sequence());
        self.0.extend(branch.number().to_be_bytes());
        self
    }

    fn done(&mut self, done: Done) -> &mut Self {
        self.u128(done.session);
        self.0.extend(done.number.to_be_bytes());
        self
    }

    fn maybe_done(&mut self, done: Option<Done>) -> &mut Self {
        match done {
            None => self.tag(0),
            Some(done) => self.tag(1).done(done),
        }
    }
}

fn started(bytes: &[u8]) -> Option<Reader<'_>> {
    let mut from = Reader::new(bytes);
    (from.u8()? == VERSION).then_some(from)
}

fn coordinator(from: &mut Reader<'_>) -> Option<CoordinatorId> {
    from.u128().map(CoordinatorId::from_u128)
}

fn epoch(from: &mut Reader<'_>) -> Option<Epoch> {
    Epoch::new(from.u64()?)
}

fn branch(from: &mut Reader<'_>) -> Option<BranchId> {
    let (coordinator, epoch) = (coordinator(from)?, epoch(from)?);
    let id = TransactionId::new(coordinator, epoch, from.u64()?);
    Some(BranchId::new(id, from.u16()?))
}

fn done(from: &mut Reader<'_>) -> Option<Done> {
    Some(Done {
        session: from.u128()?,
        number: from.u32()?,
    })
}

/// A branch, and what its work is said to be.
fn asked(from: &mut Reader<'_>) -> Option<(BranchId, Option<Done>)> {
    let branch = branch(from)?;
    match from.u8()? {
        0 => Some((branch, None)),
        1 => Some((branch, Some(done(from)?))),
        _ => None,
    }
}

fn text(from: &mut Reader<'_>) -> Option<String> {
    String::from_utf8(from.bytes_u32()?.to_vec()).ok()
}
