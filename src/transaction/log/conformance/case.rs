//! A case of the suite, and how it fails.

use std::error::Error;
use std::fmt;
use std::panic::Location;

use crate::future::BoxFuture;

use super::scene::Scene;

/// A claim about a log, and how to try it.
pub(super) struct Case {
    /// The claim, as the name of a function.
    pub(super) name: &'static str,
    /// The sentences of the law that it tries.
    pub(super) law: &'static [&'static str],
    pub(super) play: for<'a> fn(&'a Scene<'a>) -> BoxFuture<'a, Outcome>,
}

/// Functions and the sentences that they try, as a list of cases.
macro_rules! cases {
    ($($case:ident: $($law:ident),+;)+) => {
        &[$($crate::transaction::log::conformance::case::Case {
            name: stringify!($case),
            law: &[$($crate::transaction::log::conformance::law::$law),+],
            play: |scene| Box::pin($case(scene)),
        }),+]
    };
}
pub(super) use cases;

/// Ends a case unless the log did as it should.
macro_rules! ensure {
    ($truth:expr, $($what:tt)+) => {
        if !$truth {
            return Err($crate::transaction::log::conformance::case::Failure::new(
                format_args!($($what)+),
            ));
        }
    };
}
pub(super) use ensure;

pub(super) type Outcome = Result<(), Failure>;

/// What a log did wrong, and the line of the case that saw it.
#[derive(Debug)]
pub(super) struct Failure(String);

impl Failure {
    #[track_caller]
    pub(super) fn new(what: impl fmt::Display) -> Self {
        let place = Location::caller();
        let file = place.file().rsplit(['/', '\\']).next().unwrap_or_default();
        Self(format!("{what} ({file}, line {})", place.line()))
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl<E: Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text += ": ";
            text += &error.to_string();
            source = error.source();
        }
        Self::new(text)
    }
}
