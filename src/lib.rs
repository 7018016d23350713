#![doc = include_str!("../README.md")]

mod future;
pub mod lock;
pub mod ring;
pub mod transaction;

pub use future::BoxFuture;
