//! The machine that runs a compiled filter over a frame.
//!
//! Instructions as in McCanne and Jacobson, "The BSD Packet Filter" (1993), and `bpf(4)`. libpcap
//! has such a machine, but through the `pcap` crate it takes the captured length for the length on
//! the wire, so `greater 1000` or `len` would find nothing in a capture of short snapshots.
//! Jumps only go forward, so a program ends after as many steps as it has instructions.
#![deny(clippy::indexing_slicing)]

use pcap::BpfInstruction;

const SCRATCH_LEN: usize = 16;

/// A filter program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    instructions: Vec<Instruction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instruction {
    LoadConst(u32),
    LoadLen,
    LoadScratch(u32),
    LoadWord {
        at: u32,
        indexed: bool,
    },
    LoadHalf {
        at: u32,
        indexed: bool,
    },
    LoadByte {
        at: u32,
        indexed: bool,
    },
    IndexConst(u32),
    IndexLen,
    IndexScratch(u32),
    /// Four times the low half of an octet: the length of an IPv4 header.
    IndexHeaderLen(u32),
    Store(u32),
    StoreIndex(u32),
    Compute(Operation, Operand),
    Negate,
    Jump(u32),
    Test {
        test: Test,
        with: Operand,
        yes: u8,
        no: u8,
    },
    Return(u32),
    ReturnAccumulator,
    IndexFromAccumulator,
    AccumulatorFromIndex,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Or,
    And,
    ShiftLeft,
    ShiftRight,
    Modulo,
    Xor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Equal,
    Greater,
    GreaterOrEqual,
    AnyBit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operand {
    Const(u32),
    Index,
}

impl Program {
    /// `None` when there is an instruction that is not in the books.
    pub(super) fn new(compiled: &[BpfInstruction]) -> Option<Self> {
        // The fields of an instruction can be had only in print.
        let texts = compiled.iter().map(BpfInstruction::to_string);
        let instructions = texts.map(|text| Instruction::from_text(&text));
        Some(Self {
            instructions: instructions.collect::<Option<_>>()?,
        })
    }

    /// Whether the filter wants `frame`, of which `wire_len` bytes were on the wire.
    pub(super) fn accepts(&self, frame: &[u8], wire_len: u32) -> bool {
        self.run(frame, wire_len).is_some_and(|take| take > 0)
    }

    /// How much of the frame to take; `None` when the program reads beyond the frame, divides by
    /// zero or runs off its end.
    fn run(&self, frame: &[u8], wire_len: u32) -> Option<u32> {
        let mut accumulator = 0_u32;
        let mut index = 0_u32;
        let mut scratch = [0_u32; SCRATCH_LEN];
        let mut next = 0_usize;
        loop {
            let instruction = *self.instructions.get(next)?;
            next += 1;
            let place = |at, indexed| {
                if indexed {
                    index.checked_add(at)
                } else {
                    Some(at)
                }
            };
            match instruction {
                Instruction::LoadConst(value) => accumulator = value,
                Instruction::LoadLen => accumulator = wire_len,
                Instruction::LoadScratch(at) => accumulator = *scratch.get(at as usize)?,
                Instruction::LoadWord { at, indexed } => {
                    accumulator = u32::from_be_bytes(octets(frame, place(at, indexed)?)?);
                }
                Instruction::LoadHalf { at, indexed } => {
                    accumulator = u16::from_be_bytes(octets(frame, place(at, indexed)?)?).into();
                }
                Instruction::LoadByte { at, indexed } => {
                    accumulator = u8::from_be_bytes(octets(frame, place(at, indexed)?)?).into();
                }
                Instruction::IndexConst(value) => index = value,
                Instruction::IndexLen => index = wire_len,
                Instruction::IndexScratch(at) => index = *scratch.get(at as usize)?,
                Instruction::IndexHeaderLen(at) => {
                    let [octet] = octets(frame, at)?;
                    index = u32::from(octet & 0x0f) * 4;
                }
                Instruction::Store(at) => *scratch.get_mut(at as usize)? = accumulator,
                Instruction::StoreIndex(at) => *scratch.get_mut(at as usize)? = index,
                Instruction::Compute(operation, with) => {
                    accumulator = operation.apply(accumulator, with.value(index))?;
                }
                Instruction::Negate => accumulator = accumulator.wrapping_neg(),
                Instruction::Jump(by) => next = next.checked_add(by as usize)?,
                Instruction::Test {
                    test,
                    with,
                    yes,
                    no,
                } => {
                    let by = if test.holds(accumulator, with.value(index)) {
                        yes
                    } else {
                        no
                    };
                    next += usize::from(by);
                }
                Instruction::Return(value) => return Some(value),
                Instruction::ReturnAccumulator => return Some(accumulator),
                Instruction::IndexFromAccumulator => index = accumulator,
                Instruction::AccumulatorFromIndex => accumulator = index,
            }
        }
    }
}

