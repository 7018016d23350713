//! Values in statements.

use std::fmt::Write;

/// Bytes, whatever the settings of the session are.
pub(in crate::transaction) fn bytes(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(digits, "{byte:02x}");
    }
    format!("pg_catalog.decode('{digits}', 'hex')")
}
