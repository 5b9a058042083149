//! What a live run goes by: [`Settings`], checked and with defaults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::out::Out;
use super::value::{Level, LogFormat, Steer};
use crate::capture::live::{self, Place};
use crate::classify::names::Learning;
use crate::pipeline::Duplicates;
use crate::record::{self, Only};
use crate::sink::file::Options as Rotation;
use crate::time::IntervalLength;
use crate::usage::Subjects;
use crate::{decode, flow};

/// Settings of a live run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where frames come from.
    pub capture: Capture,
    /// For all flow tables together.
    pub flow: flow::Config,
    /// What flows teach about others.
    pub learning: Learning,
    /// The model that names flows by what they do.
    pub behaviour: Option<PathBuf>,
    /// For each worker's decoder.
    pub decode: decode::Config,
    /// How subjects are found.
    pub subjects: Subjects,
    /// Which rules name the flows.
    pub signatures: Signatures,
    /// Where records go.
    pub records: Records,
    /// What is served, if anything.
    pub metrics: Option<Metrics>,
    /// What is given up.
    pub privilege: Privilege,
    /// What operators are told.
    pub log: Log,
}

/// Where frames come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Interfaces, or what else a [`Place`] is said by, each once; none when nobody named one.
    pub interfaces: Vec<String>,
    /// Capture threads for each interface.
    pub threads: usize,
    /// Workers with [`Steer::Inner`].
    pub workers: usize,
    /// How frames are shared.
    pub steer: Steer,
    /// What is done about second copies of frames.
    pub duplicates: Duplicates,
    /// Volume is counted for each interface.
    pub by_interface: bool,
    /// How each interface is opened; its name and its group are left to the run.
    pub options: live::Options,
}

/// Which rules name the flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signatures {
    /// The folder of one's own.
    pub dir: Option<PathBuf>,
    /// Without the built-in ones.
    pub replace: bool,
    /// Load anew when files change.
    pub watch: bool,
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    /// All outputs.
    pub outs: Vec<Out>,
    /// Which records are written.
    pub only: Option<Arc<Only>>,
    /// After how long a flow that goes on has a record; without, only when it ends.
    pub active_timeout: Option<Duration>,
    /// Flow records tell of the first packets.
    pub first_packets: bool,
    /// Length of an interval of usage.
    pub interval: IntervalLength,
    /// Usage records for each subject.
    pub subjects: bool,
    /// Accounts of an interval.
    pub max_accounts: usize,
    /// When files are rotated, and what becomes of them.
    pub rotation: Rotation,
}

/// What is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// The address.
    pub listen: SocketAddr,
    /// The certificate.
    pub tls: Option<Tls>,
    /// The file with the token.
    pub token_file: Option<PathBuf>,
    /// Label sets with series of their own.
    pub series_limit: usize,
}

/// PEM files of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate, followed by those between it and the root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What is given up once the capture is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Privilege {
    /// The user to go on as.
    pub user: Option<String>,
    /// Filter system calls.
    pub seccomp: bool,
}

/// What operators are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// How much.
    pub level: Level,
    /// How it is written.
    pub format: LogFormat,
}

impl Capture {
    /// What the interfaces are.
    pub fn places(&self) -> Vec<Place> {
        // They were looked at when the settings were checked.
        let places = self.interfaces.iter().map(|said| Place::parse(said));
        places.filter_map(Result::ok).collect()
    }
}

impl Records {
    /// Whether something asks for records of this kind.
    pub fn are_asked(&self, records: record::Records) -> bool {
        self.outs.iter().any(|out| out.records == records)
    }
}
