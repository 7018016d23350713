#![doc = include_str!("../README.md")]

mod future;
pub mod lock;
pub mod ring;

pub use future::BoxFuture;
