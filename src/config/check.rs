//! From what is written to [`Settings`]: what each value is checked for, and where it goes.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::file::{
    CaptureTable, File, FlowsTable, MetricsTable, NetworksTable, RecordsTable, SignaturesTable,
};
use super::only::{Kinds, only};
use super::out::Out;
use super::problem::Problem;
use super::settings::{Capture, Log, Metrics, Privilege, Records, Settings, Signatures, Tls};
use super::value::{Compress, Every, Listen, Period, Scope, Size, Steer};
use crate::capture::live::{self, Place};
use crate::classify::names::Learning;
use crate::pipeline::{CAPTURE_THREADS, Duplicates};
use crate::record;
use crate::signature::SyntaxError;
use crate::sink::file::{Compression, Options as Rotation};
use crate::time::Zone;
use crate::usage::subject::Prefix;
use crate::usage::{self, Subjects};
use crate::{decode, flow};

/// What DNS taught is forgotten too soon with less.
const SMALLEST_DNS_MEMORY: usize = 1 << 20;
/// After how long flows that go on have a record, if nobody says otherwise: what exporters of IPFIX do.
const ACTIVE_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Smallest size at which files are rotated: smaller ones would be all names and no lines.
const SMALLEST_FILE: u64 = 64 << 10;
/// libpcap takes the ring's size as an `int`.
const LARGEST_RING: u64 = i32::MAX as u64;
/// A ring has to hold a block of the kernel's.
const SMALLEST_RING: u64 = 1 << 20;
/// Headers, the deepest tunnels included, are to be in what is taken in; 262,144 is libpcap's limit.
const SNAP_LENGTHS: std::ops::RangeInclusive<u32> = 256..=262_144;

type Problems = Vec<Problem>;

impl Settings {
    /// Checks what is written and fills in what is not.
    ///
    /// # Errors
    ///
    /// All that is wrong, by key.
    pub fn check(file: File) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let found = &mut problems;
        let decode_default = decode::Config::default();
        let settings = Self {
            capture: capture(file.capture, found),
            decode: decode::Config {
                max_depth: file.flows.tunnel_depth.unwrap_or(decode_default.max_depth),
                ..decode_default
            },
            flow: flows(&file.flows, found),
            learning: learning(&file.flows, found),
            behaviour: file
                .flows
                .behaviour
                .clone()
                .filter(|path| !path.as_os_str().is_empty()),
            subjects: subjects(file.networks, found),
            signatures: signatures(file.signatures, found),
            records: records(file.records, found),
            metrics: metrics(file.metrics, found),
            privilege: Privilege {
                user: file.privilege.user.filter(|user| !user.is_empty()),
                seccomp: file.privilege.seccomp.unwrap_or(true),
            },
            log: Log {
                level: file.log.level.unwrap_or_default(),
                format: file.log.format.unwrap_or_default(),
            },
        };
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(problems)
        }
    }
}

