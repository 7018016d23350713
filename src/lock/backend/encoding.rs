//! Names as stores take them.

use std::fmt::Write;

use crate::lock::name::LockName;

/// The name with every byte that is neither a letter or digit of ASCII nor one of `plain` as `%XX`.
/// `plain` must not hold `%`; then no two names share an encoding.
pub(super) fn encoded(name: &LockName, plain: &[u8]) -> String {
    let mut encoded = String::with_capacity(name.as_str().len());
    for byte in name.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
