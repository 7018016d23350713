//! The calls that a log makes of the disk.

use std::io::{self, ErrorKind};

use tripod::transaction::log::{Storage, StorageFile, StorageLock};

use super::{Disk, Inode, Lie, NameOp, State};

impl Storage for Disk {
    fn lock(&self, _create: bool) -> io::Result<Option<Box<dyn StorageLock>>> {
        let mut state = self.state();
        let boot = state.boot;
        if let Some(kind) = state.call(boot)? {
            return Err(kind.into());
        }
        if state.locked {
            return Ok(None);
        }
        state.locked = true;
        let disk = self.clone();
        Ok(Some(Box::new(Lock { disk, boot })))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        let boot = state.boot;
        match state.call(boot)? {
            None => Ok(state.names.keys().cloned().collect()),
            Some(kind) => Err(kind.into()),
        }
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.state();
        let boot = state.boot;
        let failure = state.call(boot)?;
        if failure.is_some() && !state.crashed && state.dice.coin() {
            return Err(ErrorKind::Other.into());
        }
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.change(NameOp::Set(name.into(), inode));
        match failure {
            None => Ok(Box::new(Open {
                disk: self.clone(),
                boot,
                inode,
            })),
            Some(kind) => Err(kind.into()),
        }
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.state();
        let boot = state.boot;
        if let Some(kind) = state.call(boot)? {
            return Err(kind.into());
        }
        let inode = *state.names.get(name).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(Open {
            disk: self.clone(),
            boot,
            inode,
        }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(|state| {
            let inode = *state.names.get(from).ok_or(ErrorKind::NotFound)?;
            state.change(NameOp::Move(from.into(), to.into(), inode));
            Ok(())
        })
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change(|state| {
            if !state.names.contains_key(name) {
                return Err(ErrorKind::NotFound.into());
            }
            state.change(NameOp::Drop(name.into()));
            Ok(())
        })
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.change(|state| {
            if state.lie != Some(Lie::SyncsNoNames) {
                state.sync_names();
            }
            Ok(())
        })
    }
}

impl Disk {
    /// A change of names, which may fail before or after it was made.
    fn change(&self, change: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state();
        let boot = state.boot;
        let Some(kind) = state.call(boot)? else {
            return change(&mut state);
        };
        if state.dice.coin() {
            let _ = change(&mut state);
        }
        Err(kind.into())
    }
}

#[derive(Debug)]
struct Lock {
    disk: Disk,
    boot: u64,
}

impl StorageLock for Lock {}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.boot == self.boot {
            state.locked = false;
        }
    }
}

#[derive(Debug)]
struct Open {
    disk: Disk,
    boot: u64,
    inode: usize,
}

impl StorageFile for Open {
    fn length(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        match state.call(self.boot)? {
            None => Ok(state.inodes[self.inode].cache.len() as u64),
            Some(kind) => Err(kind.into()),
        }
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Some(kind) = state.call(self.boot)? {
            return Err(kind.into());
        }
        let start = usize::try_from(offset).unwrap();
        let from = state.inodes[self.inode]
            .cache
            .get(start..start + bytes.len());
        bytes.copy_from_slice(from.ok_or(ErrorKind::UnexpectedEof)?);
        if state.lie == Some(Lie::ReadsWrongly)
            && let Some(byte) = bytes.get_mut(100)
        {
            *byte ^= 4;
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut guard = self.disk.state();
        let state = &mut *guard;
        let failure = state.call(self.boot)?;
        let whole = failure.is_none() || state.crashed;
        let (inode, dice) = (&mut state.inodes[self.inode], &mut state.dice);
        inode.write(usize::try_from(offset).unwrap(), bytes, || {
            whole || dice.coin()
        });
        failure.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn preallocate(&mut self, len: u64) -> io::Result<()> {
        let mut guard = self.disk.state();
        let state = &mut *guard;
        let failure = state.call(self.boot)?;
        let before = state.inodes[self.inode].cache.len() as u64;
        let more = len.saturating_sub(before);
        if state.used().saturating_add(more) > state.capacity {
            return Err(ErrorKind::StorageFull.into());
        }
        let whole = failure.is_none() || state.crashed;
        let (inode, dice) = (&mut state.inodes[self.inode], &mut state.dice);
        let zeros = vec![0; usize::try_from(len).unwrap()];
        inode.cache.truncate(zeros.len());
        inode.write(0, &zeros, || whole || dice.coin());
        failure.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut guard = self.disk.state();
        let state = &mut *guard;
        let failure = state.call(self.boot)?;
        if state.lie == Some(Lie::SyncsNothing) {
            return failure.map_or(Ok(()), |kind| Err(kind.into()));
        }
        let (inode, dice) = (&mut state.inodes[self.inode], &mut state.dice);
        match failure {
            None => inode.settle(|| true),
            // What was dirty counts as clean from now on, written or not.
            Some(_) if !state.crashed => inode.settle(|| dice.coin()),
            Some(_) => {}
        }
        match failure {
            Some(_) if state.lie == Some(Lie::TriesAgainAfterAFailedSync) && !state.crashed => {
                Ok(())
            }
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }
}
