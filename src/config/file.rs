//! The settings file as it is written: one struct for each table, every key optional.
//!
//! A key, its option, its default and what is said of both are one row of the table here and stand
//! nowhere else: `ottometer.toml`, the JSON schema, `docs/settings.md` and the options of `live` are made
//! from it. What a value is checked for, and where it goes, is the row's line in `settings`.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;

use clap::{Arg, ArgMatches};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::closest::{closest, did_you_mean};
use super::given::Given;
use super::out::Out;
use super::problem::Problem;
use super::value::{
    Compress, Every, Level, Listen, LogFormat, Period, Scope, Size, Steer, TimeZone,
};

/// A table of the file, for those who describe it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) type_name: &'static str,
    pub(super) about: &'static [&'static str],
    pub(super) keys: &'static [Key],
}

/// A key of a table, with its default as it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) about: &'static [&'static str],
    pub(super) default: &'static str,
    /// The table, a dot and the name.
    pub(super) id: &'static str,
    /// Its option, as `-i, --interface IFACE` is one.
    pub(super) option: &'static str,
    /// Under which heading the option stands.
    pub(super) heading: &'static str,
    /// What the option of `live` says of itself.
    pub(super) help: &'static str,
    /// What that of `read` says, if there is one.
    pub(super) read: Option<&'static str>,
    /// Has an option take values of the key's type.
    pub(super) takes: fn(Arg) -> Arg,
}

/// Where something is wrong, and what.
type Wrong = (Range<usize>, String);

/// What `error` says about a value that stands at `place`.
fn wrong(error: &toml::de::Error, place: Range<usize>) -> Wrong {
    // An error without a place of its own is about all of it.
    let span = error.span().filter(|span| *span != (0..0)).unwrap_or(place);
    (span, error.message().to_owned())
}

fn unknown_key(name: &str, known: &[&str]) -> String {
    let meant = did_you_mean(closest(name, known.iter().copied()));
    let table = TABLES
        .iter()
        .find(|table| table.keys.iter().any(|key| key.name == name));
    // A key that belongs to another table is a slip of its own.
    let meant = match table {
        Some(table) => format!("; `{name}` is a key of [{}]", table.name),
        None => meant,
    };
    let known: Vec<String> = known.iter().map(|key| format!("`{key}`")).collect();
    format!(
        "unknown key `{name}`, expected one of {}{meant}",
        known.join(", ")
    )
}

/// What an option of `read` says: the same as that of `live`, if nothing else.
macro_rules! of_read {
    () => {
        None
    };
    ($help:literal, read) => {
        Some($help)
    };
    ($help:literal, read $own:literal) => {
        Some($own)
    };
}

