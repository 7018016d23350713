//! Where entries stand in the store.
//!
//! ```text
//! <prefix>/:lock/<name>/h/<mode>/<id>             a holder; its token is the create revision
//! <prefix>/:lock/<name>/w/<urgency>/<mode>/<id>   a waiter; its arrival is the create revision
//! <prefix>/:left/<id>                             an id that left: no request enters it any more
//! ```
//!
//! The urgency is the priority inverted, so that whoever goes first is listed first. Neither a
//! prefix nor an encoded name has a colon, and no encoded name a slash: nothing meets.

use std::num::NonZeroU32;
use std::sync::Arc;

use etcd_client::{Compare, CompareOp, GetOptions, TxnOp};

use crate::lock::backend::encoding::encoded;
use crate::lock::name::{HolderId, LockName};
use crate::lock::queue::{Mode, Permits};

/// What all keys of a store of locks begin with.
#[derive(Clone, Debug)]
pub(super) struct Prefix(Arc<str>);

impl Prefix {
    /// The longest, in bytes: with the longest name, a key stays near to a kilobyte.
    const LEN_MAX: usize = 128;

    /// Checks a prefix.
    pub(super) fn new(prefix: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        let fits = (1..=Self::LEN_MAX).contains(&prefix.len());
        let good = fits && !prefix.ends_with('/') && prefix.bytes().all(plain);
        good.then(|| Self(prefix.into()))
    }

    pub(super) fn lock(&self, name: &LockName) -> LockKeys {
        let name = encoded(name, b"-_.");
        LockKeys(format!("{}/:lock/{name}/", self.0))
    }

    pub(super) fn left(&self, holder: HolderId) -> String {
        format!("{}/:left/{holder}", self.0)
    }

    /// Everything.
    pub(super) fn all(&self) -> Span {
        Span::under(format!("{}/", self.0))
    }

    /// The id that a key of ours ends with.
    pub(super) fn holder(&self, key: &[u8]) -> Option<HolderId> {
        let key = std::str::from_utf8(key).ok()?;
        let rest = key.strip_prefix(&*self.0)?;
        if !rest.starts_with("/:lock/") && !rest.starts_with("/:left/") {
            return None;
        }
        holder(rest.rsplit('/').next()?)
    }
}

/// The keys of one lock.
#[derive(Clone, Debug)]
pub(super) struct LockKeys(String);

/// What a key says of its entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) holder: HolderId,
    pub(super) mode: Mode,
    /// Of a waiter; a holder has none.
    pub(super) priority: Option<u8>,
}

impl LockKeys {
    pub(super) fn held(&self, mode: Mode, holder: HolderId) -> String {
        format!("{}h/{}/{holder}", self.0, segment(mode))
    }

    pub(super) fn waiting(&self, mode: Mode, priority: u8, holder: HolderId) -> String {
        let urgency = u8::MAX - priority;
        format!("{}w/{urgency:02x}/{}/{holder}", self.0, segment(mode))
    }

    /// All entries.
    pub(super) fn all(&self) -> Span {
        Span::under(self.0.clone())
    }

    /// All holders.
    pub(super) fn holders(&self) -> Span {
        Span::under(format!("{}h/", self.0))
    }

    /// Holders that a shared one cannot hold beside: modes before and after `s`.
    pub(super) fn unshared(&self) -> [Span; 2] {
        let (before, after) = (format!("{}h/s/", self.0), format!("{}h/s0", self.0));
        let Span { from, to } = self.holders();
        [Span::between(from, before), Span::between(after, to)]
    }

    /// All waiters.
    pub(super) fn waiters(&self) -> Span {
        Span::under(format!("{}w/", self.0))
    }

    /// Waiters of larger priorities.
    pub(super) fn more_urgent(&self, priority: u8) -> Span {
        let to = format!("{}w/{:02x}/", self.0, u8::MAX - priority);
        Span::between(format!("{}w/", self.0), to)
    }

    /// Waiters of this priority.
    pub(super) fn as_urgent(&self, priority: u8) -> Span {
        Span::under(format!("{}w/{:02x}/", self.0, u8::MAX - priority))
    }

    /// What a key of this lock says.
    pub(super) fn read(&self, key: &[u8]) -> Option<Place> {
        let rest = std::str::from_utf8(key).ok()?.strip_prefix(&*self.0)?;
        let mut parts = rest.split('/');
        let priority = match parts.next()? {
            "h" => None,
            "w" => {
                let urgency = u8::from_str_radix(parts.next()?, 16).ok()?;
                Some(u8::MAX - urgency)
            }
            _ => return None,
        };
        let place = Place {
            priority,
            mode: mode(parts.next()?)?,
            holder: holder(parts.next()?)?,
        };
        parts.next().is_none().then_some(place)
    }
}

/// Keys from one up to another, which is not among them.
#[derive(Clone, Debug)]
pub(super) struct Span {
    from: String,
    to: String,
}

