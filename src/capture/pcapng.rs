//! The pcapng format: sections of blocks, each with its type and its length at both ends.
//!
//! Format: <https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/>. A section has a byte order
//! and interfaces of its own, an interface its link type and its clock. Blocks that hold no packet
//! are passed over. The neighbours are `file`, which brings the bytes, and `pcap`, the other
//! format.
#![deny(clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;

use crate::capture::bpf::Program;
use crate::capture::error::{Error, Fault};
use crate::capture::filter::Filter;
use crate::capture::listing::{ByteOrder, Listing, MAX_RECORD, Record, Walked};
use crate::capture::{InterfaceId, Interfaces, LinkType};
use crate::time::Timestamp;

/// The type of a section header block: the same in both byte orders, and how a file starts.
pub(super) const MAGIC: [u8; 4] = SECTION_HEADER.to_be_bytes();

/// The shortest section header block, and as much of the first as is looked at on opening.
pub(super) const SECTION_HEADER_LEN: usize = 28;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// Type and length before the body of a block.
const HEADER_LEN: usize = 8;
/// The length again after the body.
const TRAILER_LEN: usize = 4;
const MIN_BLOCK_LEN: usize = HEADER_LEN + TRAILER_LEN;

const END_OF_OPTIONS: u16 = 0;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const IF_TSOFFSET: u16 = 14;

/// How far ahead a time is looked for, for packets at the start of a section that have none.
const MAX_AHEAD: usize = 1 << 20;

/// More than any machine has; keeps a hostile file from growing the list without end.
const MAX_INTERFACES: usize = 65_536;

/// Walks over the blocks of a pcapng file.
#[derive(Debug)]
pub(super) struct Walker {
    order: ByteOrder,
    names: Names,
    interfaces: Vec<Interface>,
    /// The time of the last packet of the section that has one; before it, of the first.
    last: Option<Timestamp>,
    /// No packet of the section was found to have one.
    is_timeless: bool,
}

/// What the interfaces of a file are called.
#[derive(Debug)]
pub(super) struct Names {
    file: Box<str>,
    interfaces: Arc<Interfaces>,
}

impl Names {
    /// Of the file at `path`, among those of a run.
    pub(super) fn of(path: &Path, interfaces: &Arc<Interfaces>) -> Self {
        Self {
            file: path.to_string_lossy().into(),
            interfaces: Arc::clone(interfaces),
        }
    }

    /// The number of the interface with this name and this index in its section.
    fn id(&self, name: Option<&[u8]>, index: usize) -> InterfaceId {
        match name.map(String::from_utf8_lossy) {
            Some(name) if !name.is_empty() => self.interfaces.id(&name),
            _ => self.interfaces.of_file(&format!("{}:{index}", self.file)),
        }
    }
}

#[derive(Debug)]
struct Interface {
    id: InterfaceId,
    link: LinkType,
    snaplen: u32,
    clock: Clock,
    program: Option<Arc<Program>>,
}

/// The fields of a packet block of any kind.
struct Packet {
    interface: u32,
    /// Its time in units of the interface's clock.
    units: Option<u64>,
    captured: u32,
    original: u32,
    /// How many bytes there are from the start of the data to the end of the block.
    room: usize,
}

