//! A case of a suite, and how it fails.

use std::error::Error;
use std::fmt;
use std::panic::Location;

/// A claim about an implementation, and how to try it. `Play` is a function of the suite's own
/// scene, which may borrow.
pub(crate) struct Case<Play> {
    /// The claim, as the name of a function.
    pub(crate) name: &'static str,
    /// The sentences of the law that it tries.
    pub(crate) law: &'static [&'static str],
    pub(crate) play: Play,
}

/// Functions and the sentences that they try, as a list of cases. The module above is the suite's:
/// it has the sentences in `law`, and its kind of [`Case`].
macro_rules! cases {
    ($($case:ident: $($law:ident),+;)+) => {
        &[$(super::Case {
            name: stringify!($case),
            law: &[$(super::law::$law),+],
            play: |scene| Box::pin($case(scene)),
        }),+]
    };
}
pub(crate) use cases;

/// Ends a case unless the implementation did as it should.
macro_rules! ensure {
    ($truth:expr, $($what:tt)+) => {
        if !$truth {
            return Err($crate::conformance::Failure::new(format_args!($($what)+)));
        }
    };
}
pub(crate) use ensure;

pub(crate) type Outcome = Result<(), Failure>;

/// What an implementation did wrong, and the line of the case that saw it.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    #[track_caller]
    pub(crate) fn new(what: impl fmt::Display) -> Self {
        Self::at(Location::caller(), what)
    }

    /// As seen from this line, where the one that notices is not the one that asked.
    pub(crate) fn at(place: &Location<'_>, what: impl fmt::Display) -> Self {
        let file = place.file().rsplit(['/', '\\']).next().unwrap_or_default();
        Self(format!("{what} ({file}, line {})", place.line()))
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl<E: Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::new(with_sources(&error))
    }
}

/// An error, and what it came from.
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += ": ";
        text += &error.to_string();
        source = error.source();
    }
    text
}
