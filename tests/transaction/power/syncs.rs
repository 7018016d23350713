//! A directory whose files may not be synced.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tripod::transaction::log::{Directory, Storage, StorageFile, StorageLock};

/// What is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syncs {
    All,
    /// All but appends, once the log is open: their `fdatasync` is taken out, and no other.
    NoAppends,
}

impl Syncs {
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::NoAppends => "no-appends",
        }
    }

    pub fn named(name: &str) -> Self {
        let mut known = [Self::All, Self::NoAppends].into_iter();
        known.find(|syncs| syncs.name() == name).unwrap()
    }
}

/// A directory that syncs appends until it is told not to.
#[derive(Clone, Debug)]
pub struct Forgetful {
    directory: Arc<Directory>,
    forgets: Arc<AtomicBool>,
}

impl Forgetful {
    pub fn new(path: &Path) -> Self {
        Self {
            directory: Arc::new(Directory::new(path)),
            forgets: Arc::default(),
        }
    }

    pub fn forget(&self) {
        self.forgets.store(true, Ordering::SeqCst);
    }

    fn file(&self, file: Box<dyn StorageFile>) -> Box<dyn StorageFile> {
        let forgets = Arc::clone(&self.forgets);
        Box::new(ForgetfulFile {
            file,
            forgets,
            appended: false,
        })
    }
}

impl Storage for Forgetful {
    fn lock(&self, create: bool) -> io::Result<Option<Box<dyn StorageLock>>> {
        self.directory.lock(create)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.directory.list()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.file(self.directory.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        Ok(self.file(self.directory.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.directory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.directory.remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.directory.sync_directory()
    }
}

#[derive(Debug)]
struct ForgetfulFile {
    file: Box<dyn StorageFile>,
    forgets: Arc<AtomicBool>,
    /// What was written last is an append; what begins a segment is written at its start.
    appended: bool,
}

impl StorageFile for ForgetfulFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.appended = offset > 0;
        self.file.write_at(offset, bytes)
    }

    fn preallocate(&mut self, len: u64) -> io::Result<()> {
        self.appended = false;
        self.file.preallocate(len)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        if self.appended && self.forgets.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.file.sync_data()
    }
}