/// Why the next block is not taken.
enum Stop {
    /// This many bytes are needed to go on.
    Needs(usize),
    Fault(Fault),
    Filter(Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Walker {
    /// Looks at the start of the first section header block, which is walked over later as any
    /// other.
    pub(super) fn new(start: &[u8; SECTION_HEADER_LEN], names: Names) -> Result<Self, Fault> {
        Ok(Self {
            order: section_order(start)?,
            names,
            interfaces: Vec::new(),
            last: None,
            is_timeless: false,
        })
    }

    /// Lists the packets of the whole blocks at the front of `bytes`. `is_all`: the file has no more.
    pub(super) fn walk(
        &mut self,
        bytes: &[u8],
        is_all: bool,
        listing: &mut Listing<'_>,
        filter: &mut Option<Filter>,
    ) -> Result<Walked, Error> {
        let mut consumed = 0;
        loop {
            let (needed, fault) = match self.take_block((bytes, is_all), consumed, listing, filter)
            {
                Ok(len) => {
                    consumed += len;
                    continue;
                }
                Err(Stop::Needs(needed)) => (needed, None),
                Err(Stop::Fault(fault)) => (MIN_BLOCK_LEN, Some(fault)),
                Err(Stop::Filter(error)) => return Err(error),
            };
            return Ok(Walked {
                consumed,
                needed,
                fault,
            });
        }
    }

    /// Takes the block at `start` and gives its length with padding.
    #[inline(always)]
    fn take_block(
        &mut self,
        (bytes, is_all): (&[u8], bool),
        start: usize,
        listing: &mut Listing<'_>,
        filter: &mut Option<Filter>,
    ) -> Result<usize, Stop> {
        let rest = bytes.get(start..).unwrap_or_default();
        let Some(&[t0, t1, t2, t3, l0, l1, l2, l3]) = rest.first_chunk::<HEADER_LEN>() else {
            return Err(Stop::Needs(MIN_BLOCK_LEN));
        };
        let starts_section = [t0, t1, t2, t3] == MAGIC;
        if starts_section {
            // The length of this very block is in the new order.
            let Some(start) = rest.first_chunk() else {
                return Err(Stop::Needs(SECTION_HEADER_LEN));
            };
            self.order = section_order(start)?;
        }
        let kind = self.order.u32([t0, t1, t2, t3]);
        let length = self.order.u32([l0, l1, l2, l3]);
        // Some writers do not count the padding of the data.
        let len = (length as usize).saturating_add(3) & !3;
        let shortest = if starts_section {
            SECTION_HEADER_LEN
        } else {
            MIN_BLOCK_LEN
        };
        if len < shortest || len > MAX_RECORD {
            return Err(bad_length(kind, length));
        }
        let Some((body, &trailer)) = rest
            .get(HEADER_LEN..len)
            .and_then(<[u8]>::split_last_chunk::<TRAILER_LEN>)
        else {
            return Err(Stop::Needs(len));
        };
        let trailing = self.order.u32(trailer);
        if trailing != length {
            return Err(Fault::BlockEnd { length, trailing }.into());
        }

        let packet = match kind {
            ENHANCED_PACKET => self.enhanced_packet(body),
            PACKET => self.packet(body),
            SIMPLE_PACKET => self.simple_packet(body),
            INTERFACE_DESCRIPTION => {
                self.describe_interface(body, filter)?;
                return Ok(len);
            }
            SECTION_HEADER => {
                self.interfaces.clear();
                self.last = None;
                self.is_timeless = false;
                return Ok(len);
            }
            _ => return Ok(len),
        };
        let Some(packet) = packet else {
            return Err(bad_length(kind, length));
        };
        let Packet {
            captured, original, ..
        } = packet;
        if captured as usize > packet.room {
            return Err(Fault::DataLength { captured, length }.into());
        }
        let from_others = match packet.units {
            Some(_) => None,
            None => self.time_of_others(rest, is_all)?,
        };
        let Some(interface) = self.interfaces.get(packet.interface as usize) else {
            return Err(self.unknown_interface(packet.interface));
        };
        let at = match packet.units {
            Some(units) => interface.clock.at(units),
            None => from_others.unwrap_or_else(|| listing.watermark()),
        };
        if packet.units.is_some() {
            self.last = Some(at);
        }
        let record = Record {
            at,
            link: interface.link,
            interface: interface.id,
            offset: start + HEADER_LEN + body.len() - packet.room,
            captured,
            original,
        };
        listing.add(record, bytes, interface.program.as_deref());
        Ok(len)
    }

    /// Section 4.3. `None` when the body is too short.
    #[inline(always)]
    fn enhanced_packet(&self, body: &[u8]) -> Option<Packet> {
        let (fixed, data) = body.split_first_chunk::<20>()?;
        let [interface, high, low, captured, original] = self.words(fixed);
        Some(Packet {
            interface,
            units: Some((u64::from(high) << 32) | u64::from(low)),
            captured,
            original,
            room: data.len(),
        })
    }

    /// Appendix A, obsolete: as above, but half of the interface field counts drops.
    fn packet(&self, body: &[u8]) -> Option<Packet> {
        let &[id0, id1, ..] = body.first_chunk::<4>()?;
        Some(Packet {
            interface: self.order.u16([id0, id1]).into(),
            ..self.enhanced_packet(body)?
        })
    }

    /// Section 4.4: neither a time nor a captured length; the interface is the first. Its time is
    /// that of the packet before it in the section, or of the first behind it that has one.
    fn simple_packet(&self, body: &[u8]) -> Option<Packet> {
        let (&fixed, data) = body.split_first_chunk::<4>()?;
        let original = self.order.u32(fixed);
        let snaplen = match self.interfaces.first() {
            Some(interface) if interface.snaplen > 0 => interface.snaplen,
            _ => u32::MAX,
        };
        Some(Packet {
            interface: 0,
            units: None,
            // The data are at most as long as a block.
            captured: original.min(snaplen).min(data.len() as u32),
            original,
            room: data.len(),
        })
    }

    /// The time of a packet that has none, at the start of `rest`.
    #[cold]
    fn time_of_others(&mut self, rest: &[u8], is_all: bool) -> Result<Option<Timestamp>, Stop> {
        if self.last.is_none() && !self.is_timeless {
            self.last = self.first_time(rest, is_all)?;
            self.is_timeless = self.last.is_none();
        }
        Ok(self.last)
    }

    /// The time of the first packet of the section that has one, from the block at the start of
    /// `rest` on.
    fn first_time(&self, rest: &[u8], is_all: bool) -> Result<Option<Timestamp>, Stop> {
        let ahead = rest.get(..MAX_AHEAD).unwrap_or(rest);
        let mut clocks = Vec::new();
        let mut at = 0;
        loop {
            let block = ahead.get(at..).unwrap_or_default();
            let Some((&[t0, t1, t2, t3, l0, l1, l2, l3], body)) = block.split_first_chunk() else {
                break;
            };
            let kind = self.order.u32([t0, t1, t2, t3]);
            let len = self.order.u32([l0, l1, l2, l3]) as usize;
            let len = len.saturating_add(3) & !3;
            if kind == SECTION_HEADER || !(MIN_BLOCK_LEN..=MAX_RECORD).contains(&len) {
                return Ok(None);
            }
            let Some(body) = body.get(..len - HEADER_LEN) else {
                break;
            };
            let packet = match kind {
                ENHANCED_PACKET => self.enhanced_packet(body),
                PACKET => self.packet(body),
                INTERFACE_DESCRIPTION => {
                    clocks.push(self.clock(body.get(8..).unwrap_or_default()));
                    None
                }
                _ => None,
            };
            if let Some(Packet {
                interface, units, ..
            }) = packet
            {
                let described = self.interfaces.iter().map(|interface| interface.clock);
                let clock = described.chain(clocks).nth(interface as usize);
                return Ok(clock.zip(units).map(|(clock, units)| clock.at(units)));
            }
            at += len;
        }
        if is_all || ahead.len() == MAX_AHEAD {
            return Ok(None);
        }
        Err(Stop::Needs((rest.len() * 2).clamp(4096, MAX_AHEAD)))
    }

    #[inline(always)]
    fn words(&self, fixed: &[u8; 20]) -> [u32; 5] {
        let mut values = [0; 5];
        for (value, &word) in values.iter_mut().zip(fixed.as_chunks().0) {
            *value = self.order.u32(word);
        }
        values
    }

    #[cold]
    fn unknown_interface(&self, interface: u32) -> Stop {
        let described = self.interfaces.len();
        Fault::UnknownInterface {
            interface,
            described,
        }
        .into()
    }

    /// Section 4.2.
    fn describe_interface(&mut self, body: &[u8], filter: &mut Option<Filter>) -> Result<(), Stop> {
        let Some((&[link0, link1, _, _, snaplen @ ..], options)) = body.split_first_chunk::<8>()
        else {
            let length = (body.len() + MIN_BLOCK_LEN) as u32;
            return Err(bad_length(INTERFACE_DESCRIPTION, length));
        };
        if self.interfaces.len() == MAX_INTERFACES {
            let limit = MAX_INTERFACES;
            return Err(Fault::TooManyInterfaces { limit }.into());
        }
        let link = LinkType(self.order.u16([link0, link1]));
        let program = match filter {
            Some(filter) => Some(filter.program(link).map_err(Stop::Filter)?),
            None => None,
        };
        let name = self.options(options).find(|&(code, _)| code == IF_NAME);
        let name = name.map(|(_, value)| value.split(|&byte| byte == 0).next().unwrap_or(value));
        self.interfaces.push(Interface {
            id: self.names.id(name, self.interfaces.len()),
            link,
            snaplen: self.order.u32(snaplen),
            clock: self.clock(options),
            program,
        });
        Ok(())
    }

    /// Microseconds since 1970, unless the options of an interface say otherwise.
    fn clock(&self, options: &[u8]) -> Clock {
        let mut clock = Clock {
            resolution: Resolution::Multiple(1_000),
            offset: 0,
        };
        for (code, value) in self.options(options) {
            match (code, value) {
                (IF_TSRESOL, &[exponent]) => clock.resolution = Resolution::new(exponent),
                (IF_TSOFFSET, value) => {
                    if let Ok(&seconds) = <&[u8; 8]>::try_from(value) {
                        let seconds = self.order.u64(seconds).cast_signed();
                        clock.offset = seconds.saturating_mul(1_000_000_000);
                    }
                }
                _ => {}
            }
        }
        clock
    }

    /// Section 3.5: the code and the value of each option.
    fn options<'a>(&self, mut options: &'a [u8]) -> impl Iterator<Item = (u16, &'a [u8])> {
        let order = self.order;
        std::iter::from_fn(move || {
            let (&[c0, c1, l0, l1], rest) = options.split_first_chunk::<4>()?;
            let code = order.u16([c0, c1]);
            let len = usize::from(order.u16([l0, l1]));
            let value = rest.get(..len)?;
            options = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
            (code != END_OF_OPTIONS).then_some((code, value))
        })
    }
}

/// How the time stamps of an interface become nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    resolution: Resolution,
    /// Nanoseconds to add.
    offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    /// A unit is this many nanoseconds.
    Multiple(u64),
    /// A nanosecond is this many units.
    Fraction(u64),
    /// A second is two to the power of this units.
    Binary(u32),
}

