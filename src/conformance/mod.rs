//! What the suites for traits have in common: cases that quote the law, and a report.

mod case;
mod report;

pub(crate) use case::{Case, Failure, Outcome, cases, ensure, with_sources};
pub use report::{CaseReport, Report};
