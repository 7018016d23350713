//! What is sent about a branch, as text: names and statements. Nothing in it is the user's.

use crate::transaction::id::{BranchId, CoordinatorId, Epoch};

pub(in crate::transaction::participant) use crate::transaction::postgres::bytes;

/// What the names of our prepared transactions begin with.
const PREFIX: &str = "tripod_";

/// The name under which a branch is prepared: at most 79 bytes of `[a-z0-9_]`.
pub(super) fn gid(branch: BranchId) -> String {
    format!("{PREFIX}{branch}")
}

/// What the names of all branches of a coordinator begin with.
pub(super) fn prefix(coordinator: CoordinatorId) -> String {
    format!("{PREFIX}{coordinator}_")
}

/// The branch that is prepared under this name, if it is one of ours.
pub(super) fn branch(gid: &str) -> Option<BranchId> {
    gid.strip_prefix(PREFIX)?.parse().ok()
}

/// The arguments that say which branch.
pub(super) fn arguments(branch: BranchId) -> String {
    let (gid, (coordinator, at)) = (gid(branch), place(branch));
    format!("'{gid}', {coordinator}, {at}, {}", branch.number())
}

/// The arguments that say which transaction.
pub(in crate::transaction::participant) fn place(branch: BranchId) -> (String, String) {
    let id = branch.transaction();
    let at = position((id.epoch(), id.sequence()));
    (coordinator(id.coordinator()), at)
}

pub(in crate::transaction::participant) fn coordinator(id: CoordinatorId) -> String {
    bytes(&id.as_u128().to_be_bytes())
}

pub(in crate::transaction::participant) fn position((epoch, sequence): (Epoch, u64)) -> String {
    let at = u128::from(epoch.as_u64()) << 64 | u128::from(sequence);
    bytes(&at.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::id::TransactionId;

    fn id(epoch: u64, sequence: u64, number: u16) -> BranchId {
        let coordinator = CoordinatorId::from_u128(u128::MAX);
        let epoch = Epoch::new(epoch).unwrap_or_else(|| unreachable!());
        BranchId::new(TransactionId::new(coordinator, epoch, sequence), number)
    }

    #[test]
    fn the_longest_name_fits_and_is_read_back() {
        let longest = id(u64::MAX, u64::MAX, u16::MAX);
        assert!(gid(longest).len() < 200, "{}", gid(longest));
        assert_eq!(branch(&gid(longest)), Some(longest));
        assert!(gid(longest).starts_with(&prefix(longest.transaction().coordinator())));
    }

    #[test]
    fn other_names_are_not_ours() {
        let ours = gid(id(1, 2, 3));
        for other in [
            String::new(),
            ours.to_uppercase(),
            format!("{ours} "),
            format!("{ours}_0"),
            ours.replacen("tripod_", "tripod-", 1),
            ours.replacen("_1_", "_01_", 1),
            ours.replacen("_1_", "_0_", 1),
        ] {
            assert_eq!(branch(&other), None, "{other}");
        }
    }

    #[test]
    fn positions_are_ordered_as_they_read() {
        let at = |epoch, sequence| place(id(epoch, sequence, 0)).1;
        assert!(at(1, u64::MAX) < at(2, 0));
        assert!(at(9, 0) < at(10, 0));
        assert!(at(1, 9) < at(1, 10));
    }
}
