//! Locks on `ZooKeeper`, against real servers.

mod law;
