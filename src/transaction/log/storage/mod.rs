//! Where a log's files are: a directory, or what stands in for one in tests.

mod directory;

use std::fmt;
use std::io;
use std::sync::Arc;

pub use directory::Directory;

/// A place for the files of one log, flat and with short names of ASCII. Its calls block.
///
/// # The law
///
/// What is said to be *durable* outlives a loss of power. Anything else may be lost in part, in
/// any order and in sectors of 512 bytes, until it is made durable. A call that fails may have had
/// its effect, or a part.
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// Makes the place if it is missing (durably, if `create`), and locks it for as long as the
    /// answer lives, against other processes and other callers of this one. `None`: another has
    /// it.
    ///
    /// # Errors
    /// [`NotFound`](io::ErrorKind::NotFound): there is no place, and `create` is false.
    fn lock(&self, create: bool) -> io::Result<Option<Box<dyn StorageLock>>>;

    /// The names of the files, in any order, whoever made them.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file, empty and new; one that had the name is emptied.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Opens a file that is there.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Gives a file another name, in one step; one that had that name is gone.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name. Its space is free once nobody has it open.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes durable which names there are.
    ///
    /// # Errors
    /// What the system says.
    fn sync_directory(&self) -> io::Result<()>;
}

/// A file of a [`Storage`].
pub trait StorageFile: fmt::Debug + Send {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> io::Result<u64>;

    /// Reads so many bytes from this offset on: all of them or none.
    ///
    /// # Errors
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): the file ends before.
    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Writes all these bytes from this offset on.
    ///
    /// # Errors
    /// What the system says.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the file so long, and every byte of it zero, with its space taken for good: writing
    /// within it needs no more.
    ///
    /// # Errors
    /// [`StorageFull`](io::ErrorKind::StorageFull) or
    /// [`QuotaExceeded`](io::ErrorKind::QuotaExceeded): there is no room.
    fn preallocate(&mut self, len: u64) -> io::Result<()>;

    /// Makes durable what was written to the file, and its length. After a failure, what was
    /// written since the last success may or may not be durable, whatever a later call says.
    ///
    /// # Errors
    /// What the system says.
    fn sync_data(&mut self) -> io::Result<()>;
}

/// Keeps others out of a [`Storage`] until it is dropped.
pub trait StorageLock: fmt::Debug + Send {}

#[deny(clippy::missing_trait_methods)]
impl<S: Storage + ?Sized> Storage for Arc<S> {
    fn lock(&self, create: bool) -> io::Result<Option<Box<dyn StorageLock>>> {
        (**self).lock(create)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        (**self).list()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        (**self).create(name)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        (**self).open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        (**self).rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        (**self).remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        (**self).sync_directory()
    }
}
