//! Connections of other drivers.

use std::error::Error;

use crate::future::BoxFuture;

/// A connection to a database, by whichever driver: what a participant needs to end a branch on it.
///
/// It is one session for as long as it lives: an implementor that reconnects, or passes statements
/// on to any of several connections, breaks the promise of every branch.
pub trait SqlConnection: Send + 'static {
    /// Executes one statement, as text and without parameters, and answers how many rows it
    /// returned or changed, as the server counts them.
    ///
    /// # Errors
    /// Whatever the driver says. A statement that the server refused is an error.
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<u64, Box<dyn Error + Send + Sync>>>;
}
