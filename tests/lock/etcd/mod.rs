//! Locks on etcd, against a real server.

mod law;
