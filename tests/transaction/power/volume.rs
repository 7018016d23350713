//! A file system in a file, whose power can be cut.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

/// So long is its image, in bytes: room for a journal and a few segments.
const LEN: u64 = 32 << 20;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// An ext4 file system, mounted. It goes with its owner.
#[derive(Debug)]
pub struct Volume {
    scratch: PathBuf,
    mounted: bool,
}

impl Volume {
    /// Makes one and mounts it. The error says why this machine does not permit that.
    pub fn new() -> Result<Self, String> {
        if !cfg!(target_os = "linux") {
            return Err("it is not Linux".into());
        }
        if !rustix::process::geteuid().is_root() {
            return Err("mounting takes root".into());
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tripod-power-{}-{number}", process::id());
        let mut volume = Self {
            scratch: std::env::temp_dir().join(name),
            mounted: false,
        };
        fs::create_dir_all(volume.root()).unwrap();
        File::create_new(volume.image())
            .unwrap()
            .set_len(LEN)
            .unwrap();
        run(
            Command::new("mkfs.ext4")
                .args(["-q", "-F"])
                .arg(volume.image()),
            "e2fsprogs",
        )
        .unwrap();
        let source = volume.scratch.join("shutdown.c");
        fs::write(&source, include_str!("shutdown.c")).unwrap();
        run(
            Command::new("cc")
                .arg("-o")
                .arg(volume.shutdown())
                .arg(source),
            "gcc",
        )
        .unwrap();
        volume.mount()?;
        Ok(volume)
    }

    /// A place for a log on it.
    pub fn log(&self) -> PathBuf {
        self.root().join("log")
    }

    /// Whatever is not on the disk now is lost.
    pub fn cut(&self) {
        run(Command::new(self.shutdown()).arg(self.root()), "gcc").unwrap();
    }

    /// The machine starts again.
    pub fn mount_again(&mut self) {
        run(Command::new("umount").arg(self.root()), "mount").unwrap();
        self.mounted = false;
        self.mount().unwrap();
    }

    fn mount(&mut self) -> Result<(), String> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "ext4", "-o", "loop"]);
        run(mount.arg(self.image()).arg(self.root()), "mount")?;
        self.mounted = true;
        Ok(())
    }

    fn root(&self) -> PathBuf {
        self.scratch.join("root")
    }

    fn image(&self) -> PathBuf {
        self.scratch.join("image")
    }

    fn shutdown(&self) -> PathBuf {
        self.scratch.join("shutdown")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.mounted {
            // A child may still be about to end.
            let lazily = Command::new("umount").arg("-l").arg(self.root()).status();
            if !lazily.is_ok_and(|status| status.success()) {
                return;
            }
        }
        let _ = fs::remove_dir_all(Path::new(&self.scratch));
    }
}

/// Runs a program of this package. The error is what it said.
fn run(command: &mut Command, package: &str) -> Result<(), String> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?} does not start ({error}): install the package {package}"),
    };
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}
