//! The channel on which the waiters of a client are told.

use std::sync::Arc;

use redis::{PushInfo, PushKind, Value};

use crate::chance::random;
use crate::lock::backend::bells::Bells;
use crate::lock::name::HolderId;

#[derive(Clone)]
pub(super) struct Subscription {
    channel: Arc<str>,
    bells: Arc<Bells>,
}

impl Subscription {
    /// To a channel of this client's own.
    pub(super) fn new() -> Self {
        let channel = random();
        Self {
            channel: format!("{channel:016x}").into(),
            bells: Arc::default(),
        }
    }

    /// The channel, as entries have it.
    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    /// The channel, as the server has it.
    pub(super) fn topic(&self) -> String {
        format!("tripod:{}", self.channel)
    }

    pub(super) fn bells(&self) -> &Bells {
        &self.bells
    }

    /// Rings the bell that a message is for.
    pub(super) fn hear(&self, push: &PushInfo) {
        if push.kind != PushKind::Message {
            return;
        }
        let [_, Value::BulkString(message)] = push.data.as_slice() else {
            return;
        };
        let holder = std::str::from_utf8(message).ok();
        let holder = holder.and_then(|id| u128::from_str_radix(id, 16).ok());
        if let Some(holder) = holder {
            self.bells.ring(HolderId::from_u128(holder));
        }
    }
}
