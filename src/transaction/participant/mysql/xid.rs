//! What branches are called on the server, and in our rows.

use crate::transaction::id::{BranchId, CoordinatorId, Epoch, TransactionId};

/// The format of our branches' names, `trip` in ASCII: the standard leaves it to whoever coordinates.
/// Others' have others, 1 for whoever gives none.
pub(super) const FORMAT: u32 = 0x7472_6970;

/// Coordinator, epoch and sequence, big endian; 64 bytes would be allowed.
const GLOBAL_LENGTH: usize = 16 + 8 + 8;

/// The number of the branch.
const QUALIFIER_LENGTH: usize = 2;

/// A row of `XA RECOVER`.
pub(super) type Listed = (i64, u64, u64, Vec<u8>);

/// The branch as XA statements name it. They take no parameters, so it is made of digits only.
pub(super) fn name(branch: BranchId) -> String {
    let id = branch.transaction();
    let coordinator = id.coordinator().as_u128();
    let (epoch, sequence) = (id.epoch().as_u64(), id.sequence());
    let number = branch.number();
    format!("X'{coordinator:032x}{epoch:016x}{sequence:016x}',X'{number:04x}',{FORMAT}")
}

/// Which branch of ours a row of `XA RECOVER` is, if it is one.
pub(super) fn read((format, global, qualifier, data): Listed) -> Option<BranchId> {
    let lengths = (
        usize::try_from(global).ok()?,
        usize::try_from(qualifier).ok()?,
    );
    if format != i64::from(FORMAT) || lengths != (GLOBAL_LENGTH, QUALIFIER_LENGTH) {
        return None;
    }
    let (coordinator, rest) = data.split_first_chunk()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let number = rest.try_into().ok()?;
    let coordinator = CoordinatorId::from_u128(u128::from_be_bytes(*coordinator));
    let epoch = Epoch::new(u64::from_be_bytes(*epoch))?;
    let transaction = TransactionId::new(coordinator, epoch, u64::from_be_bytes(*sequence));
    Some(BranchId::new(transaction, u16::from_be_bytes(number)))
}

/// A coordinator in SQL.
pub(in crate::transaction::participant) fn literal(coordinator: CoordinatorId) -> String {
    format!("X'{:032x}'", coordinator.as_u128())
}

/// The key of a branch's row, as a list of values.
pub(in crate::transaction::participant) fn values(branch: BranchId) -> String {
    let id = branch.transaction();
    let coordinator = literal(id.coordinator());
    let (epoch, sequence) = (id.epoch().as_u64(), id.sequence());
    format!("{coordinator}, {epoch}, {sequence}, {}", branch.number())
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    reason = "a failed assertion is how a test speaks"
)]
mod tests {
    use super::*;

    fn branch() -> BranchId {
        let coordinator = CoordinatorId::from_u128(0x27_5c_00_ff << 96);
        let epoch = Epoch::new(u64::MAX).unwrap();
        BranchId::new(TransactionId::new(coordinator, epoch, 1), u16::MAX)
    }

    fn listed() -> Listed {
        let data = [
            &[0x27, 0x5c, 0, 0xff][..],
            &[0; 12],
            &[0xff; 8],
            &[0, 0, 0, 0, 0, 0, 0, 1],
            &[0xff, 0xff],
        ];
        (0x7472_6970, 32, 2, data.concat())
    }

    #[test]
    fn a_listed_branch_is_the_one_that_was_named() {
        assert_eq!(read(listed()), Some(branch()));
        let data = listed()
            .3
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let (global, qualifier) = data.split_at(64);
        assert_eq!(
            name(branch()),
            format!("X'{global}',X'{qualifier}',1953655152")
        );
    }

    #[test]
    fn what_is_not_quite_ours_is_not_read() {
        let of = |change: fn(&mut Listed)| {
            let mut row = listed();
            change(&mut row);
            read(row)
        };
        assert_eq!(of(|row| row.0 = 1), None);
        assert_eq!(of(|row| row.0 = -1), None);
        assert_eq!(of(|row| (row.1, row.2) = (31, 3)), None);
        assert_eq!(of(|row| row.1 = u64::MAX), None);
        assert_eq!(
            of(|row| {
                row.3.pop();
            }),
            None
        );
        assert_eq!(of(|row| row.3.push(0)), None);
        assert_eq!(of(|row| row.3.clear()), None);
        assert_eq!(of(|row| row.3.splice(16..24, [0; 8]).for_each(drop)), None);
    }
}
