//! The one cursor for variable-length structures: it cannot run over its bytes.

/// Reads big- and little-endian fields from the front of a slice; `None` once bytes are missing.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(taken)
    }

    /// Passes over `len` bytes.
    pub fn skip(&mut self, len: usize) -> Option<()> {
        self.take(len).map(drop)
    }

    /// A reader over the next `len` bytes, which this one passes over.
    pub fn sub(&mut self, len: usize) -> Option<Self> {
        self.take(len).map(Self::new)
    }

    /// An octet.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(|&[octet]| octet)
    }

    /// Two octets, network order.
    pub fn be16(&mut self) -> Option<u16> {
        self.array().map(|&octets| u16::from_be_bytes(octets))
    }

    /// Three octets, network order.
    pub fn be24(&mut self) -> Option<u32> {
        self.array()
            .map(|&[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// Four octets, network order.
    pub fn be32(&mut self) -> Option<u32> {
        self.array().map(|&octets| u32::from_be_bytes(octets))
    }

    /// Eight octets, network order.
    pub fn be64(&mut self) -> Option<u64> {
        self.array().map(|&octets| u64::from_be_bytes(octets))
    }

    /// Two octets, least significant first.
    pub fn le16(&mut self) -> Option<u16> {
        self.array().map(|&octets| u16::from_le_bytes(octets))
    }

    /// Four octets, least significant first.
    pub fn le32(&mut self) -> Option<u32> {
        self.array().map(|&octets| u32::from_le_bytes(octets))
    }

    /// What has not been read.
    pub const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// How many bytes have not been read.
    pub const fn left(&self) -> usize {
        self.bytes.len()
    }

    /// Whether everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_both_orders_and_stops_at_the_end() {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(reader.u8(), Some(1));
        assert_eq!(reader.be16(), Some(0x0203));
        assert_eq!(reader.le16(), Some(0x0504));
        assert_eq!(reader.be24(), Some(0x06_0708));
        assert_eq!(reader.be32(), None, "two bytes are left");
        assert_eq!(reader.left(), 2, "a read that fails takes nothing");
        assert_eq!(reader.sub(2).map(|sub| sub.rest()), Some(&[9, 10][..]));
        assert!(reader.is_empty());
    }
}
