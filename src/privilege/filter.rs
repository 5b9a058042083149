//! The system call filter of a live run (`seccomp(2)`): what a program may still ask of the
//! kernel that has opened its captures and only classifies.
//!
//! Four filters stand one behind the other; the strictest answer counts:
//!
//! 1. [`KILLED`] ends the process. Nothing of ours or of a library we use asks for these in any
//!    circumstance, so whoever does is somebody else: going on would give him another try. The
//!    kernel writes who and what into its log (`audit: type=1326`), the service manager starts
//!    anew.
//! 2. [`REFUSED`] gives `EPERM`: calls with an innocent use that is not ours, and those that are
//!    needed, with arguments that are not.
//! 3. [`NO_FAMILY_IF`] gives `EAFNOSUPPORT` for sockets of other families: libpcap asks for some
//!    when it lists devices, and takes this answer as "none of that kind", but `EPERM` as an error.
//! 4. [`ALLOWED`] lets through what was seen in use, or is the same thing by its older or newer
//!    name. All else gives `ENOSYS`, as from a kernel that has never heard of it: that is the
//!    answer upon which a C library or a runtime falls back to an older call, so that one that
//!    is updated under a program running for weeks goes on. `EPERM` would be taken as final
//!    (`clone3` and `faccessat2` are the known cases), and to kill for a call that is merely new
//!    would be to punish an update.
//!
//! The numbers are those of the architecture compiled for; a call made as another (32-bit, x32)
//! is killed or unknown. A filter cannot look through pointers: which files may be opened is the
//! user's and the capabilities' matter.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

/// Calls with a common reason.
struct Group {
    /// Why they stand where they stand.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reader, and a test"))]
    reason: &'static str,
    calls: &'static [libc::c_long],
}

