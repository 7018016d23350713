//! A server's time of day, to be set.

use std::path::PathBuf;
use std::process::Command;

use super::Directory;

/// The clock of a server that is started with [`environment`](Self::environment).
pub(crate) struct Clock(Directory);

impl Clock {
    /// One that is right so far.
    pub(crate) fn new() -> Self {
        let clock = Self(Directory::new());
        let source = clock.0.path().join("clock.c");
        std::fs::write(&source, include_str!("clock.c")).unwrap();
        let mut compile = Command::new("cc");
        compile
            .args(["-shared", "-fPIC", "-o"])
            .arg(clock.library());
        let output = compile.arg(source).output();
        let output = output.expect("cc starts: install the package gcc");
        assert!(output.status.success(), "{output:?}");
        clock.set(0);
        clock
    }

    /// Sets it so many seconds ahead, or back.
    pub(crate) fn set(&self, seconds: i64) {
        std::fs::write(self.file(), seconds.to_string()).unwrap();
    }

    /// What makes a server go by it.
    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [
            ("LD_PRELOAD", self.library()),
            ("CLOCK_OFFSET", self.file()),
        ]
    }

    fn library(&self) -> PathBuf {
        self.0.path().join("clock.so")
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("offset")
    }
}
