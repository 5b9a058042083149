//! Fragments put together again (RFC 791 section 3.2, RFC 8200 section 4.5), within bounds.
//!
//! Parts of a datagram are held until it is whole, apart from one another and only once where they
//! overlap. Parts that overlap must agree; where they contradict, nobody can tell what the
//! receiver saw, and the whole datagram is given up (RFC 5722 asks the same for IPv6).
//!
//! Each frame taken is accounted for once: in the [`Datagram`], or in the sums given up.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::capture::InterfaceId;
use crate::time::Timestamp;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;

use super::ip::{Ip, Part};
use super::{Address, Config, Datagram, DropReason, Tunnel, Vlans};

/// What a datagram costs besides its parts: its key twice, its state, and the nodes they live in.
const DATAGRAM_COST: usize = 512;

/// What a part costs besides its bytes.
const PART_COST: usize = 64;

/// What the number of a frame costs where it is remembered, in a list that grows.
const NUMBER_COST: usize = 16;

/// How long a datagram is remembered as contradictory, for its parts still on the way. Its
/// identification may be used again soon after: a fast sender goes round 16 bits in seconds.
const CONFLICT_MEMORY: Duration = Duration::from_secs(1);

/// What the parts of one datagram have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    source: Address,
    destination: Address,
    identification: u32,
    version: u8,
    /// IPv4 only: in IPv6 only the first fragment's counts.
    protocol: u8,
    vlans: Vlans,
    tunnel: Option<Tunnel>,
    tunnel_id: u32,
}

/// A frame that carries a part, and the tunnels around that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carrier<'a> {
    pub(super) at: Timestamp,
    pub(super) number: u64,
    pub(super) interface: InterfaceId,
    /// Of all captured frames it stands for.
    pub(super) numbers: &'a [u64],
    pub(super) wire_len: u32,
    pub(super) frames: u32,
}

/// What is around an IP packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    pub(super) vlans: Vlans,
    pub(super) tunnel: Option<Tunnel>,
    pub(super) tunnel_id: u32,
    pub(super) depth: u8,
}

/// Frames given up, and their length on the wire.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    frames: u64,
    wire_bytes: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.frames = self.frames.saturating_add(other.frames);
        self.wire_bytes = self.wire_bytes.saturating_add(other.wire_bytes);
    }
}

/// A run of a datagram's octets; `bytes` is shorter than `len` where the capture cut it.
#[derive(Debug)]
struct Run {
    len: usize,
    bytes: Vec<u8>,
}

/// A datagram of which parts are missing.
#[derive(Debug)]
struct Assembly {
    /// When it is given up.
    deadline: Timestamp,
    /// Tells it from others of the same deadline.
    serial: u64,
    sum: Sum,
    /// The numbers of the frames in `sum`.
    numbers: Vec<u64>,
    ip_len: u32,
    depth: u8,
    /// Protocol of the payload, by the part at offset zero.
    protocol: Option<u8>,
    /// How long it is, once the last part is there.
    total: Option<usize>,
    /// Where the part that reaches furthest ends.
    end: usize,
    /// Octets that are there.
    covered: usize,
    /// Runs by their offset; they do not overlap.
    runs: BTreeMap<usize, Run>,
    /// What it counts for within the limit.
    cost: usize,
    /// Set when its parts contradict one another; it holds nothing then.
    is_contradictory: bool,
}

/// The datagrams that are not whole.
#[derive(Debug)]
pub(super) struct Fragments {
    limit: usize,
    timeout: Duration,
    remembers_numbers: bool,
    cost: usize,
    next_serial: u64,
    assemblies: HashMap<Key, Assembly, RandomState>,
    /// The same, in the order they are given up.
    order: BTreeMap<(Timestamp, u64), Key>,
    incomplete: Sum,
    contradictory: Sum,
    beyond_limit: Sum,
}

