//! Keys from standard input.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, StdinLock};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;

/// The longest key, in bytes: longer than any name in use, and an input without line ends
/// cannot take the machine's memory.
const KEY_LEN_MAX: usize = 16 << 20;

/// Few calls to the system for long input.
pub(crate) const BUFFER_LEN: usize = 1 << 20;

/// How many keys there are between two looks at the spinner. It shows after the first so many,
/// so not at all for short input.
const KEYS_PER_TICK: u64 = 100_000;

/// The lines of standard input, one after the other in the same memory.
#[derive(Debug)]
pub(crate) struct Keys {
    input: BufReader<StdinLock<'static>>,
    key: Vec<u8>,
    count: u64,
    progress: Progress,
}

impl Keys {
    /// `quiet` where a spinner would come between lines of output.
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER_LEN, io::stdin().lock()),
            key: Vec::new(),
            count: 0,
            progress: Progress::new(quiet),
        }
    }

    /// The next key: a line's bytes without the line feed; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        self.key.clear();
        let room = KEY_LEN_MAX as u64 + 1;
        let mut input = self.input.by_ref().take(room);
        let len = input.read_until(b'\n', &mut self.key);
        if len.map_err(Failure::Read)? == 0 {
            self.progress.finish();
            return Ok(None);
        }
        self.count += 1;
        if self.key.last() == Some(&b'\n') {
            self.key.pop();
        } else if self.key.len() > KEY_LEN_MAX {
            self.progress.finish();
            return Err(Failure::refused(format!(
                "the key on line {} is longer than {} MiB",
                self.count,
                KEY_LEN_MAX >> 20
            )));
        }
        if self.count.is_multiple_of(KEYS_PER_TICK) {
            self.progress.show(self.count);
        }
        Ok(Some(&self.key))
    }

    /// How many keys have been read.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

/// A spinner on standard error: only on a terminal, and only once the input proves long.
#[derive(Debug)]
struct Progress {
    wanted: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    fn new(quiet: bool) -> Self {
        let wanted = !quiet && io::stderr().is_terminal();
        Self { wanted, bar: None }
    }

    fn show(&mut self, count: u64) {
        if self.wanted {
            self.bar.get_or_insert_with(spinner).set_position(count);
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} keys in {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