impl Instruction {
    /// From the four numbers of `struct bpf_insn`: code, jump if true, jump if false, operand.
    fn from_text(text: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace();
        let code: u16 = fields.next()?.parse().ok()?;
        let yes = fields.next()?.parse().ok()?;
        let no = fields.next()?.parse().ok()?;
        let k: u32 = fields.next()?.parse().ok()?;
        Self::new(code, yes, no, k)
    }

    const fn new(code: u16, yes: u8, no: u8, k: u32) -> Option<Self> {
        const LD: u16 = 0x00;
        const LDX: u16 = 0x01;
        const ST: u16 = 0x02;
        const STX: u16 = 0x03;
        const ALU: u16 = 0x04;
        const JMP: u16 = 0x05;
        const RET: u16 = 0x06;

        // Size and mode of a load or operation and operand, above the class in the low bits.
        let with = if code & 0x08 == 0 {
            Operand::Const(k)
        } else {
            Operand::Index
        };
        Some(match (code & 0x07, code & !0x07) {
            (LD, 0x00) => Self::LoadConst(k),
            (LD, 0x20) => Self::LoadWord {
                at: k,
                indexed: false,
            },
            (LD, 0x28) => Self::LoadHalf {
                at: k,
                indexed: false,
            },
            (LD, 0x30) => Self::LoadByte {
                at: k,
                indexed: false,
            },
            (LD, 0x40) => Self::LoadWord {
                at: k,
                indexed: true,
            },
            (LD, 0x48) => Self::LoadHalf {
                at: k,
                indexed: true,
            },
            (LD, 0x50) => Self::LoadByte {
                at: k,
                indexed: true,
            },
            (LD, 0x60) => Self::LoadScratch(k),
            (LD, 0x80) => Self::LoadLen,
            (LDX, 0x00) => Self::IndexConst(k),
            (LDX, 0x60) => Self::IndexScratch(k),
            (LDX, 0x80) => Self::IndexLen,
            (LDX, 0xb0) => Self::IndexHeaderLen(k),
            (ST, 0x00) => Self::Store(k),
            (STX, 0x00) => Self::StoreIndex(k),
            (ALU, 0x80) => Self::Negate,
            (ALU, operation) => match Operation::new(operation & !0x08) {
                Some(operation) => Self::Compute(operation, with),
                _ => return None,
            },
            (JMP, 0x00) => Self::Jump(k),
            (JMP, 0x10 | 0x18) => Self::Test {
                test: Test::Equal,
                with,
                yes,
                no,
            },
            (JMP, 0x20 | 0x28) => Self::Test {
                test: Test::Greater,
                with,
                yes,
                no,
            },
            (JMP, 0x30 | 0x38) => Self::Test {
                test: Test::GreaterOrEqual,
                with,
                yes,
                no,
            },
            (JMP, 0x40 | 0x48) => Self::Test {
                test: Test::AnyBit,
                with,
                yes,
                no,
            },
            (RET, 0x00) => Self::Return(k),
            (RET, 0x10) => Self::ReturnAccumulator,
            (7, 0x00) => Self::IndexFromAccumulator,
            (7, 0x80) => Self::AccumulatorFromIndex,
            _ => return None,
        })
    }
}

impl Operation {
    const fn new(code: u16) -> Option<Self> {
        Some(match code {
            0x00 => Self::Add,
            0x10 => Self::Subtract,
            0x20 => Self::Multiply,
            0x30 => Self::Divide,
            0x40 => Self::Or,
            0x50 => Self::And,
            0x60 => Self::ShiftLeft,
            0x70 => Self::ShiftRight,
            0x90 => Self::Modulo,
            0xa0 => Self::Xor,
            _ => return None,
        })
    }

    /// `None` for a division by zero.
    fn apply(self, left: u32, right: u32) -> Option<u32> {
        Some(match self {
            Self::Add => left.wrapping_add(right),
            Self::Subtract => left.wrapping_sub(right),
            Self::Multiply => left.wrapping_mul(right),
            Self::Divide => left.checked_div(right)?,
            Self::Or => left | right,
            Self::And => left & right,
            Self::ShiftLeft => left.checked_shl(right).unwrap_or(0),
            Self::ShiftRight => left.checked_shr(right).unwrap_or(0),
            Self::Modulo => left.checked_rem(right)?,
            Self::Xor => left ^ right,
        })
    }
}

impl Test {
    const fn holds(self, left: u32, right: u32) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::AnyBit => left & right != 0,
        }
    }
}