/// What an argument is like.
enum Argument {
    /// This number.
    Is(u64),
    /// None of these.
    IsNot(&'static [u64]),
    /// All these bits are set.
    Has(u64),
    /// None of these bits is set.
    Lacks(u64),
    /// A pointer to something.
    IsPointer,
    /// Not the number of this process.
    IsAnotherProcess,
}

/// A call that is refused or killed if an argument is so.
struct Misuse {
    #[cfg_attr(not(test), expect(dead_code, reason = "for the reader, and a test"))]
    reason: &'static str,
    call: libc::c_long,
    /// Which argument, from 0.
    place: u8,
    argument: Argument,
}

const KILLED: &[Group] = &[
    Group {
        reason: "another program, or a copy of this one: there is nothing to start",
        calls: &[
            libc::SYS_execve,
            libc::SYS_execveat,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_fork,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_vfork,
        ],
    },
    Group {
        reason: "other processes' memory and files",
        calls: &[
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_process_madvise,
            libc::SYS_pidfd_getfd,
            libc::SYS_kcmp,
        ],
    },
    Group {
        reason: "another user or more rights: both were given up for good",
        calls: &[
            libc::SYS_setuid,
            libc::SYS_setgid,
            libc::SYS_setreuid,
            libc::SYS_setregid,
            libc::SYS_setresuid,
            libc::SYS_setresgid,
            libc::SYS_setgroups,
            libc::SYS_setfsuid,
            libc::SYS_setfsgid,
            libc::SYS_capset,
        ],
    },
    Group {
        reason: "another view of the files or of the system",
        calls: &[
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            libc::SYS_fsopen,
            libc::SYS_fspick,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_mount_setattr,
            libc::SYS_setns,
            libc::SYS_unshare,
            libc::SYS_swapon,
            libc::SYS_swapoff,
            libc::SYS_quotactl,
            libc::SYS_mknodat,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mknod,
            libc::SYS_open_by_handle_at,
        ],
    },
    Group {
        reason: "the kernel itself: its code, its keys, its clock, its hardware",
        calls: &[
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
            libc::SYS_kexec_load,
            // The crate has no name for it there.
            #[cfg(not(all(target_arch = "aarch64", target_env = "musl")))]
            libc::SYS_kexec_file_load,
            libc::SYS_reboot,
            libc::SYS_add_key,
            libc::SYS_request_key,
            libc::SYS_keyctl,
            libc::SYS_acct,
            libc::SYS_settimeofday,
            libc::SYS_clock_settime,
            libc::SYS_adjtimex,
            libc::SYS_clock_adjtime,
            libc::SYS_sethostname,
            libc::SYS_setdomainname,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_iopl,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_ioperm,
        ],
    },
];

const KILLED_IF: &[Misuse] = &[Misuse {
    reason: "a new process; a thread shares this one's",
    call: libc::SYS_clone,
    place: 0,
    argument: Argument::Lacks(libc::CLONE_THREAD as u64),
}];

/// Refused as well, unless records go to another host, or a capture is fetched from one.
const CALLING_OUT: &[Group] = &[Group {
    reason: "calling out, and asking for names: metrics are fetched, records lie in files, frames \
             come, if no output or source says otherwise",
    calls: &[libc::SYS_connect, libc::SYS_sendmmsg],
}];

const REFUSED: &[Group] = &[Group {
    reason: "io_uring: its requests pass by these filters, and runtimes take EPERM as switched off",
    calls: &[
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
    ],
}];

const NO_FAMILY_IF: &[Misuse] = &[Misuse {
    reason: "captures, the metrics' clients, the kernel's lists of interfaces; not the local \
                 services behind AF_UNIX, nor the families that exploits come through",
    call: libc::SYS_socket,
    place: 0,
    argument: Argument::IsNot(&[
        libc::AF_INET as u64,
        libc::AF_INET6 as u64,
        libc::AF_NETLINK as u64,
        libc::AF_PACKET as u64,
    ]),
}];

const REFUSED_IF: &[Misuse] = &[
    Misuse {
        reason: "all code is loaded; what came as data shall not become code",
        call: libc::SYS_mmap,
        place: 2,
        argument: Argument::Has(libc::PROT_EXEC as u64),
    },
    Misuse {
        reason: "likewise",
        call: libc::SYS_mprotect,
        place: 2,
        argument: Argument::Has(libc::PROT_EXEC as u64),
    },
    Misuse {
        reason: "signals to itself alone (abort, raise)",
        call: libc::SYS_kill,
        place: 0,
        argument: Argument::IsAnotherProcess,
    },
    Misuse {
        reason: "likewise",
        call: libc::SYS_tgkill,
        place: 0,
        argument: Argument::IsAnotherProcess,
    },
    Misuse {
        reason: "limits are read, not set",
        call: libc::SYS_prlimit64,
        place: 2,
        argument: Argument::IsPointer,
    },
    Misuse {
        reason: "names of threads and of memory, and what the next filter is put on with; not \
                 dumpable, seccomp, keepcaps and the like",
        call: libc::SYS_prctl,
        place: 0,
        argument: Argument::IsNot(&[
            libc::PR_SET_NAME as u64,
            libc::PR_GET_NAME as u64,
            libc::PR_SET_VMA as u64,
            libc::PR_GET_DUMPABLE as u64,
            libc::PR_SET_NO_NEW_PRIVS as u64,
            libc::PR_CAPBSET_READ as u64,
        ]),
    },
    Misuse {
        reason: "typing into the operator's terminal",
        call: libc::SYS_ioctl,
        place: 1,
        argument: Argument::Is(TIOCSTI),
    },
    Misuse {
        reason: "likewise, by pasting on a console",
        call: libc::SYS_ioctl,
        place: 1,
        argument: Argument::Is(TIOCLINUX),
    },
];

/// `TIOCSTI(2const)`, as on most architectures; libc's type for it differs between C libraries.
const TIOCSTI: u64 = 0x5412;
/// `ioctl_console(2)`.
const TIOCLINUX: u64 = 0x541c;

const ALLOWED: &[Group] = &[
    Group {
        reason: "memory: the allocator, thread stacks, a capture's ring",
        calls: &[
            libc::SYS_brk,
            libc::SYS_mmap,
            libc::SYS_munmap,
            libc::SYS_mremap,
            libc::SYS_mprotect,
            libc::SYS_madvise,
            libc::SYS_mincore,
            libc::SYS_membarrier,
        ],
    },
    Group {
        reason: "threads: workers, compression, the metrics' runtime",
        calls: &[
            libc::SYS_clone,
            libc::SYS_set_robust_list,
            libc::SYS_get_robust_list,
            libc::SYS_set_tid_address,
            libc::SYS_rseq,
            libc::SYS_futex,
            libc::SYS_gettid,
            libc::SYS_sched_yield,
            libc::SYS_sched_getaffinity,
            libc::SYS_sched_setaffinity,
            libc::SYS_sched_getparam,
            libc::SYS_sched_getscheduler,
            libc::SYS_getcpu,
            libc::SYS_prctl,
            libc::SYS_exit,
            libc::SYS_exit_group,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_arch_prctl,
        ],
    },
    Group {
        reason: "time: pauses, intervals, the clock where it is not read without a call",
        calls: &[
            libc::SYS_clock_gettime,
            libc::SYS_clock_getres,
            libc::SYS_clock_nanosleep,
            libc::SYS_nanosleep,
            libc::SYS_gettimeofday,
            libc::SYS_timerfd_create,
            libc::SYS_timerfd_settime,
            libc::SYS_timerfd_gettime,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_time,
        ],
    },
    Group {
        reason: "files: records and their rotation, signatures and settings read again, what a \
                 panic's backtrace is looked up in",
        calls: &[
            libc::SYS_openat,
            libc::SYS_close,
            libc::SYS_close_range,
            libc::SYS_read,
            libc::SYS_readv,
            libc::SYS_pread64,
            libc::SYS_preadv,
            libc::SYS_write,
            libc::SYS_writev,
            libc::SYS_pwrite64,
            libc::SYS_pwritev,
            libc::SYS_lseek,
            libc::SYS_fstat,
            libc::SYS_newfstatat,
            libc::SYS_statx,
            libc::SYS_statfs,
            libc::SYS_fstatfs,
            libc::SYS_faccessat,
            libc::SYS_faccessat2,
            libc::SYS_getdents64,
            libc::SYS_readlinkat,
            libc::SYS_getcwd,
            libc::SYS_renameat,
            libc::SYS_renameat2,
            libc::SYS_linkat,
            libc::SYS_unlinkat,
            libc::SYS_mkdirat,
            libc::SYS_fchmod,
            libc::SYS_fchmodat,
            libc::SYS_umask,
            libc::SYS_utimensat,
            libc::SYS_ftruncate,
            libc::SYS_fallocate,
            libc::SYS_fadvise64,
            libc::SYS_fsync,
            libc::SYS_fdatasync,
            libc::SYS_copy_file_range,
            libc::SYS_sendfile,
            libc::SYS_splice,
            libc::SYS_fcntl,
            libc::SYS_flock,
            libc::SYS_dup,
            libc::SYS_dup3,
            libc::SYS_inotify_init1,
            libc::SYS_inotify_add_watch,
            libc::SYS_inotify_rm_watch,
        ],
    },
    Group {
        reason: "sockets: an interface that came back, the lists of interfaces, metrics over HTTP",
        calls: &[
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_bind,
            libc::SYS_listen,
            libc::SYS_accept4,
            libc::SYS_accept,
            libc::SYS_getsockname,
            libc::SYS_getpeername,
            libc::SYS_setsockopt,
            libc::SYS_getsockopt,
            libc::SYS_recvfrom,
            libc::SYS_recvmsg,
            libc::SYS_recvmmsg,
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_shutdown,
            libc::SYS_ioctl,
        ],
    },
    Group {
        reason: "waiting: for frames, clients, keys, changed files",
        calls: &[
            libc::SYS_ppoll,
            libc::SYS_pselect6,
            libc::SYS_epoll_create1,
            libc::SYS_epoll_ctl,
            libc::SYS_epoll_pwait,
            libc::SYS_epoll_pwait2,
            libc::SYS_eventfd2,
            libc::SYS_pipe2,
        ],
    },
    Group {
        reason: "signals: reload, end, a new terminal size; abort upon a panic",
        calls: &[
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_rt_sigreturn,
            libc::SYS_rt_sigpending,
            libc::SYS_rt_sigtimedwait,
            libc::SYS_rt_sigsuspend,
            libc::SYS_sigaltstack,
            libc::SYS_signalfd4,
            libc::SYS_restart_syscall,
            libc::SYS_kill,
            libc::SYS_tgkill,
        ],
    },
    Group {
        reason: "facts about itself and the machine: for metrics, for libraries that choose",
        calls: &[
            libc::SYS_getpid,
            libc::SYS_getppid,
            libc::SYS_getpgid,
            libc::SYS_getuid,
            libc::SYS_geteuid,
            libc::SYS_getgid,
            libc::SYS_getegid,
            libc::SYS_getgroups,
            libc::SYS_capget,
            libc::SYS_getrusage,
            libc::SYS_times,
            libc::SYS_prlimit64,
            libc::SYS_getrandom,
            libc::SYS_uname,
            libc::SYS_sysinfo,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_getrlimit,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_getpgrp,
        ],
    },
    #[cfg(target_arch = "x86_64")]
    Group {
        reason: "older names that C libraries still use on x86-64; no later architecture has them",
        calls: &[
            libc::SYS_open,
            libc::SYS_stat,
            libc::SYS_lstat,
            libc::SYS_access,
            libc::SYS_readlink,
            libc::SYS_rename,
            libc::SYS_link,
            libc::SYS_unlink,
            libc::SYS_mkdir,
            libc::SYS_rmdir,
            libc::SYS_chmod,
            libc::SYS_dup2,
            libc::SYS_pipe,
            libc::SYS_poll,
            libc::SYS_select,
            libc::SYS_epoll_create,
            libc::SYS_epoll_wait,
            libc::SYS_eventfd,
            libc::SYS_inotify_init,
            libc::SYS_pause,
        ],
    },
];

/// Puts the filters on every thread of this process, for good; `process` is its number, and it
/// `connects` to other hosts or does not. Needs
/// no privileges once `no_new_privs` is set, which the crate does as well.
pub(super) fn install(process: u32, connects: bool) -> Result<(), seccompiler::Error> {
    for program in programs(process, connects, TargetArch::try_from(ARCH)?)? {
        apply_filter_all_threads(&program)?;
    }
    Ok(())
}

/// The filters in the order they are put on: the last lets no more be put on.
fn programs(
    process: u32,
    connects: bool,
    target: TargetArch,
) -> Result<[BpfProgram; 4], BackendError> {
    let answer = |errno: libc::c_int| SeccompAction::Errno(errno.unsigned_abs());
    let compile = |rules, matched, otherwise| {
        SeccompFilter::new(rules, otherwise, matched, target)?.try_into()
    };
    let pass = SeccompAction::Allow;
    let killed = rules(&[KILLED], KILLED_IF, process)?;
    let calling_out = if connects { &[] } else { CALLING_OUT };
    let refused = rules(&[REFUSED, calling_out], REFUSED_IF, process)?;
    let no_family = rules(&[], NO_FAMILY_IF, process)?;
    // Of several errors the kernel gives that of the filter put on last: what has been refused
    // must pass here to keep its own.
    let allowed = rules(&[ALLOWED, REFUSED, CALLING_OUT], &[], process)?;
    Ok([
        compile(killed, SeccompAction::KillProcess, pass.clone())?,
        compile(refused, answer(libc::EPERM), pass.clone())?,
        compile(no_family, answer(libc::EAFNOSUPPORT), pass.clone())?,
        compile(allowed, pass, answer(libc::ENOSYS))?,
    ])
}

fn rules(
    groups: &[&[Group]],
    misuses: &[Misuse],
    process: u32,
) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut rules = BTreeMap::new();
    for call in groups
        .iter()
        .copied()
        .flatten()
        .flat_map(|group| group.calls)
    {
        rules.insert(*call, Vec::new());
    }
    for misuse in misuses {
        let conditions = misuse.argument.conditions(misuse.place, process)?;
        let of_call: &mut Vec<SeccompRule> = rules.entry(misuse.call).or_default();
        of_call.push(SeccompRule::new(conditions)?);
    }
    Ok(rules)
}

