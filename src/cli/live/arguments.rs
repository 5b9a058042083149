//! The arguments of `ottometer live`: the settings file's keys, and what is only for this run.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Args;

use crate::cli::by::By;
use crate::cli::read::Format;
use crate::cli::settings::{idle, positive};
use crate::config::{self, File, Period, Problem, Settings};

const EXAMPLES: &str = "\
Examples:
  sudo ottometer live -i eth1 --tui                        look at a mirror port
  sudo ottometer live -i eth1 --listen 127.0.0.1:9469      metrics for Prometheus
  sudo ottometer live -i eth1 -i eth2 --threads 2 --flows /var/log/ottometer/flows.jsonl \\
       --rotate-every 1h --compress zstd --keep 48
  sudo ottometer live -i eth1 --out flows=ipfix+udp://collector --out usage=syslog+tls://logs.example
  ottometer live -i vxlan://0.0.0.0:4789 --listen 9469     frames that a mirror in a cloud sends
  ottometer live -i pcap://sensor.example:57012 --tui      a capture that another host sends
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

    /// The keys of the settings file.
    #[command(flatten)]
    pub(super) given: File,

    /// End after so long, as control-C would: 10m, 1h 30m.
    #[arg(long, value_name = "DURATION", value_parser = idle, help_heading = "Capture")]
    pub(super) duration: Option<Period>,

    /// End after so many frames, over all interfaces, as control-C would. What comes after them is not counted.
    #[arg(long, value_name = "N", help_heading = "Capture")]
    pub(super) count: Option<NonZeroU64>,

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
}

impl Arguments {
    /// The settings of the file, if there is one, with these arguments on top.
    pub(super) fn settings(&self) -> Result<Settings, Vec<Problem>> {
        config::load(self.config.as_deref(), self.given.clone())
    }

    /// Reads the settings again, each time it is called.
    pub(super) fn again(&self) -> impl Fn() -> Result<Settings, String> + Send + use<> {
        let (path, given) = (self.config.clone(), self.given.clone());
        move || {
            config::load(path.as_deref(), given.clone()).map_err(|problems| {
                let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
                lines.join("\n")
            })
        }
    }
}
