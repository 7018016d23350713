#![doc = include_str!("../README.md")]

#[cfg(feature = "conformance")]
mod conformance;
mod future;
pub mod lock;
pub mod ring;
pub mod transaction;

pub use future::BoxFuture;
