//! A directory of a file system.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{Storage, StorageFile, StorageLock};

/// What others lock too. It stays when the log is closed.
const LOCK: &str = "lock";
/// Zeros are written so many at a time.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// A directory of a local file system, for one log and nothing else. On Unix it is made with mode
/// 0700 and its files with 0600.
///
/// The file system must keep what [`Storage`] says, as ext4, XFS and APFS do by themselves. One
/// that copies on writing (Btrfs, ZFS) needs space to write within a file, so that a full disk
/// may fail a decision there. The lock is advisory; network file systems may not have it.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// This directory. Nothing is done before the log is opened.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn make(&self) -> io::Result<()> {
        let missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let missing = self.path.ancestors().take_while(missing).count();
        builder().create(&self.path)?;
        // Each new name is durable only when the directory that it stands in is. The last may be
        // there because a process made it and died before it could sync.
        for path in self.path.ancestors().take(missing.max(1)) {
            let Some(parent) = path.parent() else { break };
            let here = parent.as_os_str().is_empty();
            match sync(if here { Path::new(".") } else { parent }) {
                // Whoever made the directory for us has seen to its name.
                Err(error) if error.kind() == ErrorKind::PermissionDenied && missing == 0 => {}
                synced => synced?,
            }
        }
        Ok(())
    }
}

impl Storage for Directory {
    fn lock(&self, create: bool) -> io::Result<Option<Box<dyn StorageLock>>> {
        if create {
            self.make()?;
        }
        let file = options()
            .create(true)
            .truncate(false)
            .open(self.path.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(Locked(file)))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // A name that is no text is none of ours, and neither is a directory. A link may
            // lead to a segment that somebody moved.
            if let Ok(name) = entry.file_name().into_string()
                && !entry.file_type()?.is_dir()
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = options()
            .create(true)
            .truncate(true)
            .open(self.path.join(name))?;
        Ok(Box::new(OpenFile(file)))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let file = options().open(self.path.join(name))?;
        Ok(Box::new(OpenFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        sync(&self.path)
    }
}

#[cfg(unix)]
fn builder() -> fs::DirBuilder {
    use std::os::unix::fs::DirBuilderExt;
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
}

#[cfg(not(unix))]
fn builder() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    builder
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

#[cfg(unix)]
fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Elsewhere directories cannot be opened, and file systems make names durable in their order.
#[cfg(not(unix))]
fn sync(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// The system's lock goes with the open file.
#[derive(Debug)]
struct Locked(#[expect(dead_code, reason = "it is dropped, which unlocks")] File);

impl StorageLock for Locked {}

#[derive(Debug)]
struct OpenFile(File);

impl StorageFile for OpenFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.read_exact(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.write_all(bytes)
    }

    fn preallocate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)?;
        self.0.seek(SeekFrom::Start(0))?;
        let mut left = len;
        while left > 0 {
            let step = usize::try_from(left)
                .unwrap_or(ZEROS.len())
                .min(ZEROS.len());
            let zeros = ZEROS.get(..step).unwrap_or(&ZEROS);
            self.0.write_all(zeros)?;
            left = left.saturating_sub(u64::try_from(step).unwrap_or(left));
        }
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
