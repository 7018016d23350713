//! What the participant asks about the rows, on connections of its own.

use tokio_postgres::types::Type;

use super::super::barrier::{Sight, Standing};
use crate::postgres::{Argument, Pool, Schema};
use crate::transaction::id::{BranchId, CoordinatorId, Epoch, TransactionId};
use crate::transaction::participant::postgres::calls::Calls;
use crate::transaction::participant::postgres::failure::Trouble;
use crate::transaction::participant::postgres::text;
use crate::transaction::participant::{Opening, ParticipantOpenError};

/// Beside those of locks and of participants, with versions of its own.
pub(super) const SCHEMA: Schema = Schema {
    table: "tripod.tcc_migration",
    versions: &[concat!(
        include_str!("../../postgres/fence.sql"),
        include_str!("v1.sql")
    )],
    words: &[("{prefix}", "tcc_"), ("{open}", "tcc_open")],
};

/// What they are migrated by.
pub(super) const MIGRATE: &str = "PostgresBarrier::migrate";

/// Branches whose rows are dropped in one transaction: some milliseconds' worth.
const FORGOTTEN_TOGETHER: u32 = 500;

pub(super) struct Rows(Calls);

impl Rows {
    pub(super) fn new(pool: Pool) -> Self {
        Self(Calls::new(pool))
    }

    pub(super) async fn open(&self, opening: Opening) -> Result<(), ParticipantOpenError> {
        self.0.check(&SCHEMA, "tcc_misfits", MIGRATE).await?;
        self.0.open("tcc_open", opening).await
    }

    /// What is to be seen of a branch once this function has done its part.
    pub(super) async fn sight(&self, function: &str, branch: BranchId) -> Result<Sight, Trouble> {
        let (coordinator, at) = text::place(branch);
        let number = branch.number();
        let call = format!("tripod.{function}({coordinator}, {at}, {number})");
        let seen = self.0.one(&call).await?.ok_or_else(Trouble::garbled)?;
        sight(&seen).ok_or_else(Trouble::garbled)
    }

    pub(super) async fn in_doubt(
        &self,
        coordinator: CoordinatorId,
        before: Epoch,
    ) -> Result<Vec<BranchId>, Trouble> {
        let id = text::coordinator(coordinator);
        let before = text::bytes(&before.as_u64().to_be_bytes());
        let found = format!("SELECT * FROM tripod.tcc_in_doubt({id}, {before})");
        let found = self.0.all(&found).await?.into_iter().flatten();
        let found = found.map(|text| prepared(coordinator, &text).ok_or_else(Trouble::garbled));
        found.collect()
    }

    pub(super) async fn forget(
        &self,
        coordinator: CoordinatorId,
        watermark: (Epoch, u64),
    ) -> Result<(), Trouble> {
        let functions = ("tcc_raise_watermark", "tcc_forget");
        let forgotten = self
            .0
            .forget(functions, FORGOTTEN_TOGETHER, coordinator, watermark);
        forgotten.await
    }
}

/// The key of a branch's rows, as parameters.
pub(super) struct Key {
    coordinator: Vec<u8>,
    at: Vec<u8>,
    number: i32,
}

pub(super) fn key(branch: BranchId) -> Key {
    let id = branch.transaction();
    let at = u128::from(id.epoch().as_u64()) << 64 | u128::from(id.sequence());
    Key {
        coordinator: id.coordinator().as_u128().to_be_bytes().to_vec(),
        at: at.to_be_bytes().to_vec(),
        number: branch.number().into(),
    }
}

impl Key {
    pub(super) fn arguments(&self) -> [Argument<'_>; 3] {
        [
            (&self.coordinator, Type::BYTEA),
            (&self.at, Type::BYTEA),
            (&self.number, Type::INT4),
        ]
    }
}

fn sight(seen: &str) -> Option<Sight> {
    let mut words = seen.split(' ');
    let standing = match words.next()? {
        "nothing" => Standing::Nothing,
        "tried" => Standing::Tried,
        "prepared" => Standing::Prepared,
        "confirmed" => Standing::Confirmed,
        "cancelled" => Standing::Cancelled,
        _ => return None,
    };
    let mut sight = Sight {
        standing,
        is_over: false,
        is_fenced: false,
    };
    for word in words {
        match word {
            "over" => sight.is_over = true,
            "fenced" => sight.is_fenced = true,
            _ => return None,
        }
    }
    Some(sight)
}

fn prepared(coordinator: CoordinatorId, text: &str) -> Option<BranchId> {
    let (at, number) = text.split_once(' ')?;
    let (epoch, sequence) = at.split_at_checked(16)?;
    let epoch = Epoch::new(u64::from_str_radix(epoch, 16).ok()?)?;
    let sequence = u64::from_str_radix(sequence, 16).ok()?;
    let transaction = TransactionId::new(coordinator, epoch, sequence);
    Some(BranchId::new(transaction, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_cannot_have_said_is_not_understood() {
        for garbled in [
            "",
            "tried  over",
            "tied",
            "tried fenced ",
            "over",
            "tried x",
        ] {
            assert_eq!(sight(garbled), None, "{garbled}");
        }
        assert!(sight("tried over fenced").is_some_and(|it| it.is_over && it.is_fenced));
        let coordinator = CoordinatorId::from_u128(7);
        for garbled in ["", "00 1", "é 1", "0000000000000001 1", "1 70000", "01 -1"] {
            assert_eq!(prepared(coordinator, garbled), None, "{garbled}");
        }
        let found = prepared(coordinator, "00000000000000020000000000000003 4");
        assert_eq!(found.map(BranchId::number), Some(4));
    }
}
