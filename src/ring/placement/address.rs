//! Servers' names as hosts and ports.

/// Splits a name at its last colon, where only digits follow.
pub(super) fn host_and_port(name: &str) -> Option<(&str, &str)> {
    let parts = name.rsplit_once(':');
    parts.filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
}