impl Fragments {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            limit: config.fragment_bytes,
            timeout: config.fragment_timeout,
            remembers_numbers: config.frame_numbers,
            cost: 0,
            next_serial: 0,
            assemblies: HashMap::default(),
            order: BTreeMap::new(),
            incomplete: Sum::default(),
            contradictory: Sum::default(),
            beyond_limit: Sum::default(),
        }
    }

    /// Takes a part of a datagram: the whole one, if it was the last missing.
    ///
    /// An error is the fate of this frame alone; what it takes with it is in the sums.
    pub(super) fn offer(
        &mut self,
        ip: &Ip<'_>,
        part: Part,
        carrier: &Carrier<'_>,
        around: &Around,
    ) -> Result<Option<Box<Datagram>>, DropReason> {
        let end = part.offset + ip.body.len;
        let longest = match ip.version {
            4 => usize::from(u16::MAX) - Ipv4::LEN,
            _ => usize::from(u16::MAX),
        };
        let is_aligned = !part.more || (ip.body.len != 0 && ip.body.len.is_multiple_of(8));
        if !is_aligned || end > longest {
            return Err(DropReason::Malformed);
        }
        let key = Key {
            source: ip.source,
            destination: ip.destination,
            identification: part.identification,
            version: ip.version,
            protocol: if ip.version == 4 { ip.protocol.0 } else { 0 },
            vlans: around.vlans,
            tunnel: around.tunnel,
            tunnel_id: around.tunnel_id,
        };
        self.drop_if_late(&key, carrier.at);
        let gaps = match self.assemblies.get(&key) {
            None => vec![(part.offset, end)],
            Some(assembly) if assembly.is_contradictory => {
                return Err(DropReason::FragmentConflict);
            }
            Some(assembly) => match assembly.gaps(ip.body.bytes, &part, end) {
                Some(gaps) => gaps,
                None => {
                    self.contradict(&key, carrier.at);
                    return Err(DropReason::FragmentConflict);
                }
            },
        };
        let runs: Vec<(usize, Run)> = gaps
            .into_iter()
            .map(|(from, to)| {
                let captured = ip.body.bytes;
                let bytes = captured.get(from - part.offset..).unwrap_or_default();
                let len = to - from;
                let bytes = bytes.get(..len).unwrap_or(bytes).to_vec();
                (from, Run { len, bytes })
            })
            .collect();
        self.make_room(&key, &runs)?;

        let remembers_numbers = self.remembers_numbers;
        let assembly = self.assembly(key, carrier, around);
        let cost = assembly.cost;
        let whole = assembly.add(ip, &part, end, runs, carrier, around);
        if remembers_numbers {
            // They count within the limit: the same part may come without end.
            assembly.numbers.extend_from_slice(carrier.numbers);
            assembly.cost += NUMBER_COST * carrier.numbers.len();
        }
        self.cost += self.assemblies.get(&key).map_or(0, |held| held.cost) - cost;
        if !whole {
            return Ok(None);
        }
        let Some(assembly) = self.remove(&key) else {
            return Ok(None);
        };
        let sum = assembly.sum;
        let datagram = assembly.into_datagram(&key, carrier);
        if datagram.is_none() {
            // Frames that claim such lengths can't have been on a wire, but their sum is kept.
            self.beyond_limit.add(sum);
        }
        Ok(datagram.map(Box::new))
    }

    /// Gives up what has waited too long at `watermark`, and hands out the sums.
    pub(super) fn expire(
        &mut self,
        watermark: Timestamp,
        give_up: &mut impl FnMut(DropReason, u32, u64),
    ) {
        while let Some(entry) = self.order.first_entry()
            && entry.key().0 < watermark
        {
            let key = *entry.get();
            let sum = self.remove(&key).map(|assembly| assembly.sum);
            self.incomplete.add(sum.unwrap_or_default());
        }
        self.hand_out(give_up);
    }

    /// Gives up everything, and hands out the sums.
    pub(super) fn finish(&mut self, give_up: &mut impl FnMut(DropReason, u32, u64)) {
        for assembly in self.assemblies.values() {
            self.incomplete.add(assembly.sum);
        }
        self.assemblies.clear();
        self.order.clear();
        self.cost = 0;
        self.hand_out(give_up);
    }

    /// Frames that wait for others, and those given up but not handed out: how many, and their
    /// length on the wire.
    pub(super) fn waiting(&self) -> (u64, u64) {
        let mut sum = self.incomplete;
        sum.add(self.contradictory);
        sum.add(self.beyond_limit);
        for assembly in self.assemblies.values() {
            sum.add(assembly.sum);
        }
        (sum.frames, sum.wire_bytes)
    }

    /// What the datagrams held count for within the limit.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    fn hand_out(&mut self, give_up: &mut impl FnMut(DropReason, u32, u64)) {
        for (sum, reason) in [
            (&mut self.incomplete, DropReason::FragmentIncomplete),
            (&mut self.contradictory, DropReason::FragmentConflict),
            (&mut self.beyond_limit, DropReason::FragmentLimit),
        ] {
            while sum.frames != 0 {
                let frames = u32::try_from(sum.frames).unwrap_or(u32::MAX);
                give_up(reason, frames, std::mem::take(&mut sum.wire_bytes));
                sum.frames -= u64::from(frames);
            }
        }
    }

    /// The datagram of `key`, begun if need be.
    fn assembly(&mut self, key: Key, carrier: &Carrier<'_>, around: &Around) -> &mut Assembly {
        let (order, cost) = (&mut self.order, &mut self.cost);
        let (serial, timeout) = (&mut self.next_serial, self.timeout);
        self.assemblies.entry(key).or_insert_with(|| {
            let deadline = carrier.at.after(timeout);
            *serial += 1;
            *cost += DATAGRAM_COST;
            order.insert((deadline, *serial), key);
            Assembly {
                deadline,
                serial: *serial,
                sum: Sum::default(),
                numbers: Vec::new(),
                ip_len: 0,
                depth: around.depth,
                protocol: None,
                total: None,
                end: 0,
                covered: 0,
                runs: BTreeMap::new(),
                cost: DATAGRAM_COST,
                is_contradictory: false,
            }
        })
    }

    fn remove(&mut self, key: &Key) -> Option<Assembly> {
        let assembly = self.assemblies.remove(key)?;
        self.order.remove(&(assembly.deadline, assembly.serial));
        self.cost -= assembly.cost;
        Some(assembly)
    }

    /// The answer must not hang on how often [`Self::expire`] is called.
    fn drop_if_late(&mut self, key: &Key, at: Timestamp) {
        if self
            .assemblies
            .get(key)
            .is_some_and(|held| held.deadline < at)
            && let Some(assembly) = self.remove(key)
        {
            self.incomplete.add(assembly.sum);
        }
    }

    /// Lets go of the parts of `key`, and remembers that it is contradictory.
    fn contradict(&mut self, key: &Key, at: Timestamp) {
        let Some(mut assembly) = self.remove(key) else {
            return;
        };
        self.contradictory.add(std::mem::take(&mut assembly.sum));
        assembly.runs = BTreeMap::new();
        assembly.numbers = Vec::new();
        assembly.cost = DATAGRAM_COST;
        assembly.is_contradictory = true;
        assembly.deadline = assembly.deadline.min(at.after(CONFLICT_MEMORY));
        self.cost += assembly.cost;
        self.order
            .insert((assembly.deadline, assembly.serial), *key);
        self.assemblies.insert(*key, assembly);
    }

    /// Gives up the oldest datagrams until there is room for `runs`; if `key` is among them, its
    /// new part goes with it.
    fn make_room(&mut self, key: &Key, runs: &[(usize, Run)]) -> Result<(), DropReason> {
        let needed: usize = runs.iter().map(|(_, run)| run.cost()).sum();
        let begun = match self.assemblies.contains_key(key) {
            true => 0,
            false => DATAGRAM_COST,
        };
        while self.cost + needed + begun > self.limit {
            let Some((_, oldest)) = self.order.first_key_value() else {
                return Err(DropReason::FragmentLimit);
            };
            let oldest = *oldest;
            let sum = self.remove(&oldest).map(|assembly| assembly.sum);
            self.beyond_limit.add(sum.unwrap_or_default());
            if oldest == *key {
                return Err(DropReason::FragmentLimit);
            }
        }
        Ok(())
    }
}

