//! IEEE 802.11 MAC frames, as far as they carry packets: data frames that are not encrypted.
//!
//! IEEE 802.11-2020 section 9.2 (frame formats) and 9.3.2 (data frames).

use super::WireError;

/// The two octets every frame starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameControl([u8; 2]);

impl FrameControl {
    /// The field at the start of `bytes`; its version must be 0.
    pub fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        match bytes.first_chunk() {
            Some([first, _]) if first & 0x03 != 0 => Err(WireError::BadValue),
            Some(octets) => Ok(Self(*octets)),
            None => Err(WireError::Truncated),
        }
    }

    /// The field at the start of `bytes`, its octets the wrong way round, as the access points of
    /// some vendors send it through CAPWAP.
    pub fn parse_swapped(bytes: &[u8]) -> Result<Self, WireError> {
        let [first, second] = *bytes.first_chunk().ok_or(WireError::Truncated)?;
        Self::parse(&[second, first])
    }

    /// Whether the frame carries data in clear: a data frame, not of a "no data" subtype, not
    /// protected.
    pub const fn has_clear_data(self) -> bool {
        let [first, second] = self.0;
        first & 0x0c == 0x08 && first & 0x40 == 0 && second & 0x40 == 0
    }

    const fn has_qos(self) -> bool {
        self.0[0] & 0x80 != 0
    }

    /// Octets of a data frame's MAC header.
    const fn header_len(self) -> usize {
        let four_addresses = self.0[1] & 0x03 == 0x03;
        let high_throughput = self.has_qos() && self.0[1] & 0x80 != 0;
        24 + if four_addresses { 6 } else { 0 }
            + if self.has_qos() { 2 } else { 0 }
            + if high_throughput { 4 } else { 0 }
    }
}

/// A data frame in clear.
#[derive(Clone, Copy, Debug)]
pub struct Data {
    /// Octets before the payload, padding after the MAC header included.
    pub header_len: usize,
    /// Whether the payload is an A-MSDU: Ethernet-like subframes, each with LLC inside.
    pub is_aggregate: bool,
}

impl Data {
    /// The header at the start of `bytes`, of a frame that has [`FrameControl::has_clear_data`].
    ///
    /// `padded`: the capturing driver aligned the payload to four octets.
    pub fn parse(control: FrameControl, bytes: &[u8], padded: bool) -> Result<Self, WireError> {
        if !control.has_clear_data() {
            return Err(WireError::BadValue);
        }
        let len = control.header_len();
        let header = bytes.get(..len).ok_or(WireError::Truncated)?;
        let qos = if control.has_qos() {
            let at = if control.0[1] & 0x03 == 0x03 { 30 } else { 24 };
            header.get(at).copied().unwrap_or(0)
        } else {
            0
        };
        Ok(Self {
            header_len: if padded { len.next_multiple_of(4) } else { len },
            is_aggregate: qos & 0x80 != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_lengths() {
        // (frame control, padded) -> (octets, aggregate)
        #[rustfmt::skip]
        let rows = [
            ([0x08, 0x01], false, Some((24, false))),
            ([0x08, 0x03], false, Some((30, false))),
            ([0x88, 0x02], false, Some((26, true))),
            ([0x88, 0x02], true, Some((28, true))),
            ([0x88, 0x83], false, Some((36, true))),
            ([0x48, 0x01], false, None), // null: no data
            ([0xc8, 0x01], false, None),
            ([0x08, 0x41], false, None), // protected
            ([0x80, 0x00], false, None), // beacon
            ([0xd4, 0x00], false, None), // acknowledgement
            ([0x09, 0x01], false, None), // version 1
        ];
        for (control, padded, expected) in rows {
            let mut bytes = vec![0x80; 40];
            bytes.splice(..2, control);
            let parse = |bytes: &[u8]| Data::parse(FrameControl::parse(bytes)?, bytes, padded);
            let got = parse(&bytes).ok();
            assert_eq!(
                got.map(|data| (data.header_len, data.is_aggregate)),
                expected,
                "{control:02x?}"
            );
            if let Some((len, _)) = expected {
                let mac = if padded { len - 2 } else { len };
                assert!(parse(bytes.get(..mac - 1).unwrap()).is_err());
            }
        }
    }

    #[test]
    fn the_wrong_way_round() {
        assert_eq!(FrameControl::parse(&[0x01, 0x88]), Err(WireError::BadValue));
        assert_eq!(
            FrameControl::parse_swapped(&[0x01, 0x88]),
            FrameControl::parse(&[0x88, 0x01])
        );
        assert!(FrameControl::parse_swapped(&[0x88]).is_err());
    }
}