macro_rules! tables {
    ($(
        $(#[doc = $about:literal])*
        $table:ident: $type_name:ident {
            $(
                $(#[doc = $key_about:literal])*
                $key:ident: $type:ty = $default:literal,
                $option:literal in $heading:literal: $help:literal $(, read $($read:literal)?)?;
            )*
        }
    )*) => {
        $(
            $(#[doc = $about])*
            #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
            #[serde(deny_unknown_fields)]
            pub struct $type_name {
                $( $(#[doc = $key_about])* pub $key: Option<$type>, )*
            }

            impl $type_name {
                fn or(self, other: Self) -> Self {
                    Self { $( $key: self.$key.or(other.$key), )* }
                }

                /// Reads each key by itself, so that one that is wrong hides no other.
                fn read(&mut self, table: DeTable<'_>, found: &mut Vec<Wrong>) {
                    for (key, value) in table {
                        let (at, place) = (key.span(), value.span());
                        let read = match key.get_ref().as_ref() {
                            $( stringify!($key) => {
                                Deserialize::deserialize(ValueDeserializer::from(value))
                                    .map(|value| self.$key = Some(value))
                            } )*
                            name => {
                                found.push((at, unknown_key(name, &[$(stringify!($key)),*])));
                                continue;
                            }
                        };
                        if let Err(error) = read {
                            found.push(wrong(&error, place));
                        }
                    }
                }
            }
        )*

        /// Settings as they are written, in a file or on the command line.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[schemars(title = "ottometer settings file")]
        pub struct File {
            $( $(#[doc = $about])* #[serde(default)] pub $table: $type_name, )*
        }

        impl File {
            /// These settings where they say something, else those of `other`.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $( $table: self.$table.or(other.$table), )* }
            }

            /// What options say.
            pub(super) fn given(&mut self, matches: &ArgMatches) {
                $($(
                    let id = concat!(stringify!($table), ".", stringify!($key));
                    self.$table.$key = Given::given(matches, id, $default);
                )*)*
            }

            /// Reads a table; false if there is none of that name.
            fn read(
                &mut self,
                name: &str,
                value: Spanned<DeValue<'_>>,
                found: &mut Vec<Wrong>,
            ) -> bool {
                let place = value.span();
                match name {
                    $( stringify!($table) => match value.into_inner() {
                        DeValue::Table(table) => self.$table.read(table, found),
                        other => {
                            let value = Spanned::new(place.clone(), other);
                            let read = Deserialize::deserialize(ValueDeserializer::from(value));
                            match read {
                                Ok(table) => self.$table = table,
                                Err(error) => found.push(wrong(&error, place)),
                            }
                        }
                    }, )*
                    _ => return false,
                }
                true
            }
        }

        pub(super) const TABLES: &[Table] = &[$(
            Table {
                name: stringify!($table),
                type_name: stringify!($type_name),
                about: &[$($about),*],
                keys: &[$(
                    Key {
                        name: stringify!($key),
                        about: &[$($key_about),*],
                        default: $default,
                        id: concat!(stringify!($table), ".", stringify!($key)),
                        option: $option,
                        heading: $heading,
                        help: $help,
                        read: of_read!($($help, read $($read)?)?),
                        takes: <$type as Given>::takes,
                    },
                )*],
            },
        )*];
    };
}

tables! {
    /// Where frames come from.
    capture: CaptureTable {
        /// Interfaces to capture on, as `ottometer interfaces` lists them. Or where else frames come from:
        /// "vxlan://ADDRESS:PORT", "geneve://ADDRESS:PORT" (a UDP socket that a mirror sends to),
        /// "pcap://HOST:PORT", "pcap-listen://ADDRESS:PORT" (a capture over TCP). See docs/live.md.
        interfaces: Vec<String> = "[]",
            "-i, --interface IFACE" in "Capture": "The interface to capture from; may be given several times. `ottometer interfaces` lists them. Or vxlan://ADDRESS:PORT, geneve://ADDRESS:PORT: frames that a mirror sends to a UDP port of this host; pcap://HOST:PORT, pcap-listen://ADDRESS:PORT: a capture that comes over TCP from a host, or from who connects (see docs/live.md)";
        /// Capture threads for each interface. The kernel splits the frames between them by address,
        /// so that a flow and its fragments stay on one thread. Each has a ring of its own. At most
        /// 32 over all interfaces.
        threads: NonZeroUsize = "1",
            "--threads N" in "Capture": "Capture threads for each interface. The kernel shares frames among them by address pair. At most 32 over all interfaces";
        /// Worker threads that name flows when `steer` is "inner". With "fanout" each capture thread
        /// is a worker, and this must be left out or be 1.
        workers: NonZeroUsize = "1",
            "-w, --workers N" in "Capture": "Worker threads, with --steer inner";
        /// How frames are shared between threads. "fanout": the kernel does it, by outer addresses.
        /// "inner": one capture thread for each interface does it, by the innermost addresses, for
        /// links where all traffic is in one tunnel.
        steer: Steer = "\"fanout\"",
            "--steer HOW" in "Capture": "How frames come to workers";
        /// Take in frames for other hosts as well, as a mirror port needs.
        promiscuous: bool = "true",
            "--no-promiscuous" in "Capture": "Take in only frames for this host";
        /// Bytes of each frame that are taken in. Volume is counted as on the wire whatever this is.
        snap_length: Size = "65535",
            "--snap-length SIZE" in "Capture": "Bytes of each frame that are taken in";
        /// Size of the ring the kernel fills, for each capture thread: it bridges moments in which
        /// the program is behind.
        ring_size: Size = "\"64MiB\"",
            "--ring-size SIZE" in "Capture": "Size of the ring the kernel fills, for each capture thread: 64MiB, 1GiB";
        /// Frames that do not pass this BPF filter stay in the kernel (pcap-filter(7)). Empty: all
        /// pass.
        filter: String = "\"\"",
            "--filter EXPRESSION" in "Capture": "Take in only the frames this BPF filter passes (pcap-filter(7)); the others are not counted anywhere";
        /// Count volume for each interface, in usage records, metrics and summaries. A flow belongs to
        /// the interface by which its first packet came in. Without, all interfaces are one: for ports
        /// that share the traffic of one link among them.
        by_interface: bool = "true",
            "--no-by-interface" in "Capture": "Count all interfaces as one: no `interface` in usage records and in metrics by name";
        /// Leave out second copies of frames, as a mirror of several ports gives of what passes two
        /// of them: the same IP packet but for TTL and checksum. They are counted as `duplicate`.
        deduplicate: bool = "false",
            "--deduplicate" in "Capture": "Leave out second copies of frames, as a mirror of several ports gives: the same IP packet but for TTL and checksum. They are counted as `duplicate`";
        /// How long after a frame the same bytes are its copy.
        duplicate_window: Period = "\"5ms\"",
            "--duplicate-window DURATION" in "Capture": "How long after a frame the same bytes are its copy";
    }

    /// What is kept of flows.
    flows: FlowsTable {
        /// Flows held at a time; this decides how much memory is used. Each worker holds its share. At
        /// the limit, half-open connections and flows of one packet leave first, then the flow with a
        /// name that has been quiet longest; packets that find no place are counted as
        /// unknown{reason="table-full"}. Once the limit is reached, what leaves differs with the number
        /// of workers.
        max_flows: NonZeroUsize = "1_048_576",
            "--max-flows N" in "Flows": "Flows held at a time; each worker holds its share. At the limit, half-open connections and flows of one packet leave first, then the flow with a name that has been quiet longest; packets that find no place are counted as unknown{reason=\"table-full\"}. Once the limit is reached, what leaves differs with the number of workers", read;
        /// Idle time that ends a TCP flow.
        tcp_idle: Period = "\"5m\"",
            "--tcp-idle DURATION" in "Flows": "Idle time that ends a TCP flow",
            read "Idle time that ends a TCP flow, in capture time";
        /// Idle time that ends a TCP flow after FIN of both sides or RST.
        tcp_closed: Period = "\"10s\"",
            "--tcp-closed DURATION" in "Flows": "Idle time that ends a TCP flow after FIN of both sides or RST", read;
        /// Idle time that ends any other flow.
        udp_idle: Period = "\"1m\"",
            "--udp-idle DURATION" in "Flows": "Idle time that ends any other flow", read;
        /// Idle time that ends a connection whose handshake is not over, and a flow of one packet.
        half_open_idle: Period = "\"30s\"",
            "--half-open-idle DURATION" in "Flows": "Idle time that ends a connection whose handshake is not over, and a flow of one packet", read;
        /// Bytes of each direction that are inspected.
        opening_bytes: Size = "\"16KiB\"",
            "--opening-bytes SIZE" in "Flows": "Bytes of each direction that are inspected", read;
        /// Packets with a payload that are inspected.
        opening_packets: u16 = "32",
            "--opening-packets N" in "Flows": "Packets with a payload that are inspected", read;
        /// Bytes that all openings under inspection take together. Each worker has its share. When they
        /// come to take more, the flow whose opening began first is named by what it has shown.
        opening_memory: Size = "\"256MiB\"",
            "--opening-memory SIZE" in "Flows": "Bytes that all openings under inspection take together; each worker has its share, so that beyond it output differs with the number of workers",
            read "Bytes that all openings under inspection take together; each worker has its share, so that beyond it output differs with the number of workers. When they come to take more, the flow whose opening began first is named by what it has shown";
        /// Bytes that what is kept of named flows for their records takes together. Each worker has its
        /// share. When it comes to take more, the records of the oldest say less.
        record_memory: Size = "\"1GiB\"",
            "--record-memory SIZE" in "Flows": "Bytes that what is kept of named flows for their records takes together; each worker has its share",
            read "Bytes that the names, texts and fingerprints kept for the records of flows take together; each worker has its share. When they come to take more, the flow that was named first loses its own";
        /// Bytes that what DNS taught takes at most, in each worker: all know the same. The default is for
        /// about 900,000 addresses that clients were told of. At the limit what is oldest is forgotten.
        dns_memory: Size = "\"64MiB\"",
            "--dns-memory SIZE" in "Flows": "Bytes that what DNS taught takes at most, in each worker",
            read "Bytes that what DNS taught takes at most, in each worker: all know the same. At the limit what is oldest is forgotten";
        /// Answers of DNS teach although their questions were not seen, as on a mirror that shows one
        /// direction only.
        dns_unsolicited: bool = "false",
            "--dns-unsolicited" in "Flows": "Learn from DNS answers whose questions were not seen, as on a mirror of one direction", read;
        /// Model of what flows of this site do, made by `ottometer learn --train`: it names flows that show
        /// an encrypted hello and have no other name, as evidence "behaviour". Empty: none.
        behaviour: PathBuf = "\"\"",
            "--behaviour MODEL" in "Flows": "Name flows that show an encrypted hello and have no other name by this model of what flows of the site do, made by `ottometer learn --train`: evidence `behaviour`", read;
        /// What keeps flows with the same endpoints apart: "none", "vlan" (VLAN identifiers) or
        /// "tunnel" (the identifier of the outermost tunnel: VNI, TEID, GRE key).
        scope: Scope = "\"none\"",
            "--scope SCOPE" in "Flows": "Keep flows with the same endpoints apart by this", read;
        /// Tunnels inside one another that are followed.
        tunnel_depth: u8 = "8",
            "--tunnel-depth N" in "Flows": "Tunnels inside one another that are followed", read;
    }

    /// Whose volume is counted, where that is asked for (`subjects` under [records]).
    networks: NetworksTable {
        /// One's own networks. The subject of a flow is its end inside them; of two ends inside or two
        /// outside, the client. The default is what RFC 1918, RFC 6598, RFC 3927, RFC 4193 and RFC 4291
        /// call private, shared and link-local.
        local: Vec<String> = "[\"10.0.0.0/8\", \"172.16.0.0/12\", \"192.168.0.0/16\", \"100.64.0.0/10\", \"169.254.0.0/16\", \"fc00::/7\", \"fe80::/10\"]",
            "--local PREFIX,..." in "Accounts": "One's own networks, in which subjects are. Default: private, shared and link-local addresses (RFC 1918, 6598, 4193, 3927, 4291). Of two ends inside or two outside, the client is the subject",
            read "With --by subject: one's own networks, in which subjects are. Default: private, shared and link-local addresses (RFC 1918, 6598, 4193, 3927, 4291). Of two ends inside or two outside, the client is the subject";
        /// IPv4 addresses with so many first bits in common are one subject.
        ipv4_prefix: u8 = "32",
            "--ipv4-prefix BITS" in "Accounts": "Addresses with so many first bits in common are one subject",
            read "With --by subject: addresses with so many first bits in common are one subject";
        /// IPv6 addresses with so many first bits in common are one subject: 56 or 64, where that is
        /// what a subscriber is given.
        ipv6_prefix: u8 = "128",
            "--ipv6-prefix BITS" in "Accounts": "The same for IPv6", read;
    }

    /// Which rules name the flows.
    signatures: SignaturesTable {
        /// Add the signature files under this folder to the built-in ones. Empty: none.
        dir: PathBuf = "\"\"",
            "--signatures DIR" in "Signatures": "Add the signature files under this folder to the built-in ones";
        /// Use only the files of `dir`, not the built-in ones.
        replace: bool = "false",
            "--signatures-replace" in "Signatures": "Use only the files of --signatures, not the built-in ones";
        /// Load signatures and settings anew when their files change, as SIGHUP does. What is bad is
        /// refused whole, and what was in use stays.
        watch: bool = "false",
            "--watch" in "Signatures": "Load signatures and settings again when a file changes, as SIGHUP does";
    }

    /// Where records go. The ending of a file's name says how they are written, see docs/records.md.
    records: RecordsTable {
        /// Write a record for each flow to this file; "-" is standard output, "csv:-" in CSV. Empty: none.
        flows: PathBuf = "\"\"",
            "--flows FILE" in "Records": "The same as --out flows=FILE", read;
        /// Write a record for each application, service and direction of each interval to this file;
        /// "-" is standard output, "csv:-" in CSV. Empty: none.
        usage: PathBuf = "\"\"",
            "--usage FILE" in "Records": "The same as --out usage=FILE", read;
        /// Further outputs, each "flows=PLACE" or "usage=PLACE". PLACE is a file, or another host:
        /// "ipfix+udp://HOST:PORT", "syslog+tls://HOST:PORT", "json+tcp://HOST:PORT" and the like.
        out: Vec<Out> = "[]",
            "--out KIND=PLACE" in "Records": "Write records: `flows`, one for each flow, or `usage`, one for each application, service and direction of each interval. PLACE is {places} (see docs/records.md). May be given several times. Records that are in a file stay; a capture, or a file that is read, is refused",
            read "Write records: `flows`, one for each flow, or `usage`, one for each application, service and direction of each interval. PLACE is {places} (see docs/records.md). May be given several times. A file that is there is written over, unless it is a capture or what is read";
        /// A flow that goes on has an interim record each time so long has passed since its first frame
        /// or its latest record, with its first packet after that: of what came since, and of all so far.
        /// "0s": flows have one record, when they end.
        active_timeout: Period = "\"30m\"",
            "--active-timeout DURATION" in "Records": "Write an interim record of a flow that goes on each time so long has passed; 0s: only when it ends",
            read "Write an interim record of a flow that goes on each time so long has passed, in capture time; 0s: only when it ends";
        /// Flow records say how long the first 30 packets with a payload were, who sent them and when.
        first_packets: bool = "false",
            "--first-packets" in "Records": "Say in flow records how long the first 30 packets with a payload were, who sent them and when", read;
        /// Write only the records for which this condition holds, in the language of docs/records.md:
        /// "app in [wechat, qq] and bytes > 1000000". Empty: all. Totals are of all the same.
        only: String = "\"\"",
            "--only CONDITION" in "Records": "Write only records for which this condition on their fields holds: 'app in [wechat, qq] and bytes > 1000000'. Totals are of all the same",
            read "Write only records for which this condition on their fields holds, and with --write-pcap only frames of such flows: 'app in [wechat, qq] and bytes > 1000000'. The summary is of all the same";
        /// Length of the intervals of usage records, aligned to the clock (UTC). "1d", "1w" and "1month"
        /// begin at midnight, on Mondays and on the first of the month in `time_zone`.
        interval: Every = "\"60s\"",
            "--interval DURATION" in "Records": "Length of the intervals of --usage, aligned to the clock: 60s, 5m, 1h; 1d, 1w and 1month begin at midnight, on Mondays and on the first of the month",
            read "Length of the intervals of --usage, in capture time and aligned to it: 60s, 5m, 1h; 1d, 1w and 1month begin at midnight, on Mondays and on the first of the month";
        /// Time zone of days, weeks and months, by its name in the IANA database: "Asia/Shanghai".
        time_zone: TimeZone = "\"UTC\"",
            "--time-zone NAME" in "Records": "Time zone of days, weeks and months: Asia/Shanghai", read;
        /// Usage records for each subject too; see [networks].
        subjects: bool = "false",
            "--subjects" in "Records": "Usage records for each subject too: the address inside one's own networks (--local), else the client's";
        /// Accounts (a subject and a name) of an interval. Beyond it the subjects with the least volume
        /// are put together as `other`; the log says how many.
        max_accounts: NonZeroUsize = "131_072",
            "--max-accounts N" in "Accounts": "Accounts (a subject and a name) of an interval; beyond it the subjects with the least volume are put together as `other`",
            read "Accounts (a subject and a name) of an interval; beyond it the subjects with the least volume are put together as `other`. Output differs with the number of workers only if there are more than twice as many";
        /// Rotate a file before it grows beyond this. 0: never.
        rotate_size: Size = "\"256MiB\"",
            "--rotate-size SIZE" in "Records": "Begin a new record file before one grows beyond this; 0: never";
        /// Rotate a file at each multiple of this, aligned to the clock (UTC). "0s": never.
        rotate_every: Period = "\"1h\"",
            "--rotate-every DURATION" in "Records": "Begin a new record file each hour, day, ... of the clock: 1h, 1d; 0s: never";
        /// Rotated files that are kept of each file; the oldest are deleted. 0: all are kept.
        keep: usize = "0",
            "--keep N" in "Records": "Rotated files that are kept; the oldest are deleted. 0: all are kept";
        /// How rotated files are compressed: "none", "gzip" or "zstd".
        compress: Compress = "\"zstd\"",
            "--compress HOW" in "Records": "How rotated files are compressed";
    }

    /// What monitoring asks for: /metrics, /healthz, /readyz.
    metrics: MetricsTable {
        /// Serve metrics on this address; a port alone is on loopback. Beyond loopback a certificate
        /// and a token are demanded. Empty: nothing is served. Left out, the files below are an
        /// error.
        listen: Listen = "\"\"",
            "--listen ADDR:PORT" in "Metrics": "Serve metrics for Prometheus here, at /metrics, and /healthz and /readyz; a port alone is on loopback. Off loopback it needs --tls-cert, --tls-key and --token-file";
        /// PEM file of the server's certificate, followed by those between it and the root. Empty:
        /// plain HTTP.
        tls_certificate: PathBuf = "\"\"",
            "--tls-cert FILE" in "Metrics": "Serve HTTPS (--listen) with this certificate and those between it and the root, in PEM";
        /// PEM file of the certificate's private key.
        tls_key: PathBuf = "\"\"",
            "--tls-key FILE" in "Metrics": "The certificate's private key, in PEM";
        /// File with the token that clients have to show (Authorization: Bearer). Empty: none.
        token_file: PathBuf = "\"\"",
            "--token-file FILE" in "Metrics": "/metrics asks for the bearer token in this file";
        /// Label sets of volume by name that get series of their own; the rest is summed up in one.
        series_limit: NonZeroUsize = "10_000",
            "--series-limit N" in "Metrics": "Label sets of volume by name that get series of their own; further ones count as `other`";
    }

    /// What is given up once the capture is open.
    privilege: PrivilegeTable {
        /// User to go on as: a name, UID or UID:GID. Empty: started as root, `ottometer` if there is
        /// such a user, else `nobody`; any other user stays.
        user: String = "\"\"",
            "--user NAME" in "Privileges": "Started as root: the user to go on as. Default: `ottometer` if there is such a user, else `nobody`";
        /// Filter system calls: those a run does not need end it.
        seccomp: bool = "true",
            "--no-seccomp" in "Privileges": "Do not filter system calls";
    }

    /// What operators are told, on standard error.
    log: LogTable {
        /// "error", "warn", "info", "debug" or "trace". Never a line for a packet.
        level: Level = "\"info\"",
            "--log-level LEVEL" in "Output": "What is written to standard error";
        /// "text", or "json": one object a line.
        format: LogFormat = "\"text\"",
            "--log-format FORMAT" in "Output": "How it is written";
    }
}

impl File {
    /// Reads the `text` of a file; `name` is what problems call it.
    ///
    /// # Errors
    ///
    /// All that is not of the file's form.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut problems: Vec<Problem> = errors
            .iter()
            .map(|error| Problem::at(name, text, error.span().unwrap_or(0..0), error.message()))
            .collect();
        let mut file = Self::default();
        let mut found = Vec::new();
        for (key, value) in table.into_inner() {
            if !file.read(key.get_ref(), value, &mut found) {
                let known: Vec<String> = TABLES
                    .iter()
                    .map(|table| format!("`[{}]`", table.name))
                    .collect();
                let meant = closest(key.get_ref(), TABLES.iter().map(|table| table.name));
                let meant = did_you_mean(meant);
                let message = format!(
                    "unknown table `{}`, expected one of {}{meant}",
                    key.get_ref(),
                    known.join(", ")
                );
                found.push((key.span(), message));
            }
        }
        let found = found.into_iter();
        problems.extend(found.map(|(span, message)| Problem::at(name, text, span, &message)));
        problems.sort_by_key(|problem| problem.place);
        if problems.is_empty() {
            Ok(file)
        } else {
            Err(problems)
        }
    }
}
