//! The interfaces that frames come from, and their names.
//!
//! A frame carries a number, its name is looked up where it is told. Of a live run it is the
//! interface that was captured on; of a pcapng file the interface as the file names it, or the
//! file and the interface's index; of any other file the file.

use std::fmt;
use std::sync::{Arc, OnceLock};

/// The number of an interface, in the [`Interfaces`] of its run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfaceId(u16);

impl InterfaceId {
    /// Of the interfaces for which there was no room.
    const OTHER: Self = Self(ROOM as u16);

    /// For tests that need no names.
    #[cfg(test)]
    pub(crate) const fn new(number: u16) -> Self {
        Self(number)
    }
}

/// Interfaces that are told apart. More are found only in captures made for it, or in many
/// thousands of files at once.
const ROOM: usize = 4096;

/// Places that are looked at for a name: bounds the work, whatever names a file has.
const PROBES: usize = 32;

/// Characters of a name that are kept: Linux has 15, Windows about 50.
const LONGEST: usize = 255;

/// What the interfaces beyond [`ROOM`] are called.
const OTHER: &str = "other";

/// The names of a run's interfaces: a table that only grows, so that all threads may look in it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// By the hash of the name, once there is one.
    names: OnceLock<Box<[OnceLock<Name>]>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    text: Arc<str>,
    /// It is that of a file, which says nothing of the interface.
    is_file: bool,
}

/// The names alone.
impl fmt::Debug for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.get().into_iter().flatten();
        let names = names.filter_map(OnceLock::get).map(|name| &name.text);
        f.debug_set().entries(names).finish()
    }
}

impl Interfaces {
    /// The number of the interface of this name. Two of one name are one interface.
    pub fn id(&self, name: &str) -> InterfaceId {
        self.number(name, false)
    }

    /// The number of an interface of which no more is known than the file that was captured into.
    pub fn of_file(&self, name: &str) -> InterfaceId {
        self.number(name, true)
    }

    fn number(&self, name: &str, is_file: bool) -> InterfaceId {
        let name: String = name
            .chars()
            .take(LONGEST)
            .map(|c| {
                if c.is_control() {
                    char::REPLACEMENT_CHARACTER
                } else {
                    c
                }
            })
            .collect();
        let first = hash(&name);
        for probe in 0..PROBES {
            let place = first.wrapping_add(probe) % ROOM;
            let names = self
                .names
                .get_or_init(|| (0..ROOM).map(|_| OnceLock::new()).collect());
            let Some(slot) = names.get(place) else {
                continue;
            };
            let held = slot.get_or_init(|| Name {
                text: name.as_str().into(),
                is_file,
            });
            if *held.text == *name && held.is_file == is_file {
                return InterfaceId(u16::try_from(place).unwrap_or(InterfaceId::OTHER.0));
            }
        }
        InterfaceId::OTHER
    }

    /// What it is called: if no more is known, the file.
    pub fn name(&self, id: InterfaceId) -> &str {
        self.slot(id).map_or(OTHER, |name| &name.text)
    }

    /// The name of the interface itself, if it is known.
    pub fn own_name(&self, id: InterfaceId) -> Option<Arc<str>> {
        let name = self.slot(id).filter(|name| !name.is_file)?;
        Some(Arc::clone(&name.text))
    }

    fn slot(&self, id: InterfaceId) -> Option<&Name> {
        self.names.get()?.get(usize::from(id.0))?.get()
    }
}

/// FNV-1a: the same in every run, so that interfaces come in the same order.
fn hash(name: &str) -> usize {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The upper bits are mixed best.
    (hash >> 40) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_harmless_and_bounded() {
        let interfaces = Interfaces::default();
        let long = "x".repeat(70_000);
        for (name, expected) in [
            ("eth0", "eth0"),
            ("a\u{1b}[2Jb\n", "a\u{fffd}[2Jb\u{fffd}"),
            (&long, &long[..LONGEST]),
            ("", ""),
        ] {
            let id = interfaces.id(name);
            assert_eq!(interfaces.name(id), expected);
            assert_eq!(interfaces.id(name), id);
        }
    }

    #[test]
    fn those_without_room_are_one() {
        let interfaces = Interfaces::default();
        let mut ids: Vec<InterfaceId> = (0..2 * ROOM)
            .map(|number| interfaces.id(&format!("trace-{number}.pcap")))
            .collect();
        assert_eq!(interfaces.name(*ids.last().unwrap()), OTHER);
        assert_eq!(interfaces.name(ids[0]), "trace-0.pcap");
        ids.sort_unstable();
        ids.dedup();
        assert!(ids.len() > ROOM / 2, "{}", ids.len());
    }

    proptest! {
        #[test]
        fn a_name_has_one_number_and_a_number_one_name(names in prop::collection::vec(".{0,20}", 1..50)) {
            let interfaces = Interfaces::default();
            let ids: Vec<InterfaceId> = names.iter().map(|name| interfaces.id(name)).collect();
            for (a, name) in ids.iter().zip(&names) {
                for (b, other) in ids.iter().zip(&names) {
                    let is_same = interfaces.name(*a) == interfaces.name(*b);
                    prop_assert_eq!(is_same, a == b);
                    prop_assert!(name != other || a == b);
                }
            }
        }
    }
}
