//! The laws of the log.

#[cfg(feature = "conformance")]
mod conformance;
mod crash;
mod damage;
mod directory;
mod disk;
mod fault;
#[cfg(feature = "conformance")]
mod faulty;
#[cfg(unix)]
mod fuzz;
mod golden;
mod model;
mod poison;
mod random;
mod schedule;
mod script;
mod space;
mod sweep;
mod world;
