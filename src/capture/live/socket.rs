//! The options of a packet socket that libpcap does not set: the one unsafe place of the program.
//!
//! See `packet(7)`. The numbers are those of `linux/if_packet.h`, which the `libc` crate lacks.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

const PACKET_FANOUT: libc::c_int = 18;
const PACKET_FANOUT_DATA: libc::c_int = 22;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

const PACKET_FANOUT_CBPF: u32 = 6;

/// Classic BPF: how much of the packet to take.
const RET_CONST: u16 = 0x06;
/// Classic BPF: an octet at a place of the packet, or one of the kernel's own facts.
const LOAD_OCTET: u16 = 0x30;
/// Classic BPF: a word, likewise.
const LOAD_WORD: u16 = 0x20;
/// Classic BPF: whether it is this number.
const JUMP_EQUAL: u16 = 0x15;

/// The most instructions of a program (`linux/bpf_common.h`, `BPF_MAXINSNS`).
const MAX_PROGRAM: usize = 4096;

/// Makes the socket one of at most `members` that share frames as `program` says: what it
/// returns, modulo the number of members at that moment, is the member that gets a frame.
pub(super) fn join_fanout(
    socket: BorrowedFd<'_>,
    group: u16,
    members: u16,
    program: &[libc::sock_filter],
) -> io::Result<()> {
    // `struct fanout_args`: its two halves of a word are laid out so that the word is the same
    // number on any machine. With the limit, no stranger can take frames away from a full group.
    let group_and_kind = u32::from(group) | PACKET_FANOUT_CBPF << 16;
    match set_numbers(
        socket,
        PACKET_FANOUT,
        &[group_and_kind, members.max(1).into()],
    ) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) && knows_no_limit() => {
            set_numbers(socket, PACKET_FANOUT, &[group_and_kind])?;
        }
        other => other?,
    }
    set_program(socket, libc::SOL_PACKET, PACKET_FANOUT_DATA, program)
}

/// Takes in nothing more. What is in the ring stays there, and libpcap does not know: told to
/// filter, it would filter the ring as well.
pub(super) fn take_nothing(socket: BorrowedFd<'_>) -> io::Result<()> {
    let (code, jt, jf, k) = (RET_CONST, 0, 0, 0);
    set_filter(socket, &[libc::sock_filter { code, jt, jf, k }])
}

/// The filter that the socket has, and before it: nothing that goes out of the interface with
/// this `index`. Where it has none, `snap_len` octets of a frame pass.
///
/// libpcap could have it in its filter, but filters the ring's first block a second time, outside
/// the kernel, where nobody knows a cooked frame's interface.
pub(super) fn filter_without_sent_by(
    socket: BorrowedFd<'_>,
    index: u32,
    snap_len: u32,
) -> io::Result<Vec<libc::sock_filter>> {
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let fact = |number: libc::c_int| (libc::SKF_AD_OFF + number).cast_unsigned();
    let mut program = vec![
        step(LOAD_OCTET, 0, 0, fact(libc::SKF_AD_PKTTYPE)),
        step(JUMP_EQUAL, 0, 3, libc::PACKET_OUTGOING.into()),
        step(LOAD_WORD, 0, 0, fact(libc::SKF_AD_IFINDEX)),
        step(JUMP_EQUAL, 0, 1, index),
        step(RET_CONST, 0, 0, 0),
    ];
    // All jumps are relative: what follows stays right.
    let own = get_program(socket)?;
    if own.is_empty() {
        program.push(step(RET_CONST, 0, 0, snap_len));
    }
    program.extend(own);
    Ok(program)
}

/// Sets the kernel's filter; libpcap does not know.
pub(super) fn set_filter(socket: BorrowedFd<'_>, program: &[libc::sock_filter]) -> io::Result<()> {
    set_program(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
}

/// Leaves out the frames this machine sends (Linux 4.20).
pub(super) fn ignore_outgoing(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_numbers(socket, PACKET_IGNORE_OUTGOING, &[1])
}

/// Whether the kernel is from before Linux 5.11, where groups got a limit.
fn knows_no_limit() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|number| number.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) < (5, 11))
}

fn set_numbers(socket: BorrowedFd<'_>, option: libc::c_int, numbers: &[u32]) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as it is borrowed. The pointer and the length are
    // those of `numbers`, which live beyond the call; the kernel only reads, within the length,
    // and keeps no pointer.
    done(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            numbers.as_ptr().cast(),
            size_of_val(numbers) as libc::socklen_t,
        )
    })
}

fn set_program(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    option: libc::c_int,
    instructions: &[libc::sock_filter],
) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: instructions
            .len()
            .try_into()
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        // The kernel does not write to them: the field is shared with calls that do.
        filter: instructions.as_ptr().cast_mut(),
    };
    // SAFETY: the descriptor is open for as long as it is borrowed. `program` lives beyond the
    // call and so do the `len` instructions it points to; the kernel copies both, checks the copy
    // as it checks every program from outside, writes to neither and keeps no pointer.
    done(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&program).cast(),
            size_of_val(&program) as libc::socklen_t,
        )
    })
}

/// The filter that the socket has; empty where it has none.
fn get_program(socket: BorrowedFd<'_>) -> io::Result<Vec<libc::sock_filter>> {
    let nothing = libc::sock_filter {
        code: 0,
        jt: 0,
        jf: 0,
        k: 0,
    };
    let mut program = vec![nothing; MAX_PROGRAM];
    // For this option alone the length is in instructions.
    let mut len = MAX_PROGRAM as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as it is borrowed. The kernel writes at most `len`
    // instructions, as many as there is room for, which are numbers alone, and to `len` how many
    // they are; both live beyond the call and it keeps no pointer.
    done(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_GET_FILTER,
            program.as_mut_ptr().cast(),
            &raw mut len,
        )
    })?;
    program.truncate(len as usize);
    Ok(program)
}

fn done(code: libc::c_int) -> io::Result<()> {
    if code == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
