//! Why the program stops, and with which exit code.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use tripod::ring::{ChangeError, DiffError, ReplicasError};

/// Everything that ends the program early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The options or the keys make no sense: exit code 2, as for an unknown option.
    Refused(String),
    /// Standard input failed: exit code 1.
    Read(io::Error),
    /// Standard output failed: exit code 1.
    Write(io::Error),
}

impl Failure {
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused(_) => ExitCode::from(2),
            Self::Read(_) | Self::Write(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => f.write_str(reason),
            Self::Read(error) => write!(f, "cannot read standard input: {error}"),
            Self::Write(error) => write!(f, "cannot write to standard output: {error}"),
        }
    }
}

impl From<clap::Error> for Failure {
    /// The first paragraph of what clap has to say, on one line.
    fn from(error: clap::Error) -> Self {
        let text = error.to_string();
        let lines = text.lines().map(str::trim);
        let paragraph: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
        let line = paragraph.join(" ");
        Self::refused(line.trim_start_matches("error: "))
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        Self::Refused(chain(&error))
    }
}

impl From<DiffError> for Failure {
    fn from(error: DiffError) -> Self {
        Self::Refused(chain(&error))
    }
}

impl From<ReplicasError> for Failure {
    fn from(error: ReplicasError) -> Self {
        Self::Refused(chain(&error))
    }
}

/// An error with its causes, on one line. The library's errors leave their causes to `source`.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
