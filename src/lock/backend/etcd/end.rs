//! Ending entries, and what operators do.

use etcd_client::{Txn, TxnOp};
use tokio::time::Instant;

use crate::lock::backend::{Entry, Inspection};
use crate::lock::fence::FencingToken;
use crate::lock::name::LockName;

use super::keys::is_of;
use super::lease::Terms;
use super::link::TIMEOUT;
use super::steps::delete;
use super::store::Store;
use super::table::{Naming, Stage};
use super::trouble::Trouble;

impl Store {
    pub(super) async fn release(&self, entry: &Entry) -> Result<bool, Trouble> {
        let Some(naming) = self.table.name_to_end(entry) else {
            return Ok(false);
        };
        if let Stage::Left { .. } = naming.stage() {
            return Ok(false);
        }
        let until = Instant::now() + TIMEOUT;
        let (bar, turn) = (naming.bar(), naming.turn());
        let released = match self.take(naming.wish.release(bar), until).await {
            Ok(answer) => answer.deleted > 0,
            // What stood under it went with it.
            Err(trouble) if trouble.is_lease_gone() => false,
            Err(trouble) => return Err(trouble),
        };
        if released {
            naming.left(bar.is_some());
        } else if let Stage::Holding = naming.stage() {
            naming.gone(turn);
        }
        Ok(released)
    }

    pub(super) async fn leave(&self, entry: &Entry) -> Result<(), Trouble> {
        let Some(naming) = self.table.name_to_end(entry) else {
            return Ok(());
        };
        if let Stage::Left { .. } = naming.stage() {
            return Ok(());
        }
        // A request that was not sent yet is not sent any more.
        naming.begin_to_leave();
        let until = Instant::now() + TIMEOUT;
        let bar = naming.bar();
        let left = if naming.lease().is_some() {
            self.take(naming.wish.leave(bar), until).await.map(drop)
        } else {
            Ok(())
        };
        match left {
            Ok(()) => naming.left(bar.is_some()),
            // So is every request that would enter under it.
            Err(trouble) if trouble.is_lease_gone() => naming.left(false),
            Err(trouble) => return Err(trouble),
        }
        Ok(())
    }

    pub(super) async fn inspect(&self, name: &LockName) -> Result<Inspection, Trouble> {
        let until = Instant::now() + TIMEOUT;
        let keys = self.prefix.lock(name);
        let answer = self
            .take(Txn::new().and_then([keys.all().get()]), until)
            .await?;
        answer.snapshot(&keys)?.inspection()
    }

    pub(super) async fn force_release(
        &self,
        name: &LockName,
        token: FencingToken,
    ) -> Result<bool, Trouble> {
        let until = Instant::now() + TIMEOUT;
        // Zero stands for no bound, and is no revision.
        let revision = i64::try_from(token.as_u64()).unwrap_or_default();
        if revision == 0 {
            return Ok(false);
        }
        let holders = self.prefix.lock(name).holders();
        let find: [TxnOp; 1] = [holders.get_of(revision)];
        let found = self.take(Txn::new().and_then(find), until).await;
        let found = found.map_err(Trouble::before_it_went_out)?;
        let key = found.got(0).first().map(|kv| std::str::from_utf8(kv.key()));
        let Some(key) = key.transpose().map_err(|_| Trouble::corrupt())? else {
            return Ok(false);
        };
        let end = Txn::new()
            .when([is_of(key, revision)])
            .and_then([delete(key)]);
        Ok(self.take(end, until).await?.deleted > 0)
    }
}

impl Naming<'_> {
    /// The lease to bar the id under, if a request to enter may take effect yet.
    fn bar(&self) -> Option<Terms> {
        if !self.may_enter_yet() {
            return None;
        }
        let lease = self.lease()?;
        lease.suspect();
        Some(lease.terms())
    }
}
