//! What was asked for, and the keys that it stands at.

use std::time::Duration;

use crate::lock::backend::{Metadata, Request};
use crate::lock::name::{HolderId, LockName};
use crate::lock::queue::Mode;

use super::keys::{LockKeys, Prefix};

#[derive(Debug)]
pub(super) struct Wish {
    pub(super) name: LockName,
    pub(super) holder: HolderId,
    pub(super) mode: Mode,
    pub(super) priority: u8,
    /// In whole seconds, as leases count, rounded up.
    pub(super) ttl_secs: u64,
    pub(super) metadata: Metadata,
    pub(super) keys: LockKeys,
    pub(super) held: String,
    pub(super) waiting: String,
    pub(super) left: String,
}

impl Wish {
    pub(super) fn new(prefix: &Prefix, request: &Request) -> Self {
        let (name, holder) = (request.entry().name(), request.entry().holder());
        let (mode, priority) = (request.mode(), request.priority());
        let keys = prefix.lock(name);
        Self {
            name: name.clone(),
            holder,
            mode,
            priority,
            ttl_secs: whole_seconds(request.ttl()),
            metadata: request.metadata().clone(),
            held: keys.held(mode, holder),
            waiting: keys.waiting(mode, priority, holder),
            left: prefix.left(holder),
            keys,
        }
    }
}

fn whole_seconds(ttl: Duration) -> u64 {
    ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0)
}
