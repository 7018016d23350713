//! What all that works on `PostgreSQL` shares: the way there, connections, errors, schemas.

mod backoff;
mod certificates;
mod failure;
mod migration;
mod pool;
mod schema;
mod way;

pub(crate) use backoff::Backoff;
pub(crate) use certificates::NoWay;
pub(crate) use failure::{cause, is_refused, is_undone, refuses, takes_no_writes};
pub(crate) use migration::migration;
pub(crate) use pool::{Argument, Borrowed, Connected, NoConnection, Pool};
pub(crate) use schema::{Misfit, Schema, SchemaTrouble};
pub(crate) use way::{Driver, Way};
