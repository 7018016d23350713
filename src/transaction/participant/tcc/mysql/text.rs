//! What is sent about the rows of a branch. Nothing in it is the user's, but for the digits of a
//! note.

use std::fmt::Write as _;

use crate::transaction::id::BranchId;
use crate::transaction::participant::mysql::fence::Fences;
use crate::transaction::participant::mysql::xid;

/// What a row says. Each has its place among the rows of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Tried,
    /// It was not tried, and can never be.
    Never,
    Promised,
    Confirmed,
    Cancelled,
}

impl Mark {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Tried => 1,
            Self::Never => 2,
            Self::Promised => 3,
            Self::Confirmed => 4,
            Self::Cancelled => 5,
        }
    }

    pub(super) fn of(code: u8) -> Option<Self> {
        let marks = [
            Self::Tried,
            Self::Never,
            Self::Promised,
            Self::Confirmed,
            Self::Cancelled,
        ];
        marks.into_iter().find(|mark| mark.code() == code)
    }

    fn place(self) -> u8 {
        match self {
            Self::Tried | Self::Never => BEGUN,
            Self::Promised => PROMISED,
            Self::Confirmed | Self::Cancelled => ENDED,
        }
    }
}

pub(super) const BEGUN: u8 = 1;
pub(super) const PROMISED: u8 = 2;
pub(super) const ENDED: u8 = 3;

/// Waits for whoever writes there, and sees the present at any level of isolation.
pub(super) const LOCK: &str = "LOCK IN SHARE MODE";

/// Statements about our tables.
pub(super) struct Text {
    pub(super) branch: String,
    pub(super) fence: Fences,
}

impl Text {
    pub(super) fn new(database: &str) -> Self {
        Self {
            branch: format!("`{database}`.tcc_branch"),
            fence: Fences::new(format!("`{database}`.tcc_fence")),
        }
    }

    pub(super) fn insert(&self, branch: BranchId, mark: Mark, note: &[u8]) -> String {
        let mut digits = String::with_capacity(2 * note.len());
        for byte in note {
            // Writing to a string does not fail.
            let _ = write!(digits, "{byte:02x}");
        }
        format!(
            "INSERT INTO {} (coordinator, epoch, sequence, number, place, mark, note)
            VALUES ({}, {}, {}, X'{digits}')",
            self.branch,
            xid::values(branch),
            mark.place(),
            mark.code()
        )
    }

    /// Of our own insertion: nobody else has seen it.
    pub(super) fn delete(&self, branch: BranchId, place: u8) -> String {
        let Self { branch: table, .. } = self;
        format!("DELETE FROM {table} WHERE {}", key(branch, place))
    }

    /// Mark and note of the row at this place.
    pub(super) fn row(&self, branch: BranchId, place: u8, lock: &str) -> String {
        let Self { branch: table, .. } = self;
        let key = key(branch, place);
        format!("SELECT mark, note FROM {table} WHERE {key} {lock}")
    }

    /// How many promises there are.
    pub(super) fn promises(&self, branch: BranchId) -> String {
        let Self { branch: table, .. } = self;
        let key = key(branch, PROMISED);
        format!("SELECT COUNT(*) FROM {table} WHERE {key}")
    }
}

/// What finds a branch's row at this place, by the whole of its key.
fn key(branch: BranchId, place: u8) -> String {
    format!("{} AND place = {place}", of(branch))
}

/// What finds all rows of a branch.
pub(super) fn of(branch: BranchId) -> String {
    let id = branch.transaction();
    format!(
        "coordinator = {} AND epoch = {} AND sequence = {} AND number = {}",
        xid::literal(id.coordinator()),
        id.epoch().as_u64(),
        id.sequence(),
        branch.number()
    )
}