impl Argument {
    fn conditions(&self, place: u8, process: u32) -> Result<Vec<SeccompCondition>, BackendError> {
        // The kernel takes these arguments as 32-bit numbers: with 64 bits compared, garbage in
        // the upper half would slip past.
        let compare = |operator, value| {
            SeccompCondition::new(place, SeccompCmpArgLen::Dword, operator, value)
        };
        match *self {
            Self::Is(value) => Ok(vec![compare(SeccompCmpOp::Eq, value)?]),
            Self::IsNot(values) => values
                .iter()
                .map(|&value| compare(SeccompCmpOp::Ne, value))
                .collect(),
            Self::Has(bits) => Ok(vec![compare(SeccompCmpOp::MaskedEq(bits), bits)?]),
            Self::Lacks(bits) => Ok(vec![compare(SeccompCmpOp::MaskedEq(bits), 0)?]),
            Self::IsPointer => Ok(vec![SeccompCondition::new(
                place,
                SeccompCmpArgLen::Qword,
                SeccompCmpOp::Ne,
                0,
            )?]),
            Self::IsAnotherProcess => Ok(vec![compare(SeccompCmpOp::Ne, process.into())?]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_tables_compile_for_this_architecture() {
        for connects in [false, true] {
            let target = TargetArch::try_from(ARCH).unwrap();
            for program in programs(1, connects, target).unwrap() {
                assert!(!program.is_empty());
            }
        }
    }

    #[test]
    fn no_call_stands_twice() {
        let mut seen = BTreeSet::new();
        let all = [KILLED, REFUSED, CALLING_OUT, ALLOWED];
        for group in all.into_iter().flatten() {
            for call in group.calls {
                assert!(seen.insert(*call), "{call} again in '{}'", group.reason);
            }
        }
    }

    #[test]
    fn what_is_refused_by_argument_is_allowed_otherwise() {
        let allowed: BTreeSet<_> = ALLOWED.iter().flat_map(|group| group.calls).collect();
        for misuse in REFUSED_IF.iter().chain(NO_FAMILY_IF).chain(KILLED_IF) {
            assert!(allowed.contains(&misuse.call), "{}", misuse.reason);
        }
    }

    #[test]
    fn what_would_undo_the_filter_is_not_allowed() {
        let allowed: BTreeSet<_> = ALLOWED.iter().flat_map(|group| group.calls).collect();
        for call in [
            libc::SYS_execve,
            libc::SYS_clone3,
            libc::SYS_seccomp,
            libc::SYS_memfd_create,
            libc::SYS_pkey_mprotect,
            libc::SYS_remap_file_pages,
            libc::SYS_shmat,
            libc::SYS_personality,
        ] {
            assert!(!allowed.contains(&call), "{call}");
        }
    }
}
