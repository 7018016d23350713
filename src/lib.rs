// Some of its blocks need features, so they are run where all of these are on.
#![cfg_attr(
    any(
        not(doctest),
        all(feature = "mysql", feature = "postgres", feature = "redis")
    ),
    doc = include_str!("../README.md")
)]

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
mod text;
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
