//! `ottometer live -i IFACE`

mod attend;
mod log;

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};

use self::attend::Attendant;
use self::log::{Level, LogFormat};
use super::settings::{Flows, Signatures, positive};
use crate::capture::live::{Error, Fanout, Interface, Options, Source};
use crate::export::csv::Csv;
use crate::export::json::Json;
use crate::export::rotate::{self, Compression, Rotating};
use crate::export::snapshot::Snapshot;
use crate::export::{Exporter, Intervals, summary};
use crate::pipeline;
use crate::pipeline::live::{self, Control, Steering};
use crate::pipeline::memory::Memory;
use crate::privilege;
use crate::serve::{self, Server};
use crate::time::Timestamp;
use crate::tui::View;
use crate::usage;

const EXAMPLES: &str = "\
Examples:
  sudo ottometer live -i eth1 --tui                        look at a mirror port
  sudo ottometer live -i eth1 --listen 127.0.0.1:9469      metrics for Prometheus
  sudo ottometer live -i eth1 -i eth2 --threads 2 --flows /var/log/ottometer/flows.jsonl \\
       --rotate-every 1h --compress zstd --keep 48
  sudo ottometer live -i eth1 --usage usage.csv --interval 5m

Signals: SIGHUP reads the signatures, the certificate and the token again; SIGTERM and SIGINT take
in what has arrived, write everything out and print the ledger.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The interface to capture from; may be given several times. `ottometer interfaces` lists them.
    #[arg(
        long,
        short,
        required = true,
        value_name = "IFACE",
        help_heading = "Capture"
    )]
    interface: Vec<String>,

    /// Capture threads for each interface. The kernel shares frames among them by address pair.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Capture")]
    threads: u16,

    /// How frames come to workers.
    #[arg(
        long,
        default_value = "kernel",
        value_name = "HOW",
        help_heading = "Capture"
    )]
    steer: Steer,

    /// Worker threads, with --steer inner.
    #[arg(long, short, value_name = "N", default_value = "2", value_parser = positive, help_heading = "Capture")]
    workers: usize,

    /// Take in only frames for this host.
    #[arg(long, help_heading = "Capture")]
    no_promiscuous: bool,

    /// Bytes of each frame that are taken in.
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().snap_len, value_parser = clap::value_parser!(u32).range(64..=262_144), help_heading = "Capture")]
    snap_length: u32,

    /// Size of the ring the kernel fills, for each capture thread: 64MiB, 1GiB.
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size, help_heading = "Capture")]
    ring_size: u64,

    /// Take in only the frames this BPF filter passes (pcap-filter(7)); the others are not counted anywhere.
    #[arg(long, value_name = "EXPRESSION", help_heading = "Capture")]
    filter: Option<String>,

    /// Write a record for each flow to this file: JSON Lines, or CSV if the name ends with .csv.
    #[arg(long, value_name = "FILE", help_heading = "Records")]
    flows: Option<PathBuf>,

    /// Write a usage record for each application, service and direction of each interval to this file.
    #[arg(long, value_name = "FILE", help_heading = "Records")]
    usage: Option<PathBuf>,

    /// Length of the intervals of --usage, aligned to the clock.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = whole_seconds, help_heading = "Records")]
    interval: Duration,

    /// Begin a new record file when one would grow beyond this.
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = "Records")]
    rotate_size: Option<u64>,

    /// Begin a new record file each hour, day, ... of the clock: 1h, 1d.
    #[arg(long, value_name = "DURATION", value_parser = whole_seconds, help_heading = "Records")]
    rotate_every: Option<Duration>,

    /// Rotated files that are kept; the oldest are deleted.
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Records")]
    keep: Option<usize>,

    /// Compress rotated files.
    #[arg(
        long,
        default_value = "none",
        value_name = "HOW",
        help_heading = "Records"
    )]
    compress: Compress,

    /// Serve metrics for Prometheus here, at /metrics, and /healthz and /readyz. Off loopback it needs --tls-cert, --tls-key and --token-file.
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Metrics")]
    listen: Option<SocketAddr>,

    /// Serve HTTPS with this certificate and those between it and the root, in PEM.
    #[arg(long, value_name = "FILE", requires_all = ["listen", "tls_key"], help_heading = "Metrics")]
    tls_cert: Option<PathBuf>,

    /// The certificate's private key, in PEM.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        help_heading = "Metrics"
    )]
    tls_key: Option<PathBuf>,

    /// /metrics asks for the bearer token in this file.
    #[arg(
        long,
        value_name = "FILE",
        requires = "listen",
        help_heading = "Metrics"
    )]
    token_file: Option<PathBuf>,

    /// Label sets of volume by name that get series of their own; further ones count as `other`.
    #[arg(long, value_name = "N", default_value_t = crate::export::prometheus::DEFAULT_SERIES_LIMIT, value_parser = positive, help_heading = "Metrics")]
    series_limit: usize,

    /// Show the terminal view.
    #[arg(long, help_heading = "Output")]
    tui: bool,

    /// How the summary at the end is written.
    #[arg(long, default_value = "table", help_heading = "Output")]
    format: super::read::Format,

    /// What a row of the summary is.
    #[arg(long, default_value = "app", help_heading = "Output")]
    by: By,

    /// Show only the N largest rows, and the sum of the others.
    #[arg(long, value_name = "N", value_parser = positive, help_heading = "Output")]
    top: Option<usize>,

    /// No line a minute, no summary; warnings and errors stay.
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,

    /// What is written to standard error.
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        help_heading = "Output"
    )]
    log_level: Level,

    /// How it is written.
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Output"
    )]
    log_format: LogFormat,

    #[command(flatten, next_help_heading = "Signatures")]
    signatures: Signatures,

    /// Load signatures again when a file changes.
    #[arg(long, help_heading = "Signatures")]
    watch: bool,

    #[command(flatten, next_help_heading = "Flows")]
    flow_table: Flows,

    /// Started as root: the user to go on as. Default: `ottometer` if there is such a user, else `nobody`.
    #[arg(long, value_name = "NAME", help_heading = "Privileges")]
    user: Option<String>,

    /// Do not filter system calls.
    #[arg(long, help_heading = "Privileges")]
    no_seccomp: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Steer {
    /// Each capture thread works on what the kernel gives it, by the outermost addresses.
    Kernel,
    /// Capture threads hand frames to workers by the innermost addresses: where most of the traffic is in a few tunnels.
    Inner,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Compress {
    None,
    Gzip,
    Zstd,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    /// Application.
    App,
    /// Service inside an application.
    Service,
    /// Category of applications.
    Category,
    /// Protocol.
    Protocol,
}

pub(super) fn run(arguments: &Arguments, words: &[OsString]) -> anyhow::Result<ExitCode> {
    if arguments.flows.is_some() && arguments.flows == arguments.usage {
        eprintln!("error: --flows and --usage cannot be the same file");
        return Ok(ExitCode::from(2));
    }
    if arguments.tui {
        View::check_terminal()?;
    }
    log::start(arguments.log_level, arguments.log_format, arguments.tui);
    let server = arguments.server();
    if let Some(server) = &server {
        server.check()?;
    }
    let loader = arguments.signatures.loader();
    let set = arguments.signatures.load()?;
    let config = arguments.config();
    let control = Arc::new(Control::new(set));
    let started = control.latest().load().started;

    // From here on in the order that `privilege` asks for.
    let sources = arguments.open(words, started)?;
    let granted = privilege::drop(&arguments.privileges(&loader))?;
    tracing::info!("{granted}");
    let mut exporters = arguments.exporters(started)?;
    let server = server
        .map(|server| Server::start(server, control.latest()))
        .transpose()?;
    if let Some(server) = &server {
        tracing::info!(address = %server.address(), "metrics are served");
    }
    tracing::info!(
        "{}",
        Memory::of_live(&config, &control.set(), sources.len(), arguments.ring_size)
    );
    let attendant = Attendant::new(Arc::clone(&control), loader, server, arguments)?;
    tracing::info!(interfaces = arguments.interface.join(","), "capturing");
    let (snapshot, attended) = std::thread::scope(|scope| {
        let run = {
            let control = Arc::clone(&control);
            let (config, exporters) = (&config, &mut exporters);
            scope.spawn(move || {
                let done = live::run(sources, &control, config, exporters);
                // Also when nobody asked for it, as when all interfaces are gone for good.
                control.stop();
                done
            })
        };
        let attended = attendant.attend();
        control.stop();
        let snapshot = match run.join() {
            Ok(snapshot) => snapshot,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        (snapshot, attended)
    });
    attended?;
    arguments.print(&snapshot)?;
    anyhow::ensure!(
        snapshot.ledger.closes(),
        "the ledger does not close: {}",
        snapshot.ledger
    );
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn config(&self) -> live::Config {
        live::Config {
            run: pipeline::Config {
                workers: match self.steer {
                    Steer::Kernel => self.interface.len() * usize::from(self.threads),
                    Steer::Inner => self.workers,
                },
                decode: self.flow_table.decode(),
                flow: self.flow_table.flow(),
                usage: usage::Config {
                    interval: self.usage.is_some().then_some(self.interval),
                    clients: false,
                },
                records: self.flows.is_some(),
                steps: false,
                stats: true,
            },
            steering: match self.steer {
                Steer::Kernel => Steering::Kernel,
                Steer::Inner => Steering::Inner,
            },
            follow: self.tui,
            ..live::Config::default()
        }
    }

    /// Opens each interface as often as it has threads.
    fn open(&self, words: &[OsString], now: Timestamp) -> anyhow::Result<Vec<Box<dyn Source>>> {
        privilege::check_capture(words)?;
        let ring_bytes = u32::try_from(self.ring_size)
            .ok()
            .filter(|&bytes| bytes <= i32::MAX.unsigned_abs())
            .context("--ring-size: at most 2047MiB")?;
        let mut sources: Vec<Box<dyn Source>> = Vec::new();
        for (number, interface) in (0u16..).zip(&self.interface) {
            // Groups are known in the whole network namespace: other runs have other numbers.
            let process = u16::try_from(std::process::id() % 0x1000).unwrap_or_default();
            let fanout = (self.threads > 1).then_some(Fanout {
                group: (process << 4) | (number & 0xf),
                members: self.threads,
            });
            for _ in 0..self.threads {
                let options = Options {
                    interface: interface.clone(),
                    promiscuous: !self.no_promiscuous,
                    snap_len: self.snap_length,
                    ring_bytes,
                    filter: self.filter.clone(),
                    fanout,
                };
                match Interface::open(&options, now) {
                    Ok(source) => sources.push(Box::new(source)),
                    Err(Error::PermissionDenied { .. }) => {
                        bail!(privilege::Denied::new(words));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(sources)
    }

    fn privileges(&self, loader: &crate::signature::Loader) -> privilege::Options {
        let folder = |path: &PathBuf| path.parent().unwrap_or(Path::new("")).to_owned();
        let records = [&self.flows, &self.usage];
        let read = [&loader.dir, &self.tls_cert, &self.tls_key, &self.token_file];
        privilege::Options {
            user: self.user.clone(),
            seccomp: !self.no_seccomp,
            writes: records.into_iter().flatten().map(folder).collect(),
            reads: read.into_iter().flatten().cloned().collect(),
        }
    }

    fn server(&self) -> Option<serve::Config> {
        let mut config = serve::Config::new(self.listen?);
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            config.tls = Some(serve::Tls {
                certificate: certificate.clone(),
                key: key.clone(),
            });
        }
        config.token.clone_from(&self.token_file);
        config.series_limit = self.series_limit;
        Some(config)
    }

    fn exporters(&self, started: Timestamp) -> anyhow::Result<Vec<Box<dyn Exporter>>> {
        let intervals = Intervals {
            length: self.interval,
            run: Some(started),
        };
        let mut exporters: Vec<Box<dyn Exporter>> = Vec::new();
        if let Some(path) = &self.flows {
            let file = self.rotating(path, started)?;
            exporters.push(if super::read::is_csv(path) {
                Box::new(Csv::flows(file))
            } else {
                Box::new(Json::flows(file))
            });
        }
        if let Some(path) = &self.usage {
            let file = self.rotating(path, started)?;
            exporters.push(if super::read::is_csv(path) {
                Box::new(Csv::usage(file, intervals))
            } else {
                Box::new(Json::usage(file, intervals))
            });
        }
        Ok(exporters)
    }

    fn rotating(&self, path: &Path, started: Timestamp) -> anyhow::Result<Rotating> {
        let options = rotate::Options {
            max_bytes: self.rotate_size,
            max_age: self.rotate_every,
            keep: self.keep,
            compress: match self.compress {
                Compress::None => Compression::None,
                Compress::Gzip => Compression::Gzip,
                Compress::Zstd => Compression::Zstd,
            },
        };
        let mut file = Rotating::open(path, options, started)?;
        for note in file.notes() {
            tracing::warn!("{note}");
        }
        Ok(file)
    }

    fn print(&self, snapshot: &Snapshot) -> anyhow::Result<()> {
        if self.quiet && !matches!(self.format, super::read::Format::Json) {
            return Ok(());
        }
        let by = match self.by {
            By::App => summary::By::App,
            By::Service => summary::By::Service,
            By::Category => summary::By::Category,
            By::Protocol => summary::By::Protocol,
        };
        let mut out = io::stdout().lock();
        summary::write_live(&mut out, snapshot, by, self.top, self.format.into())?;
        out.flush()?;
        Ok(())
    }
}

/// Bytes: `64MiB`, `1GiB`, `500kB`, `4096`.
fn size(text: &str) -> Result<u64, String> {
    let (digits, unit) = text.split_at(
        text.find(|c: char| !c.is_ascii_digit() && c != '_')
            .unwrap_or(text.len()),
    );
    let unit: u64 = match unit.trim() {
        "" | "B" => 1,
        "k" | "kB" | "KB" => 1000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => return Err(format!("unknown unit '{other}': kB, MB, GB, KiB, MiB, GiB")),
    };
    let number: u64 = digits
        .replace('_', "")
        .parse()
        .map_err(|_| "expected a size like 64MiB".to_owned())?;
    match number.checked_mul(unit) {
        None | Some(0) => Err("out of range".to_owned()),
        Some(bytes) => Ok(bytes),
    }
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(length) if length < Duration::from_secs(1) || length.subsec_nanos() != 0 => {
            Err("must be whole seconds, at least 1s".to_owned())
        }
        Ok(length) => Ok(length),
        Err(error) => Err(error.to_string()),
    }
}

/// What `findings` say, a line each.
fn lines(findings: &[crate::signature::Diagnostic]) -> anyhow::Error {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    anyhow!("{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("4096", Ok(4096)),
            ("64MiB", Ok(64 << 20)),
            ("1 GB", Ok(1_000_000_000)),
            ("1_000kB", Ok(1_000_000)),
            ("0", Err("out of range")),
            ("99999999999GiB", Err("out of range")),
            ("MiB", Err("expected a size like 64MiB")),
        ] {
            assert_eq!(size(text), bytes.map_err(str::to_owned), "{text}");
        }
        assert!(size("5 parsecs").is_err());
    }
}
