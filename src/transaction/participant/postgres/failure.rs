//! What trouble with the server means for a participant.

use crate::postgres::{NoWay, SchemaTrouble};
use crate::transaction::participant::{ParticipantError, ParticipantOpenError};
use crate::transaction::postgres;

pub(in crate::transaction::participant) use crate::transaction::postgres::{Source, Trouble};

impl From<Trouble> for ParticipantError {
    fn from(trouble: Trouble) -> Self {
        if trouble.is_refusal() {
            Self::Refused(trouble.into_source())
        } else {
            Self::Unknown(trouble.into_source())
        }
    }
}

impl From<Trouble> for ParticipantOpenError {
    fn from(trouble: Trouble) -> Self {
        if trouble.is_refusal() {
            Self::Unfit(trouble.into_source())
        } else {
            Self::Unknown(trouble.into_source())
        }
    }
}

/// What a migration or a check that did not end well means. `migrate` is what the tables are
/// migrated by.
pub(in crate::transaction::participant) fn unfit(
    error: SchemaTrouble,
    migrate: &str,
) -> ParticipantOpenError {
    match postgres::unfit(error, migrate) {
        Ok(why) => ParticipantOpenError::Unfit(why),
        Err(why) => ParticipantOpenError::Unknown(why),
    }
}

pub(in crate::transaction::participant) fn no_way(error: NoWay) -> ParticipantOpenError {
    ParticipantOpenError::Unfit(error.into())
}