fn capture(table: CaptureTable, found: &mut Problems) -> Capture {
    let defaults = live::Options::default();
    let interfaces = table.interfaces.unwrap_or_default();
    for (place, name) in interfaces.iter().enumerate() {
        if let Err(reason) = Place::parse(name) {
            found.push(Problem::of_key("capture.interfaces", reason));
        } else if interfaces.iter().take(place).any(|other| other == name) {
            found.push(Problem::of_key(
                "capture.interfaces",
                format!("`{name}` is named twice: its frames would be counted twice"),
            ));
        }
    }
    let (threads, workers) = (number(table.threads, 1), number(table.workers, 1));
    let steer = table.steer.unwrap_or_default();
    match steer {
        Steer::Fanout if workers > 1 => found.push(Problem::of_key(
            "capture.workers",
            "with steer = \"fanout\" each capture thread is a worker: set threads instead, or \
             steer = \"inner\"",
        )),
        Steer::Inner if threads > 1 => found.push(Problem::of_key(
            "capture.threads",
            "with steer = \"inner\" one thread captures for all workers: set workers instead, or \
             steer = \"fanout\"",
        )),
        _ => {}
    }
    let is_socket = |name: &&String| Place::parse(name).is_ok_and(|place| !place.is_interface());
    if threads > 1
        && let Some(socket) = interfaces.iter().find(is_socket)
    {
        found.push(Problem::of_key(
            "capture.threads",
            format!(
                "{threads}: frames of {socket} come to one thread: set steer = \"inner\" and workers \
                 instead"
            ),
        ));
    }
    let all = interfaces.len().max(1).saturating_mul(threads);
    if all > CAPTURE_THREADS {
        let names = interfaces.len();
        found.push(match threads {
            1 => Problem::of_key(
                "capture.interfaces",
                format!("{names} are named, at most {CAPTURE_THREADS} are possible"),
            ),
            _ => Problem::of_key(
                "capture.threads",
                format!(
                    "{threads} threads for each interface are {all} over all, at most \
                     {CAPTURE_THREADS} are possible"
                ),
            ),
        });
    }
    let snap_len = table.snap_length.map_or(defaults.snap_len, |size| {
        u32::try_from(size.0).unwrap_or(u32::MAX)
    });
    if !SNAP_LENGTHS.contains(&snap_len) {
        let bounds = [*SNAP_LENGTHS.start(), *SNAP_LENGTHS.end()];
        let [least, most] = bounds.map(|bytes| Size(bytes.into()));
        let given = table.snap_length.unwrap_or_else(|| Size(snap_len.into()));
        found.push(Problem::of_key(
            "capture.snap_length",
            format!("{given} is not between {least} and {most}"),
        ));
    }
    let ring = table
        .ring_size
        .map_or_else(|| u64::from(defaults.ring_bytes), |size| size.0);
    if !(SMALLEST_RING..=LARGEST_RING).contains(&ring) {
        found.push(Problem::of_key(
            "capture.ring_size",
            format!("{} is not between 1MiB and 2GiB", Size(ring)),
        ));
    }
    let window = table.duplicate_window.map(|period| period.0);
    let window = window.unwrap_or_else(|| Duplicates::default().window);
    if window > Duplicates::LONGEST_WINDOW {
        found.push(Problem::of_key(
            "capture.duplicate_window",
            "must be at most 1s: a copy comes at once, what is sent again comes later",
        ));
    }
    Capture {
        interfaces,
        threads,
        workers,
        steer,
        by_interface: table.by_interface.unwrap_or(true),
        duplicates: Duplicates {
            leave_out: table.deduplicate.unwrap_or(false),
            window,
        },
        options: live::Options {
            promiscuous: table.promiscuous.unwrap_or(defaults.promiscuous),
            snap_len,
            ring_bytes: u32::try_from(ring).unwrap_or(u32::MAX),
            filter: table.filter.filter(|filter| !filter.trim().is_empty()),
            ..defaults
        },
    }
}

fn flows(table: &FlowsTable, found: &mut Problems) -> flow::Config {
    let defaults = flow::Config::default();
    let mut idle = |key: &str, period: Option<Period>, default| {
        let period = period.map_or(default, |period| period.0);
        if period < Duration::from_millis(1) {
            found.push(Problem::of_key(key, "must be at least 1ms"));
        }
        period
    };
    let tcp_idle = idle("flows.tcp_idle", table.tcp_idle, defaults.tcp_idle);
    let tcp_closed = idle("flows.tcp_closed", table.tcp_closed, defaults.tcp_closed);
    let udp_idle = idle("flows.udp_idle", table.udp_idle, defaults.udp_idle);
    let half_open_idle = idle(
        "flows.half_open_idle",
        table.half_open_idle,
        defaults.half_open_idle,
    );
    let opening_packets = table.opening_packets.unwrap_or(defaults.opening_packets);
    if opening_packets == 0 {
        found.push(Problem::of_key(
            "flows.opening_packets",
            "must be at least 1",
        ));
    }
    let opening_bytes = table.opening_bytes.map_or(defaults.opening_bytes, |size| {
        // The memory of a run is max_flows of these at worst.
        usize::try_from(size.0)
            .ok()
            .filter(|bytes| (1..=1 << 20).contains(bytes))
            .unwrap_or_else(|| {
                found.push(Problem::of_key(
                    "flows.opening_bytes",
                    format!("{size} is not between 1B and 1MiB"),
                ));
                defaults.opening_bytes
            })
    });
    let mut memory = |key: &str, size: Option<Size>, default: usize| {
        if size == Some(Size(0)) {
            found.push(Problem::of_key(key, "must be at least 1B"));
        }
        size.map_or(default, |size| {
            usize::try_from(size.0).unwrap_or(usize::MAX)
        })
    };
    let opening_memory = memory(
        "flows.opening_memory",
        table.opening_memory,
        defaults.opening_memory,
    );
    let record_memory = memory(
        "flows.record_memory",
        table.record_memory,
        defaults.record_memory,
    );
    flow::Config {
        max_flows: number(table.max_flows, defaults.max_flows),
        opening_bytes,
        opening_memory,
        record_memory,
        opening_packets,
        tcp_idle,
        tcp_closed,
        udp_idle,
        half_open_idle,
        scope: match table.scope.unwrap_or_default() {
            Scope::None => flow::Scope::None,
            Scope::Vlan => flow::Scope::Vlan,
            Scope::Tunnel => flow::Scope::Tunnel,
        },
    }
}

