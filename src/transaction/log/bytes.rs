//! Integers and byte strings, big endian, as frames and records hold them.

/// Reads from the front; `None` once there is less left than was asked for.
#[derive(Clone, Copy, Debug)]
pub(in crate::transaction) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(in crate::transaction) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(in crate::transaction) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::transaction) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(in crate::transaction) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(in crate::transaction) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(in crate::transaction) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(in crate::transaction) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(in crate::transaction) fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_be_bytes)
    }

    /// Bytes after their length of 1 byte.
    pub(in crate::transaction) fn bytes_u8(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.bytes(usize::from(len))
    }

    /// Bytes after their length of 2 bytes.
    pub(in crate::transaction) fn bytes_u16(&mut self) -> Option<&'a [u8]> {
        let len = self.u16()?;
        self.bytes(usize::from(len))
    }

    /// Bytes after their length of 4 bytes.
    pub(in crate::transaction) fn bytes_u32(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.bytes(usize::try_from(len).ok()?)
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }
}

/// The bytes after their length; what writes them bounds them far below 64 KiB.
pub(in crate::transaction) fn put_bytes_u16(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.extend(len.to_be_bytes());
    out.extend(bytes);
}

/// The bytes after their length; what writes them bounds them far below 4 GiB.
pub(in crate::transaction) fn put_bytes_u32(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend(len.to_be_bytes());
    out.extend(bytes);
}

/// A length as the formats count it. Exact: nothing here is longer than memory.
pub(super) fn len_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
