//! How to hold, and how long to wait.

use std::time::Duration;

use super::backend::{Entry, Metadata, MetadataError, Request};
use super::error::AcquireError;
use super::queue::{Mode, PermitsError};

/// The TTL of a lease for which none was asked: long enough that a slow store or a pause of a few
/// seconds loses nothing, short enough to wait for when a holder has died.
const TTL_DEFAULT: Duration = Duration::from_secs(30);

/// How long an acquisition waits in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// Until it is granted.
    #[default]
    Forever,
    /// For this long at most, and then fails as [`AcquireError::TimedOut`].
    AtMost(Duration),
}

impl From<Duration> for Wait {
    fn from(bound: Duration) -> Self {
        Self::AtMost(bound)
    }
}

/// How to hold, whatever is to be held.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) ttl: Duration,
    pub(super) mode: Result<Mode, PermitsError>,
    pub(super) priority: u8,
    pub(super) metadata: Result<Metadata, MetadataError>,
    pub(super) renews: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ttl: TTL_DEFAULT,
            mode: Ok(Mode::Exclusive),
            priority: 0,
            metadata: Ok(Metadata::default()),
            renews: true,
        }
    }
}

impl Options {
    /// The request for an entry.
    pub(super) fn request(&self, entry: Entry) -> Result<Request, AcquireError> {
        let request = Request::new(entry, self.ttl)?;
        Ok(request
            .with_mode(self.mode.clone()?)
            .with_priority(self.priority)
            .with_metadata(self.metadata.clone()?))
    }
}
