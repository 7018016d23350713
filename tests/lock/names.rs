//! Names and ids.

use tripod::lock::{HolderId, LockName, NameError};

#[test]
fn names_are_one_to_200_bytes_without_control_characters() {
    assert_eq!(LockName::new("").unwrap_err(), NameError::Empty);
    assert!(LockName::new("x".repeat(200)).is_ok());
    assert_eq!(
        LockName::new("é".repeat(101)).unwrap_err(),
        NameError::TooLong { len: 202 }
    );
    for (name, at) in [("a\nb", 1), ("\0", 0), ("abc\u{7f}", 3), ("é\u{85}", 2)] {
        assert_eq!(
            LockName::new(name).unwrap_err(),
            NameError::Control { at },
            "{name:?}"
        );
    }
    assert!(LockName::new("orders/17/é").is_ok());
}

#[test]
fn holder_ids_differ_by_handle_and_by_count() {
    let ids = [
        HolderId::new(1, 2),
        HolderId::new(2, 1),
        HolderId::new(1, 1),
    ];
    for (i, id) in ids.iter().enumerate() {
        assert_eq!(HolderId::from_u128(id.as_u128()), *id);
        assert!(ids[i + 1..].iter().all(|other| other != id));
    }
    assert_eq!(ids[0].to_string(), "00000000000000010000000000000002");
}
