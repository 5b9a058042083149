//! The arguments of `ottometer live`: the settings file's keys, and what is only for this run.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::Args;

use crate::cli::by::By;
use crate::cli::read::Format;
use crate::cli::settings::{idle, positive};
use crate::config::{
    self, CaptureTable, Compress, File, FlowsTable, Level, Listen, LogFormat, LogTable,
    MetricsTable, NetworksTable, Out, Period, PrivilegeTable, Problem, RecordsTable, Scope,
    Settings, SignaturesTable, Size, Steer,
};

const EXAMPLES: &str = "\
Examples:
  sudo ottometer live -i eth1 --tui                        look at a mirror port
  sudo ottometer live -i eth1 --listen 127.0.0.1:9469      metrics for Prometheus
  sudo ottometer live -i eth1 -i eth2 --threads 2 --flows /var/log/ottometer/flows.jsonl \\
       --rotate-every 1h --compress zstd --keep 48
  sudo ottometer live -i eth1 --out flows=ipfix+udp://collector --out usage=syslog+tls://logs.example
  sudo ottometer live --config /etc/ottometer.toml
  sudo ottometer live -i eth1 --duration 10m --format json > report.json
  sudo ottometer live -i eth1 --count 100000 --filter 'udp port 443'

Sizes and lengths of time have units: 64MiB, 1GB, 30s, 5m, 1h 30m; a size without one is in bytes.
What is given here goes before what the settings file says; `ottometer config default` prints one
with every key. SIGHUP reads signatures, settings, certificate and token again; SIGTERM and SIGINT
take in what has arrived, write everything out and print the ledger, a second one ends at once.
--duration and --count end a run as the first signal does.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Arguments {
    /// Settings file; see docs/settings.md.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// The interface to capture from; may be given several times. `ottometer interfaces` lists them.
    #[arg(long, short, value_name = "IFACE", help_heading = "Capture")]
    interface: Vec<String>,

    /// Capture threads for each interface. The kernel shares frames among them by address pair. At most 32 over all interfaces.
    #[arg(long, value_name = "N", help_heading = "Capture")]
    threads: Option<NonZeroUsize>,

    /// How frames come to workers.
    #[arg(long, value_name = "HOW", help_heading = "Capture")]
    steer: Option<Steer>,

    /// Worker threads, with --steer inner.
    #[arg(long, short, value_name = "N", help_heading = "Capture")]
    workers: Option<NonZeroUsize>,

    /// Take in only frames for this host.
    #[arg(long, help_heading = "Capture")]
    no_promiscuous: bool,

    /// Bytes of each frame that are taken in.
    #[arg(long, value_name = "SIZE", help_heading = "Capture")]
    snap_length: Option<Size>,

    /// Size of the ring the kernel fills, for each capture thread: 64MiB, 1GiB.
    #[arg(long, value_name = "SIZE", help_heading = "Capture")]
    ring_size: Option<Size>,

    /// Take in only the frames this BPF filter passes (pcap-filter(7)); the others are not counted anywhere.
    #[arg(long, value_name = "EXPRESSION", help_heading = "Capture")]
    filter: Option<String>,

    /// End after so long, as control-C would: 10m, 1h 30m.
    #[arg(long, value_name = "DURATION", value_parser = idle, help_heading = "Capture")]
    pub(super) duration: Option<Period>,

    /// End after so many frames, over all interfaces, as control-C would. What comes after them is not counted.
    #[arg(long, value_name = "N", help_heading = "Capture")]
    pub(super) count: Option<NonZeroU64>,

    /// Leave out second copies of frames, as a mirror of several ports gives: the same IP packet but for TTL and checksum. They are counted as `duplicate`.
    #[arg(long, help_heading = "Capture")]
    deduplicate: bool,

    /// How long after a frame the same bytes are its copy.
    #[arg(long, value_name = "DURATION", help_heading = "Capture")]
    duplicate_window: Option<Period>,

    /// Write records: `flows`, one for each flow, or `usage`, one for each application, service and direction of each interval. PLACE is a file, `-` for standard output: JSON Lines if its name ends with .jsonl (or has no ending), CSV with .csv, IPFIX with .ipfix, Parquet with .parquet; or another host, as ipfix+udp://HOST:PORT, syslog+tls://HOST:PORT, json+tcp://HOST:PORT (see docs/records.md). May be given several times. Records that are in a file stay; a capture, or a file that is read, is refused.
    #[arg(long, value_name = "KIND=PLACE", help_heading = "Records")]
    out: Vec<Out>,

    /// The same as --out flows=FILE.
    #[arg(long, value_name = "FILE", help_heading = "Records")]
    pub(super) flows: Option<PathBuf>,

    /// The same as --out usage=FILE.
    #[arg(long, value_name = "FILE", help_heading = "Records")]
    pub(super) usage: Option<PathBuf>,

    /// Write only records for which this condition on their fields holds: 'app in [wechat, qq] and bytes > 1000000'. Totals are of all the same.
    #[arg(long, value_name = "CONDITION", help_heading = "Records")]
    only: Option<String>,

    /// Length of the intervals of usage records, aligned to the clock.
    #[arg(long, value_name = "DURATION", help_heading = "Records")]
    interval: Option<Period>,

    /// Usage records for each subject too: the address inside one's own networks (--local), else the client's.
    #[arg(long, help_heading = "Records")]
    subjects: bool,

    /// One's own networks, in which subjects are. Default: private, shared and link-local addresses (RFC 1918, 6598, 4193, 3927, 4291). Of two ends inside or two outside, the client is the subject.
    #[arg(
        long,
        value_name = "PREFIX",
        value_delimiter = ',',
        help_heading = "Accounts"
    )]
    local: Vec<String>,

    /// Addresses with so many first bits in common are one subject.
    #[arg(long, value_name = "BITS", help_heading = "Accounts")]
    ipv4_prefix: Option<u8>,

    /// The same for IPv6.
    #[arg(long, value_name = "BITS", help_heading = "Accounts")]
    ipv6_prefix: Option<u8>,

    /// Accounts (a subject and a name) of an interval; beyond it the subjects with the least volume are put together as `other`.
    #[arg(long, value_name = "N", help_heading = "Accounts")]
    max_accounts: Option<NonZeroUsize>,

    /// Begin a new record file before one grows beyond this; 0: never.
    #[arg(long, value_name = "SIZE", help_heading = "Records")]
    rotate_size: Option<Size>,

    /// Begin a new record file each hour, day, ... of the clock: 1h, 1d; 0s: never.
    #[arg(long, value_name = "DURATION", help_heading = "Records")]
    rotate_every: Option<Period>,

    /// Rotated files that are kept; the oldest are deleted. 0: all are kept.
    #[arg(long, value_name = "N", help_heading = "Records")]
    keep: Option<usize>,

    /// How rotated files are compressed.
    #[arg(long, value_name = "HOW", help_heading = "Records")]
    compress: Option<Compress>,

    /// Serve metrics for Prometheus here, at /metrics, and /healthz and /readyz; a port alone is on loopback. Off loopback it needs --tls-cert, --tls-key and --token-file.
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Metrics")]
    pub(super) listen: Option<Listen>,

    /// Serve HTTPS (--listen) with this certificate and those between it and the root, in PEM.
    #[arg(long, value_name = "FILE", help_heading = "Metrics")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", help_heading = "Metrics")]
    tls_key: Option<PathBuf>,

    /// /metrics asks for the bearer token in this file.
    #[arg(long, value_name = "FILE", help_heading = "Metrics")]
    token_file: Option<PathBuf>,

    /// Label sets of volume by name that get series of their own; further ones count as `other`.
    #[arg(long, value_name = "N", help_heading = "Metrics")]
    series_limit: Option<NonZeroUsize>,

    /// Show the terminal view.
    #[arg(long, help_heading = "Output")]
    pub(super) tui: bool,

    /// How the summary at the end is written.
    #[arg(long, default_value = "table", help_heading = "Output")]
    pub(super) format: Format,

    /// What rows of the summary are of: one of these, or several together (subject,app). With `subject`, `network` or `client` the records of --usage have a subject too.
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "app",
        value_delimiter = ',',
        help_heading = "Output"
    )]
    pub(super) by: Vec<By>,

    /// Show only the N largest rows, and the sum of the others.
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Output")]
    pub(super) top: Option<usize>,

    /// No line a minute, no summary (but JSON, if asked for); warnings and errors stay.
    #[arg(long, short, help_heading = "Output")]
    pub(super) quiet: bool,

    /// What is written to standard error.
    #[arg(long, value_name = "LEVEL", help_heading = "Output")]
    log_level: Option<Level>,

    /// How it is written.
    #[arg(long, value_name = "FORMAT", help_heading = "Output")]
    log_format: Option<LogFormat>,

    /// Add the signature files under this folder to the built-in ones.
    #[arg(long, value_name = "DIR", help_heading = "Signatures")]
    signatures: Option<PathBuf>,

    /// Use only the files of --signatures, not the built-in ones.
    #[arg(long, help_heading = "Signatures")]
    signatures_replace: bool,

    /// Load signatures and settings again when a file changes, as SIGHUP does.
    #[arg(long, help_heading = "Signatures")]
    watch: bool,

    /// Flows held at a time; each worker holds its share. At the limit, half-open connections and flows of one packet leave first, then the flow with a name that has been quiet longest; packets that find no place are counted as unknown{reason="table-full"}. Once the limit is reached, what leaves differs with the number of workers.
    #[arg(long, value_name = "N", help_heading = "Flows")]
    max_flows: Option<NonZeroUsize>,

    /// Idle time that ends a TCP flow.
    #[arg(long, value_name = "DURATION", help_heading = "Flows")]
    tcp_idle: Option<Period>,

    /// Idle time that ends a TCP flow after FIN of both sides or RST.
    #[arg(long, value_name = "DURATION", help_heading = "Flows")]
    tcp_closed: Option<Period>,

    /// Idle time that ends any other flow.
    #[arg(long, value_name = "DURATION", help_heading = "Flows")]
    udp_idle: Option<Period>,

    /// Idle time that ends a connection whose handshake is not over, and a flow of one packet.
    #[arg(long, value_name = "DURATION", help_heading = "Flows")]
    half_open_idle: Option<Period>,

    /// Bytes of each direction that are inspected.
    #[arg(long, value_name = "SIZE", help_heading = "Flows")]
    opening_bytes: Option<Size>,

    /// Packets with a payload that are inspected.
    #[arg(long, value_name = "N", help_heading = "Flows")]
    opening_packets: Option<u16>,

    /// Bytes that all openings under inspection take together; each worker has its share, so that beyond it output differs with the number of workers.
    #[arg(long, value_name = "SIZE", help_heading = "Flows")]
    opening_memory: Option<Size>,

    /// Bytes that what is kept of named flows for their records takes together; each worker has its share.
    #[arg(long, value_name = "SIZE", help_heading = "Flows")]
    record_memory: Option<Size>,

    /// Bytes that what DNS taught takes at most, in each worker.
    #[arg(long, value_name = "SIZE", help_heading = "Flows")]
    dns_memory: Option<Size>,

    /// Learn from DNS answers whose questions were not seen, as on a mirror of one direction.
    #[arg(long, help_heading = "Flows")]
    dns_unsolicited: bool,

    /// Keep flows with the same endpoints apart by this.
    #[arg(long, value_name = "SCOPE", help_heading = "Flows")]
    scope: Option<Scope>,

    /// Tunnels inside one another that are followed.
    #[arg(long, value_name = "N", help_heading = "Flows")]
    tunnel_depth: Option<u8>,

    /// Started as root: the user to go on as. Default: `ottometer` if there is such a user, else `nobody`.
    #[arg(long, value_name = "NAME", help_heading = "Privileges")]
    user: Option<String>,

    /// Do not filter system calls.
    #[arg(long, help_heading = "Privileges")]
    no_seccomp: bool,
}