impl Run {
    fn cost(&self) -> usize {
        PART_COST + self.bytes.len()
    }
}

impl Assembly {
    /// Which octets of a part are not there yet. `None` if it contradicts what is there.
    fn gaps(&self, bytes: &[u8], part: &Part, end: usize) -> Option<Vec<(usize, usize)>> {
        let fits = match (self.total, part.more) {
            (Some(total), false) => end == total,
            (Some(total), true) => end < total,
            (None, false) => self.end <= end,
            (None, true) => true,
        };
        if !fits {
            return None;
        }
        let mut gaps = Vec::new();
        let mut at = part.offset;
        let before = self.runs.range(..part.offset).next_back();
        for (&from, run) in before.into_iter().chain(self.runs.range(part.offset..end)) {
            let to = from + run.len;
            if to <= at {
                continue;
            }
            if at < from {
                gaps.push((at, from));
                at = from;
            }
            let new = bytes.get(at - part.offset..).unwrap_or_default();
            let old = run.bytes.get(at - from..).unwrap_or_default();
            let both = new.len().min(old.len()).min(end - at);
            if new.get(..both) != old.get(..both) {
                return None;
            }
            at = to.min(end);
        }
        if at < end {
            gaps.push((at, end));
        }
        Some(gaps)
    }

    /// Adds a part, of which `runs` are new. Whether the datagram is whole.
    fn add(
        &mut self,
        ip: &Ip<'_>,
        part: &Part,
        end: usize,
        runs: Vec<(usize, Run)>,
        carrier: &Carrier<'_>,
        around: &Around,
    ) -> bool {
        self.sum.add(Sum {
            frames: u64::from(carrier.frames),
            wire_bytes: u64::from(carrier.wire_len),
        });
        let ip_len = u32::try_from(ip.len).unwrap_or(u32::MAX);
        self.ip_len = self.ip_len.saturating_add(ip_len.min(carrier.wire_len));
        self.depth = self.depth.max(around.depth);
        self.end = self.end.max(end);
        if !part.more {
            self.total = Some(end);
        }
        if part.offset == 0 {
            self.protocol = Some(ip.protocol.0);
        }
        for (from, run) in runs {
            self.covered += run.len;
            self.cost += run.cost();
            self.runs.insert(from, run);
        }
        self.total == Some(self.covered)
    }