fn subjects(table: NetworksTable, found: &mut Problems) -> Subjects {
    let defaults = Subjects::default();
    let local = table.local.map(|networks| {
        let networks = networks.iter().map(|text| text.parse::<Prefix>());
        let networks = networks.filter_map(|network| {
            let refused = |reason| found.push(Problem::of_key("networks.local", reason));
            network.map_err(refused).ok()
        });
        networks.collect::<Vec<_>>()
    });
    let mut bits = |key: &str, bits: Option<u8>, most: u8| {
        let bits = bits.unwrap_or(most);
        if bits > most {
            found.push(Problem::of_key(
                key,
                format!("{bits} is more than the {most} bits of an address"),
            ));
        }
        bits
    };
    Subjects {
        local: local.unwrap_or(defaults.local),
        ipv4_prefix: bits(
            "networks.ipv4_prefix",
            table.ipv4_prefix,
            defaults.ipv4_prefix,
        ),
        ipv6_prefix: bits(
            "networks.ipv6_prefix",
            table.ipv6_prefix,
            defaults.ipv6_prefix,
        ),
        end: defaults.end,
    }
}

fn learning(table: &FlowsTable, found: &mut Problems) -> Learning {
    let defaults = Learning::default();
    let dns_memory = table.dns_memory.map_or(defaults.dns_memory, |size| {
        usize::try_from(size.0).unwrap_or(usize::MAX)
    });
    if dns_memory < SMALLEST_DNS_MEMORY {
        found.push(Problem::of_key("flows.dns_memory", "must be at least 1MiB"));
    }
    Learning {
        dns_memory,
        dns_unsolicited: table.dns_unsolicited.unwrap_or(defaults.dns_unsolicited),
    }
}

fn signatures(table: SignaturesTable, found: &mut Problems) -> Signatures {
    let signatures = Signatures {
        dir: path(table.dir),
        replace: table.replace.unwrap_or(false),
        watch: table.watch.unwrap_or(false),
    };
    if signatures.replace && signatures.dir.is_none() {
        found.push(Problem::of_key(
            "signatures.replace",
            "needs signatures.dir: without it there would be no rules at all",
        ));
    }
    signatures
}

/// All outputs that a table asks for.
pub fn outs(table: &RecordsTable, found: &mut Problems) -> Vec<Out> {
    let mut outs = Vec::new();
    for (key, option, records, place) in [
        (
            "records.flows",
            "--flows",
            record::Records::Flows,
            &table.flows,
        ),
        (
            "records.usage",
            "--usage",
            record::Records::Usage,
            &table.usage,
        ),
    ] {
        let Some(place) = path(place.clone()) else {
            continue;
        };
        match Out::short(option, records, &place) {
            Ok(out) => outs.push(out),
            Err(reason) => found.push(Problem::of_key(key, reason)),
        }
    }
    outs.extend(table.out.iter().flatten().cloned());
    outs
}