impl Arguments {
    /// The settings of the file, if there is one, with these arguments on top.
    pub(super) fn settings(&self) -> Result<Settings, Vec<Problem>> {
        config::load(self.config.as_deref(), self.file())
    }

    /// Reads the settings again, each time it is called.
    pub(super) fn again(&self) -> impl Fn() -> Result<Settings, String> + Send + use<> {
        let (path, given) = (self.config.clone(), self.file());
        move || {
            config::load(path.as_deref(), given.clone()).map_err(|problems| {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                lines.join("\n")
            })
        }
    }

    /// What the arguments say, as a settings file would.
    fn file(&self) -> File {
        let given = |flag: bool, value: bool| flag.then_some(value);
        File {
            capture: CaptureTable {
                interfaces: (!self.interface.is_empty()).then(|| self.interface.clone()),
                threads: self.threads,
                workers: self.workers,
                steer: self.steer,
                promiscuous: given(self.no_promiscuous, false),
                snap_length: self.snap_length,
                ring_size: self.ring_size,
                filter: self.filter.clone(),
                deduplicate: given(self.deduplicate, true),
                duplicate_window: self.duplicate_window,
            },
            flows: FlowsTable {
                max_flows: self.max_flows,
                tcp_idle: self.tcp_idle,
                tcp_closed: self.tcp_closed,
                udp_idle: self.udp_idle,
                half_open_idle: self.half_open_idle,
                opening_bytes: self.opening_bytes,
                opening_packets: self.opening_packets,
                opening_memory: self.opening_memory,
                record_memory: self.record_memory,
                dns_memory: self.dns_memory,
                dns_unsolicited: given(self.dns_unsolicited, true),
                scope: self.scope,
                tunnel_depth: self.tunnel_depth,
            },
            networks: NetworksTable {
                local: (!self.local.is_empty()).then(|| self.local.clone()),
                ipv4_prefix: self.ipv4_prefix,
                ipv6_prefix: self.ipv6_prefix,
            },
            signatures: SignaturesTable {
                dir: self.signatures.clone(),
                replace: given(self.signatures_replace, true),
                watch: given(self.watch, true),
            },
            records: RecordsTable {
                flows: self.flows.clone(),
                usage: self.usage.clone(),
                out: (!self.out.is_empty()).then(|| self.out.clone()),
                only: self.only.clone(),
                interval: self.interval,
                subjects: given(self.subjects, true),
                max_accounts: self.max_accounts,
                rotate_size: self.rotate_size,
                rotate_every: self.rotate_every,
                keep: self.keep,
                compress: self.compress,
            },
            metrics: MetricsTable {
                listen: self.listen,
                tls_certificate: self.tls_cert.clone(),
                tls_key: self.tls_key.clone(),
                token_file: self.token_file.clone(),
                series_limit: self.series_limit,
            },
            privilege: PrivilegeTable {
                user: self.user.clone(),
                seccomp: given(self.no_seccomp, false),
            },
            log: LogTable {
                level: self.log_level,
                format: self.log_format,
            },
        }
    }
}
