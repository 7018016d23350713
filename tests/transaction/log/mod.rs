//! The laws of the log.

mod crash;
mod disk;
mod fault;
mod model;
mod random;
mod script;
mod world;
