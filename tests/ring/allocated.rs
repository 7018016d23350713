//! allocated