impl Resolution {
    /// From the option `if_tsresol`: a negative power of 10, or of 2 with the highest bit set.
    fn new(exponent: u8) -> Self {
        let power = u32::from(exponent & 0x7f);
        if exponent & 0x80 != 0 {
            return Self::Binary(power);
        }
        match power {
            0..=9 => Self::Multiple(10_u64.pow(9 - power)),
            _ => match 10_u64.checked_pow(power - 9) {
                Some(per_nano) => Self::Fraction(per_nano),
                // Not even the latest time stamp makes a nanosecond.
                None => Self::Binary(127),
            },
        }
    }
}

impl Clock {
    #[inline(always)]
    fn at(self, units: u64) -> Timestamp {
        let nanos = match self.resolution {
            Resolution::Multiple(nanos) => units.saturating_mul(nanos),
            Resolution::Fraction(per_nano) => units / per_nano,
            Resolution::Binary(power) => {
                let nanos = (u128::from(units) * 1_000_000_000) >> power;
                u64::try_from(nanos).unwrap_or(u64::MAX)
            }
        };
        Timestamp(nanos.saturating_add_signed(self.offset))
    }
}

/// The byte order of the section that starts with these bytes (section 4.1).
fn section_order(start: &[u8; SECTION_HEADER_LEN]) -> Result<ByteOrder, Fault> {
    let &[
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        m0,
        m1,
        m2,
        m3,
        major0,
        major1,
        minor0,
        minor1,
        ..,
    ] = start;
    let magic = [m0, m1, m2, m3];
    let order = match magic {
        [0x1a, 0x2b, 0x3c, 0x4d] => ByteOrder::Big,
        [0x4d, 0x3c, 0x2b, 0x1a] => ByteOrder::Little,
        _ => return Err(Fault::ByteOrder { magic }),
    };
    let major = order.u16([major0, major1]);
    let minor = order.u16([minor0, minor1]);
    if major != 1 {
        return Err(Fault::Version { major, minor });
    }
    Ok(order)
}

#[cold]
fn bad_length(block: u32, length: u32) -> Stop {
    Fault::BlockLength { block, length }.into()
}
