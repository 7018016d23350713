//! What is sent to participants, and what they answer.

use std::fmt;

use tripod::transaction::participant::{
    MemoryBranch, Opening, ParticipantError, ParticipantOpenError, Reply, Request,
};
use tripod::transaction::{BranchId, CoordinatorId, Epoch};

/// A request on the way.
#[derive(Clone, Copy)]
pub enum Call {
    Open(Opening),
    Work(BranchId),
    Ask(BranchId, Request),
    InDoubt(CoordinatorId, Epoch),
    Forget(CoordinatorId, (Epoch, u64)),
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Which call it was is drawn from the system's randomness.
            Self::Open(_) => write!(f, "open"),
            Self::Work(branch) => write!(f, "work {branch}"),
            Self::Ask(branch, request) => write!(f, "{request:?} {branch}"),
            Self::InDoubt(_, before) => write!(f, "in doubt before {before}"),
            Self::Forget(_, watermark) => write!(f, "forget {watermark:?}"),
        }
    }
}

/// The answer to it.
#[derive(Debug)]
pub enum Said {
    Opened(Result<(), ParticipantOpenError>),
    Works(Result<MemoryBranch, ParticipantError>),
    Replied(Result<Reply, ParticipantError>),
    Found(Vec<BranchId>),
    Forgotten,
}
