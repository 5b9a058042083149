//! Network namespaces for tests: made without a name, so gone with the test, however it ends.
//!
//! A namespace belongs to a thread. [`Namespace::enter`] runs a closure on a thread of its own
//! inside; a program started there is inside, too:
//!
//! ```ignore
//! let (Some(client), Some(server)) = (Namespace::new(), Namespace::new()) else { return };
//! client.veth("c0", &server, "s0");
//! client.ip("addr add 10.0.0.1/24 dev c0");
//! let child = server.enter(|| Command::new("nginx").spawn().unwrap());
//! ```
//!
//! `/sys/class/net` keeps showing the interfaces of the namespace the test started in.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use pcap::{Active, Capture};

/// A network namespace with `lo` up and without IPv6's own chatter.
pub(crate) struct Namespace(File);

impl Namespace {
    /// A new one. `None`, with a loud message, where that is not permitted: then the test cannot
    /// be run here.
    pub(crate) fn new() -> Option<Self> {
        if !super::services::installed(&["ip"]) {
            return None;
        }
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        });
        match made.join().unwrap() {
            Ok(file) => {
                let namespace = Self(file);
                namespace.enter(|| {
                    // Neighbour and router solicitations would be counted, too.
                    for which in ["all", "default"] {
                        let path = format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6");
                        let _ = std::fs::write(path, "1");
                    }
                });
                namespace.ip("link set lo up");
                Some(namespace)
            }
            Err(error) => {
                super::skipped(&format!(
                    "cannot make a network namespace ({error}); run as root"
                ));
                None
            }
        }
    }

    /// Runs `inside` on a thread in the namespace. Programs it starts are there as well.
    pub(crate) fn enter<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
                inside()
            });
            match thread.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Runs `ip` with these arguments, separated by spaces.
    pub(crate) fn ip(&self, arguments: &str) {
        if let Err(message) = self.try_ip(arguments) {
            panic!("ip {arguments}: {message}");
        }
    }

    /// The same for what not every kernel can do.
    pub(crate) fn try_ip(&self, arguments: &str) -> Result<(), String> {
        let output = self.enter(|| {
            Command::new("ip")
                .args(arguments.split_whitespace())
                .output()
                .unwrap()
        });
        if output.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// A veth pair, both ends up: `name` here, `other_name` in `other` (which may be this).
    pub(crate) fn veth(&self, name: &str, other: &Self, other_name: &str) {
        let path = format!("/proc/{}/fd/{}", std::process::id(), other.0.as_raw_fd());
        self.ip(&format!(
            "link add name {name} type veth peer name {other_name} netns {path}"
        ));
        self.ip(&format!("link set dev {name} up"));
        other.ip(&format!("link set dev {other_name} up"));
        // The carrier is there when both ends are, a moment later.
        thread::sleep(Duration::from_millis(50));
    }

    /// Something that sends frames out of `interface`, as they are.
    pub(crate) fn sender(&self, interface: &str) -> Capture<Active> {
        self.enter(|| {
            let sender = Capture::from_device(interface).unwrap();
            // It is used for sending only, and must not collect what it sends.
            let mut sender = sender.snaplen(64).open().unwrap();
            sender.filter("less 0", false).unwrap();
            sender
        })
    }
}

/// Sends frames, in order, waiting where the queue is full.
pub(crate) fn send<'a>(sender: &mut Capture<Active>, frames: impl IntoIterator<Item = &'a [u8]>) {
    for frame in frames {
        while sender.sendpacket(frame).is_err() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
