#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate self as tripod;

mod chance;
#[cfg(feature = "conformance")]
mod conformance;
mod future;
pub mod lock;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "postgres")]
mod postgres;
pub mod ring;
#[cfg(any(
    feature = "etcd",
    feature = "mysql",
    feature = "postgres",
    feature = "redis",
    feature = "zookeeper"
))]
mod tls;
pub mod transaction;

pub use future::BoxFuture;