impl Span {
    fn between(from: String, to: String) -> Self {
        Self { from, to }
    }

    /// All that begin with `from`, which ends with a slash: `0` comes next.
    fn under(from: String) -> Self {
        let to = format!("{}0", from.strip_suffix('/').unwrap_or(&from));
        Self { from, to }
    }

    // Comparisons hold if they do for every key of the span; where there is none, for zero.

    pub(super) fn is_empty(&self) -> Compare {
        let compare = Compare::create_revision(&*self.from, CompareOp::Equal, 0);
        compare.with_range(&*self.to)
    }

    /// There are some, and each was put after this revision.
    pub(super) fn came_after(&self, revision: i64) -> Compare {
        let compare = Compare::create_revision(&*self.from, CompareOp::Greater, revision);
        compare.with_range(&*self.to)
    }

    /// Nothing was put after this revision. Some may have gone.
    pub(super) fn nothing_new_since(&self, revision: i64) -> Compare {
        let next = revision.saturating_add(1);
        let compare = Compare::mod_revision(&*self.from, CompareOp::Less, next);
        compare.with_range(&*self.to)
    }

    pub(super) fn get(&self) -> TxnOp {
        TxnOp::get(&*self.from, Some(self.options()))
    }

    pub(super) fn count(&self) -> TxnOp {
        TxnOp::get(&*self.from, Some(self.options().with_count_only()))
    }

    /// The keys that were put at this revision.
    pub(super) fn get_of(&self, revision: i64) -> TxnOp {
        let options = self.options().with_keys_only();
        let options = options.with_min_create_revision(revision);
        TxnOp::get(
            &*self.from,
            Some(options.with_max_create_revision(revision)),
        )
    }

    fn options(&self) -> GetOptions {
        GetOptions::new().with_range(&*self.to)
    }

    pub(super) fn from(&self) -> &str {
        &self.from
    }

    pub(super) fn to(&self) -> &str {
        &self.to
    }
}

/// Whether the key is the one that was put at this revision; 0 for none.
pub(super) fn is_of(key: &str, revision: i64) -> Compare {
    Compare::create_revision(key, CompareOp::Equal, revision)
}

fn segment(mode: Mode) -> String {
    match mode {
        Mode::Exclusive => "x".to_owned(),
        Mode::Shared => "s".to_owned(),
        Mode::Permits(permits) => format!("p{:08x}-{:08x}", permits.of(), permits.n()),
    }
}

fn mode(segment: &str) -> Option<Mode> {
    match segment {
        "x" => return Some(Mode::Exclusive),
        "s" => return Some(Mode::Shared),
        _ => {}
    }
    let (of, n) = segment.strip_prefix('p')?.split_once('-')?;
    let number = |digits| NonZeroU32::new(u32::from_str_radix(digits, 16).ok()?);
    Permits::new(number(n)?, number(of)?)
        .map(Mode::Permits)
        .ok()
}

fn holder(digits: &str) -> Option<HolderId> {
    let id = u128::from_str_radix(digits, 16).ok()?;
    (digits.len() == 32).then_some(HolderId::from_u128(id))
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    reason = "a failed assertion is how a test speaks"
)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written_and_by_their_own_lock_only() {
        let prefix = Prefix::new("team/locks").unwrap();
        let name = |name| LockName::new(name).unwrap();
        let (one, other) = (prefix.lock(&name("a")), prefix.lock(&name("a/h")));
        let id = HolderId::new(3, 7);
        let number = |n| NonZeroU32::new(n).unwrap();
        let permits = Permits::new(number(2), number(u32::MAX)).unwrap();
        for mode in [Mode::Exclusive, Mode::Shared, Mode::Permits(permits)] {
            for key in [one.held(mode, id), one.waiting(mode, 9, id)] {
                let place = one.read(key.as_bytes()).unwrap();
                assert_eq!((place.holder, place.mode), (id, mode));
                assert!(other.read(key.as_bytes()).is_none());
                assert_eq!(prefix.holder(key.as_bytes()), Some(id));
                assert!(one.all().from < key && key < one.all().to);
                assert!(key < other.all().from || key > other.all().to);
            }
        }
        let waiting = one.waiting(Mode::Shared, 9, id);
        assert_eq!(one.read(waiting.as_bytes()).unwrap().priority, Some(9));
        let (more, same) = (one.more_urgent(9), one.as_urgent(9));
        assert!(same.from < waiting && waiting < same.to);
        let urgent = one.waiting(Mode::Exclusive, 10, id);
        assert!(more.from < urgent && urgent < more.to && more.to == same.from);
    }

    #[test]
    fn prefixes_without_meaning_are_refused() {
        for bad in ["", "a/", "a:b", "ü", &"a".repeat(129)] {
            assert!(Prefix::new(bad).is_none(), "{bad}");
        }
    }
}
