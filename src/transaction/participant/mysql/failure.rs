//! What went wrong, and what may be concluded from it.

use std::fmt;

use mysql_async::{DriverError, Error, IoError};

use crate::transaction::participant::{ParticipantError, ParticipantOpenError};

/// What came of a statement instead of an answer.
///
/// `Display` and `Debug` tell the server's code and nothing of its text, which may quote values:
/// [`message`](Self::message) tells that.
pub struct MysqlError(Kind);

enum Kind {
    Server {
        code: u16,
        state: String,
        message: String,
    },
    Broken(String),
    Late,
    Ended,
    /// The client gave up, and its connection with it.
    Misused(&'static str),
    Garbled(&'static str),
}

/// `XAER_NOTA`: no such branch, or it is not yet, or no longer, anyone's to finish.
pub(super) const NO_SUCH_BRANCH: u16 = 1397;
/// `XAER_RMFAIL`: not in this state of a branch.
const WRONG_STATE: u16 = 1399;
/// `XA_RBROLLBACK`, `XA_RBTIMEOUT`, `XA_RBDEADLOCK`: the branch is rolled back.
const ROLLED_BACK: [u16; 3] = [1402, 1613, 1614];
/// The branch is there already.
pub(super) const DUPLICATE_BRANCH: u16 = 1440;
pub(in crate::transaction::participant) const DUPLICATE_KEY: u16 = 1062;
/// A lock was not had in time, or not without a deadlock.
const LOCKED: [u16; 2] = [1205, 1213];
/// No right, no such user, database, table or column: the same until somebody mends it.
const REFUSALS: [u16; 12] = [
    1044, 1045, 1049, 1054, 1130, 1142, 1143, 1146, 1227, 1370, 1665, 1698,
];

impl MysqlError {
    /// The server's number of the error, if it is the server that refused.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match &self.0 {
            Kind::Server { code, .. } => Some(*code),
            Kind::Broken(_) | Kind::Late | Kind::Ended | Kind::Misused(_) | Kind::Garbled(_) => {
                None
            }
        }
    }

    /// The server's text, which may quote values of the statement: mind where it goes.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match &self.0 {
            Kind::Server { message, .. } => Some(message),
            Kind::Broken(_) | Kind::Late | Kind::Ended | Kind::Misused(_) | Kind::Garbled(_) => {
                None
            }
        }
    }

    /// Whether the branch is over: it ended, or its connection did, as it does where the parameters
    /// are not as many as the statement has. Else only the statement failed,
    /// and a deadlock that the server answered by undoing the whole branch shows when it is
    /// prepared.
    #[must_use]
    pub fn is_of_the_branch(&self) -> bool {
        match &self.0 {
            Kind::Broken(_) | Kind::Late | Kind::Ended | Kind::Misused(_) => true,
            Kind::Server { .. } | Kind::Garbled(_) => false,
        }
    }

    pub(in crate::transaction::participant) fn late() -> Self {
        Self(Kind::Late)
    }

    pub(super) fn ended() -> Self {
        Self(Kind::Ended)
    }

    pub(in crate::transaction::participant) fn garbled(what: &'static str) -> Self {
        Self(Kind::Garbled(what))
    }

    pub(in crate::transaction::participant) fn is(&self, code: u16) -> bool {
        self.code() == Some(code)
    }

    pub(in crate::transaction::participant) fn is_of_a_lock(&self) -> bool {
        self.code().is_some_and(|code| LOCKED.contains(&code))
    }

    /// Whether the server has rolled a branch back that it was to prepare or to commit.
    pub(super) fn is_rolled_back(&self) -> bool {
        self.code().is_some_and(|code| ROLLED_BACK.contains(&code))
    }

    /// Whether the server did not prepare what it was to prepare.
    pub(super) fn is_unprepared(&self) -> bool {
        self.is_rolled_back() || self.is(NO_SUCH_BRANCH) || self.is(WRONG_STATE)
    }

    fn is_refusal(&self) -> bool {
        self.code().is_some_and(|code| REFUSALS.contains(&code))
    }
}

impl From<MysqlError> for ParticipantError {
    fn from(error: MysqlError) -> Self {
        if error.is_refusal() {
            Self::refused(error)
        } else {
            Self::unknown(error)
        }
    }
}

impl From<MysqlError> for ParticipantOpenError {
    fn from(error: MysqlError) -> Self {
        if error.is_refusal() || matches!(error.0, Kind::Garbled(_)) {
            Self::Unfit(error.into())
        } else {
            Self::Unknown(error.into())
        }
    }
}

impl From<Error> for MysqlError {
    fn from(error: Error) -> Self {
        let broken = |why: &dyn fmt::Display| Self(Kind::Broken(why.to_string()));
        match error {
            Error::Server(error) => Self(Kind::Server {
                code: error.code,
                state: error.state,
                message: error.message,
            }),
            Error::Io(IoError::Io(error)) if is_of_tls(&error) => Self::garbled(UNTRUSTED),
            Error::Io(IoError::Io(error)) => broken(&error),
            Error::Io(IoError::Tls(_)) => Self::garbled(UNTRUSTED),
            Error::Driver(error) => error.into(),
            // Their texts may quote what they were given.
            Error::Other(_) => Self::garbled("the client failed"),
            Error::Url(_) => Self::garbled("the URL is not of MySQL"),
        }
    }
}

const UNTRUSTED: &str = "the certificates will not do, the server's or our own";

/// Whether what the server showed was not accepted.
fn is_of_tls(error: &std::io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}

impl From<DriverError> for MysqlError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the client's, and what is not known of it is unknown"
    )]
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::ConnectionClosed => Self(Kind::Broken("it is closed".into())),
            DriverError::StmtParamsMismatch { .. }
            | DriverError::StmtParamsNumberExceedsLimit { .. }
            | DriverError::Params(_)
            | DriverError::MixedParams => {
                Self(Kind::Misused("the parameters are not the statement's"))
            }
            DriverError::NoClientSslFlagFromServer => Self::garbled("the server has no TLS"),
            DriverError::NoKeyFound => Self::garbled("no private key of the client"),
            // Others may quote packets.
            _ => Self(Kind::Broken("the client does not understand".into())),
        }
    }
}

impl fmt::Display for MysqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Server { code, state, .. } => write!(f, "the server says error {code} ({state})"),
            Kind::Broken(why) => write!(f, "the connection is lost: {why}"),
            Kind::Late => f.write_str("no answer in time"),
            Kind::Ended => f.write_str("the branch has ended"),
            Kind::Misused(what) | Kind::Garbled(what) => f.write_str(what),
        }
    }
}

impl fmt::Debug for MysqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MysqlError({self})")
    }
}

impl std::error::Error for MysqlError {}