    /// The whole datagram, behind a header without options. `None` when the sum of its frames
    /// does not fit the fields.
    fn into_datagram(self, key: &Key, carrier: &Carrier<'_>) -> Option<Datagram> {
        let len = u16::try_from(self.end).ok()?;
        let protocol = self.protocol?;
        let mut bytes = Vec::with_capacity(Ipv6::LEN + self.end);
        if key.version == 4 {
            let total_len = len.checked_add(20)?;
            bytes.extend([0x45, 0]);
            bytes.extend(total_len.to_be_bytes());
            bytes.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
            for address in [&key.source, &key.destination] {
                bytes.extend(address.0.last_chunk::<4>()?);
            }
        } else {
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend(len.to_be_bytes());
            bytes.extend([protocol, 64]);
            bytes.extend(key.source.0);
            bytes.extend(key.destination.0);
        }
        for run in self.runs.values() {
            bytes.extend_from_slice(&run.bytes);
            if run.bytes.len() < run.len {
                // Nothing can stand behind octets that were not captured.
                break;
            }
        }
        Some(Datagram {
            bytes,
            at: carrier.at,
            number: carrier.number,
            interface: carrier.interface,
            numbers: self.numbers,
            wire_len: u32::try_from(self.sum.wire_bytes).ok()?,
            ip_len: self.ip_len,
            frames: u32::try_from(self.sum.frames).ok()?,
            vlans: key.vlans,
            tunnel: key.tunnel,
            tunnel_id: key.tunnel_id,
            depth: self.depth,
        })
    }
}
