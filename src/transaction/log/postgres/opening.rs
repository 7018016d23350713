//! Opening a log: the epoch is raised and committed; a later snapshot is read; then it is open.

use crate::transaction::id::{CoordinatorId, Epoch};

use super::super::error::{LogError, Operation};
use super::super::live::Live;
use super::failure::asking;
use super::store::{Head, Store};

/// So often another may raise the epoch just before us. Each of them has opened the log, so somebody
/// goes on; more would be a quarrel that nobody should join.
const ROUNDS_MAX: u32 = 64;

/// Which epoch to open.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    /// At least this.
    From(u64),
    /// One more, if nobody else has opened the log since this.
    After(Epoch),
}

/// A log that is open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) coordinator: CoordinatorId,
    pub(super) epoch: Epoch,
    /// Where it ends.
    pub(super) tail: i64,
    pub(super) live: Live,
}

pub(super) async fn open(store: &Store, wanted: Wanted) -> Result<Open, LogError> {
    store.check().await?;
    for _ in 0..ROUNDS_MAX {
        let Some(head) = store.look().await.map_err(asking)? else {
            match wanted {
                Wanted::From(_) => store
                    .create(CoordinatorId::random())
                    .await
                    .map_err(asking)?,
                Wanted::After(_) => return Err(LogError::Missing),
            }
            continue;
        };
        let (epoch, after) = next(head, wanted)?;
        let raised = store.raise(head.epoch, epoch, after).await;
        if let Some(tail) = raised.map_err(asking)? {
            let live = store.replay(head, epoch).await?;
            return Ok(Open {
                coordinator: head.coordinator,
                epoch,
                tail,
                live,
            });
        }
    }
    Err(LogError::Io {
        operation: Operation::Ask,
        source: std::io::Error::other("others open the log again and again"),
    })
}

/// The epoch to open, and the one that it comes after if both have the same owner.
fn next(head: Head, wanted: Wanted) -> Result<(Epoch, Option<Epoch>), LogError> {
    let (hint, after) = match wanted {
        Wanted::From(hint) => (hint, None),
        Wanted::After(epoch) => {
            // One that came after it was opened by the same, who was not told.
            if head.epoch != epoch.as_u64() && head.after != Some(epoch) {
                return Err(LogError::Superseded { epoch });
            }
            (0, Some(epoch))
        }
    };
    let epoch = head.epoch.checked_add(1).map(|next| next.max(hint));
    let epoch = epoch.and_then(Epoch::new).ok_or(LogError::Exhausted)?;
    Ok((epoch, after))
}
