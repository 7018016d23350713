//! What a suite found.

use std::error::Error;
use std::fmt;

/// What became of each case.
pub struct Report {
    cases: Vec<CaseReport>,
}

/// What became of one case.
#[derive(Clone, Debug)]
pub struct CaseReport {
    name: &'static str,
    law: &'static [&'static str],
    failure: Option<String>,
}

impl Report {
    pub(crate) fn new(mut cases: Vec<CaseReport>) -> Self {
        cases.sort_by_key(|case| case.name);
        Self { cases }
    }

    /// Every case, by name.
    pub fn cases(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases.iter()
    }

    /// The cases in which the law was broken.
    pub fn failures(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases().filter(|case| case.failure.is_some())
    }

    /// The cases in which the law was kept.
    pub fn passed(&self) -> impl Iterator<Item = &CaseReport> {
        self.cases().filter(|case| case.failure.is_none())
    }

    /// The report as an error, if there is any failure.
    ///
    /// # Errors
    /// The report itself. Its `Debug` is its `Display`, so that `unwrap` and `?` in a test print
    /// the failures line by line.
    pub fn into_result(self) -> Result<(), Self> {
        if self.failures().count() > 0 {
            return Err(self);
        }
        Ok(())
    }
}

impl CaseReport {
    pub(crate) fn new(
        name: &'static str,
        law: &'static [&'static str],
        failure: Option<String>,
    ) -> Self {
        Self { name, law, failure }
    }

    /// What the case claims.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The sentences of the law that it tries, links aside.
    #[must_use]
    pub fn law(&self) -> &'static [&'static str] {
        self.law
    }

    /// What happened instead, and which line of the case saw it.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = self.passed().count();
        write!(f, "{passed} of {} cases passed", self.cases.len())?;
        self.failures().try_for_each(|case| write!(f, "\n{case}"))
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(failure) = &self.failure else {
            return write!(f, "passed: {}", self.name);
        };
        write!(f, "FAILED: {}: {failure}", self.name)?;
        let mut law = self.law.iter();
        law.try_for_each(|sentence| write!(f, "\n    law: {sentence}"))
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Report {}