fn records(table: RecordsTable, found: &mut Problems) -> Records {
    let outs = outs(&table, found);
    for (place, out) in outs.iter().enumerate() {
        let mut before = outs.iter().take(place);
        if let Some(other) = before.find(|other| other.target == out.target) {
            let key = if out.to_string().starts_with("--usage") {
                "records.usage"
            } else {
                "records.out"
            };
            let text = format!("{out} is the same as {other}: each needs its own");
            found.push(Problem::of_key(key, text));
        }
    }
    let kinds = Kinds {
        flows: outs.iter().any(|out| out.records == record::Records::Flows),
        usage: outs.iter().any(|out| out.records == record::Records::Usage),
    };
    let condition = table.only.filter(|text| !text.trim().is_empty());
    let only = condition.and_then(|text| {
        let refused = |SyntaxError { at, message }| {
            found.push(Problem::inside("records.only", &text, at, message));
        };
        only(&text, kinds).map_err(refused).ok().map(Arc::new)
    });
    let interval = table
        .interval
        .unwrap_or(Every::Length(Duration::from_secs(60)));
    if matches!(interval, Every::Length(length) if length < Duration::from_secs(1)) {
        found.push(Problem::of_key("records.interval", "must be at least 1s"));
    }
    let active_timeout = table
        .active_timeout
        .map_or(ACTIVE_TIMEOUT, |period| period.0);
    if !active_timeout.is_zero() && active_timeout < Duration::from_secs(1) {
        found.push(Problem::of_key(
            "records.active_timeout",
            "must be at least 1s, or 0s for never",
        ));
    }
    let max_bytes = table.rotate_size.unwrap_or(Size(256 << 20)).0;
    if (1..SMALLEST_FILE).contains(&max_bytes) {
        found.push(Problem::of_key(
            "records.rotate_size",
            "must be at least 64KiB, or 0 for never",
        ));
    }
    let max_age = table
        .rotate_every
        .map_or(Duration::from_secs(3600), |period| period.0);
    if !max_age.is_zero() && max_age < Duration::from_secs(1) {
        found.push(Problem::of_key(
            "records.rotate_every",
            "must be at least 1s, or 0s for never",
        ));
    }
    Records {
        outs,
        only,
        first_packets: table.first_packets.unwrap_or(false),
        active_timeout: Some(active_timeout).filter(|timeout| !timeout.is_zero()),
        interval: interval.length(&table.time_zone.map_or_else(Zone::utc, |zone| zone.0)),
        subjects: table.subjects.unwrap_or(false),
        max_accounts: number(table.max_accounts, usage::Config::default().max_accounts),
        rotation: Rotation {
            max_bytes: Some(max_bytes).filter(|&bytes| bytes > 0),
            max_age: Some(max_age).filter(|age| !age.is_zero()),
            keep: table.keep.filter(|&keep| keep > 0),
            compress: match table.compress.unwrap_or_default() {
                Compress::None => Compression::None,
                Compress::Gzip => Compression::Gzip,
                Compress::Zstd => Compression::Zstd,
            },
        },
    }
}

fn metrics(table: MetricsTable, found: &mut Problems) -> Option<Metrics> {
    let (certificate, key) = (path(table.tls_certificate), path(table.tls_key));
    let token_file = path(table.token_file);
    let Some(Listen(listen)) = table.listen else {
        // Who gives these believes that something is served. With `listen = ""` he says that it
        // is not, and may keep them.
        for (name, file) in [
            ("metrics.tls_certificate", certificate),
            ("metrics.tls_key", key),
            ("metrics.token_file", token_file),
        ] {
            if file.is_some() {
                let text = "has no effect without metrics.listen (--listen ADDR:PORT)";
                found.push(Problem::of_key(name, text));
            }
        }
        return None;
    };
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
        (None, None) => None,
        (Some(_), None) => {
            let text = "needs metrics.tls_key as well";
            found.push(Problem::of_key("metrics.tls_certificate", text));
            return None;
        }
        (None, Some(_)) => {
            let text = "needs metrics.tls_certificate as well";
            found.push(Problem::of_key("metrics.tls_key", text));
            return None;
        }
    };
    let listen = listen?;
    let local = listen.ip().to_canonical().is_loopback();
    if !local && (tls.is_none() || token_file.is_none()) {
        found.push(Problem::of_key(
            "metrics.listen",
            format!(
                "{listen} can be reached from elsewhere: that needs metrics.tls_certificate, \
                 metrics.tls_key and metrics.token_file"
            ),
        ));
    }
    Some(Metrics {
        listen,
        tls,
        token_file,
        series_limit: number(table.series_limit, 10_000),
    })
}

/// In the file an empty text says that there is none.
fn path(path: Option<PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty())
}

fn number(number: Option<NonZeroUsize>, default: usize) -> usize {
    number.map_or(default, NonZeroUsize::get)
}
