//! How it is with whoever writes to a log.

use super::log::AppendError;

/// How it is with whoever writes to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Serving,
    /// Nothing is appended until the log is opened again.
    Failed,
    /// Another has opened the log: it is not opened again.
    Superseded,
}

impl Health {
    /// What an append that failed tells; nothing, if there was only no room.
    pub(super) fn after(error: &AppendError) -> Option<Self> {
        match error {
            // Whoever closed it had opened it after us.
            AppendError::Superseded { .. } | AppendError::Closed => Some(Self::Superseded),
            AppendError::Poisoned | AppendError::Unknown(_) | AppendError::Gone => {
                Some(Self::Failed)
            }
            AppendError::Full { .. } | AppendError::TooLarge { .. } => None,
        }
    }
}