impl Operand {
    const fn value(self, index: u32) -> u32 {
        match self {
            Self::Const(value) => value,
            Self::Index => index,
        }
    }
}

/// The `N` octets at `at`.
fn octets<const N: usize>(frame: &[u8], at: u32) -> Option<[u8; N]> {
    frame.get(at as usize..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use pcap::{BpfProgram, Capture, Linktype};
    use proptest::prelude::*;

    use super::*;

    /// Filters that between them use loads, tests and arithmetic of every kind.
    const FILTERS: &[&str] = &[
        "ip",
        "ip6 and tcp",
        "udp port 53",
        "tcp[tcpflags] & (tcp-syn|tcp-fin) != 0 and not src and dst net 10.0.0.0/8",
        "tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)",
        "greater 100",
        "len % 7 = 3",
        "ip[8] * 3 / 2 > ip[9] ^ 5",
        "ether[ether[20]:2] > ether[14] << 3",
        "vlan 7 and ip",
        "mpls",
        "vlan or pppoes",
        "ip proto 1 or ip6 proto 58",
        "ip multicast or ether broadcast",
        "ether[0] % ether[1] = 0",
        "-ether[2:4] > 5 or ether[3] >> ether[4] = 1",
    ];

    fn compile(filter: &str) -> (BpfProgram, Program) {
        let capture = Capture::dead(Linktype::ETHERNET).unwrap();
        let compiled = capture.compile(filter, true).unwrap();
        let program = Program::new(compiled.get_instructions()).unwrap();
        (compiled, program)
    }

    proptest! {
        /// libpcap's own machine is the oracle, where wire and captured length are the same.
        #[test]
        fn agrees_with_libpcap(
            header in prop::sample::select(vec![
                "08004500", "080045c0", "080046", "86dd60", "8100000708004500", "8847", "8864", "",
            ]),
            port in prop::sample::select(vec![0_u16, 53, 80]),
            protocol in prop::sample::select(vec![1_u8, 6, 17, 58]),
            mut frame in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            for (place, digits) in header.as_bytes().chunks(2).enumerate() {
                let digits = str::from_utf8(digits).unwrap();
                if let Some(octet) = frame.get_mut(12 + place) {
                    *octet = u8::from_str_radix(digits, 16).unwrap();
                }
            }
            // No fragment, then the protocol and the ports of an IPv4 header without options.
            let [high, low] = port.to_be_bytes();
            for (place, value) in [(20, 0), (21, 0), (23, protocol), (36, high), (37, low)] {
                if let Some(octet) = frame.get_mut(place) {
                    *octet = value;
                }
            }
            for filter in FILTERS {
                let (oracle, program) = compile(filter);
                let len = frame.len() as u32;
                prop_assert_eq!(program.accepts(&frame, len), oracle.filter(&frame), "{}", filter);
            }
        }

        /// Programs that no compiler makes end, too.
        #[test]
        fn any_program_ends(
            code in prop::collection::vec((0_u16..0x100, any::<u8>(), any::<u8>(), any::<u32>()), 0..50),
            frame in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let instructions = code
                .into_iter()
                .filter_map(|(code, yes, no, k)| Instruction::new(code, yes, no, k % 70))
                .collect();
            let program = Program { instructions };
            let _ = program.accepts(&frame, 1500);
        }
    }

    #[test]
    fn the_length_is_that_on_the_wire() {
        let frame = [0; 60];
        for (filter, wanted) in [
            ("greater 1000", true),
            ("less 1000", false),
            ("len = 1514", true),
        ] {
            let (_, program) = compile(filter);
            assert_eq!(program.accepts(&frame, 1514), wanted, "{filter}");
        }
    }

    /// libpcap compiles no division by a field, so the oracle above has none.
    #[test]
    fn divides_by_the_index() {
        for (index, taken) in [(3, Some(2)), (8, Some(0)), (0, None)] {
            let program = Program {
                instructions: vec![
                    Instruction::LoadConst(7),
                    Instruction::IndexConst(index),
                    Instruction::Compute(Operation::Divide, Operand::Index),
                    Instruction::ReturnAccumulator,
                ],
            };
            assert_eq!(program.run(&[], 0), taken, "7 / {index}");
        }
    }

    #[test]
    fn refuses_what_is_not_an_instruction() {
        for text in [
            "",
            "6 0 0",
            "6 0 0 x",
            "255 0 0 0",
            "180 0 0 1",
            "70000 0 0 0",
        ] {
            assert_eq!(Instruction::from_text(text), None, "{text:?}");
        }
        assert_eq!(
            Instruction::from_text("6 0 0 9"),
            Some(Instruction::Return(9))
        );
    }
}
