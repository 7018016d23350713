//! How large a ring may be.

/// The most nodes a ring holds, drained ones included.
pub const NODES_MAX: usize = 1 << 20;

/// The most vnodes a ring holds: 2^24, which is 100,000 nodes of 160 with room to spare. Such a
/// ring takes some 260 MB, and twice that while it is built.
pub const VNODES_MAX: u64 = 1 << 24;

/// The version of snapshot that this build writes. It reads this one and all before it.
pub const SNAPSHOT_VERSION: u16 = 1;
