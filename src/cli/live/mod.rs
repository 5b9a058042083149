//! `ottometer live -i IFACE`

mod arguments;
mod attend;
mod log;
pub(super) mod reload;
mod rules;
mod signals;
mod summaries;

pub(super) use arguments::Arguments;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};

use self::attend::Attendant;
use self::reload::Reload;
use self::rules::{loader, warn_of};
use self::signals::{Ends, Listener};
use self::summaries::Summaries;
use super::by;
use super::outputs::Files;
use super::read::Format;
use super::records::{exporter, is_dash};
use super::select::check_names;
use super::settings::{load_behaviour, load_first, strange_to, unknown_links};
use crate::capture::Interfaces;
use crate::capture::live::{
    Budget, CaptureStream, Datagrams, Error, Fanout, Interface, Limited, Options, Place, Source,
};
use crate::classify::explain::Keep;
use crate::config::{Metrics, Settings, Steer};
use crate::pipeline::live::{self, Control, Steering};
use crate::pipeline::memory::Memory;
use crate::pipeline::{self, Output};
use crate::privilege;
use crate::record::{Intervals, Records};
use crate::serve::{self, Server};
use crate::sink::{Opened, Opening, Prepared};
use crate::time::Timestamp;
use crate::tui::View;
use crate::usage;
use crate::view::summary;

pub(super) fn run(arguments: &Arguments, words: &[OsString]) -> anyhow::Result<ExitCode> {
    // The first of all: a reload or an end may be asked for while the run still starts.
    let signals = Listener::new().context("cannot listen for signals")?;
    let settings = match arguments.settings() {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in problems {
                eprintln!("error: {problem}");
            }
            return Ok(ExitCode::from(2));
        }
    };
    let by = match by::checked(&arguments.by) {
        Ok(by) => by,
        Err(reason) => {
            eprintln!("error: {reason}");
            return Ok(ExitCode::from(2));
        }
    };
    if settings.capture.interfaces.is_empty() {
        eprintln!("error: no interface: give -i IFACE (`ottometer interfaces` lists them)");
        return Ok(ExitCode::from(2));
    }
    if let Err(refusal) = files(&settings, arguments.config.as_ref()).check() {
        eprintln!("error: {refusal}");
        return Ok(ExitCode::from(2));
    }
    if arguments.tui {
        View::check_terminal()?;
    }
    let log = log::start(&settings.log, arguments.tui);
    let server = settings.metrics.as_ref().map(server);
    if let Some(server) = &server {
        server.check()?;
    }
    let loader = loader(&settings);
    let set = load_first(&loader)?;
    warn_of(&loader);
    if let Some(only) = &settings.records.only {
        check_names(only, &set)?;
    }
    let mut config = config(&settings, arguments.tui, &by);
    config.run.behaviour = load_behaviour(settings.behaviour.as_deref(), &set)?;
    if let Some(warning) = config.run.behaviour.as_ref().and_then(strange_to) {
        tracing::warn!("{warning}");
    }
    let control = Arc::new(Control::new(set, settings.flow.clone()));
    let started = control.latest().load().started;

    // From here on in the order that `privilege` asks for.
    let mut sources = open(&settings, words, started)?;
    let ends = Ends {
        after: arguments.duration.map(|length| length.0),
        frames: arguments.count.map(|count| Budget::new(count.get())),
    };
    if let Some(budget) = &ends.frames {
        let limited = |source| Box::new(Limited::new(source, budget.clone())) as Box<dyn Source>;
        sources = sources.into_iter().map(limited).collect();
    }
    let prepared = prepare(&settings)?;
    let server = server.map(Server::prepare).transpose()?;
    let granted = privilege::drop(&privileges(&settings, arguments.config.as_ref()))?;
    tracing::info!("{granted}");
    let (outputs, to_stdout) = outputs(&settings, prepared, started, &config.run.interfaces)?;
    let server = server
        .map(|server| server.start(control.latest()))
        .transpose()?;
    if let Some(server) = &server {
        tracing::info!(address = %server.address(), "metrics are served");
    }
    let ring = u64::from(settings.capture.options.ring_bytes);
    let mut memory = Memory::of_live(&config, &control.set(), sources.len(), ring);
    let sockets = settings.capture.places();
    let sockets = sockets.iter().map(|place| match place {
        Place::Interface(_) => 0,
        Place::Datagrams(..) => Datagrams::MEMORY + settings.capture.options.ring_bytes as usize,
        Place::Sender(_) | Place::Listener(_) => CaptureStream::MEMORY,
    });
    match sockets.sum() {
        0 => {}
        bytes => memory.add("sockets", bytes),
    }
    tracing::info!("{memory}");
    let interfaces = settings.capture.interfaces.join(",");
    let serves = settings.metrics.is_some() || !settings.records.outs.is_empty();
    let reload = Reload::new(arguments, settings, &loader, server, log)?;
    let summaries = Summaries {
        by,
        top: arguments.top,
        format: arguments.format,
        to_stderr: to_stdout,
    };
    let attendant = Attendant::new(
        Arc::clone(&control),
        signals,
        ends,
        reload,
        summaries.clone(),
        serves,
        arguments,
    )?;
    tracing::info!(interfaces, "capturing");
    let (snapshot, attended) = std::thread::scope(|scope| {
        let run = {
            let control = Arc::clone(&control);
            let config = &config;
            scope.spawn(move || live::run(sources, &control, config, outputs))
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
    let snapshot = snapshot?;
    for line in unknown_links(&snapshot.ledger) {
        tracing::warn!("{line}");
    }
    let is_asked = !arguments.quiet || matches!(arguments.format, Format::Json);
    if is_asked && !(arguments.tui && View::terminal_hangs()) {
        summaries.write(&snapshot)?;
    }
    anyhow::ensure!(
        snapshot.ledger.closes(),
        "the ledger does not close: {}",
        snapshot.ledger
    );
    // Flow records that an overload cost are told, and no failure: those of the disk are.
    anyhow::ensure!(
        snapshot.records_not_written + snapshot.usage_records_lost == 0,
        "{} flow records and {} usage records could not be written",
        snapshot.records_not_written,
        snapshot.usage_records_lost
    );
    Ok(ExitCode::SUCCESS)
}

/// What a run reads and writes.
fn files(settings: &Settings, config: Option<&PathBuf>) -> Files {
    let mut files = Files::default();
    files.read(config);
    files.read_signatures(settings.signatures.dir.as_ref());
    files.read(settings.behaviour.as_ref());
    if let Some(metrics) = &settings.metrics {
        files.read(metrics.token_file.as_ref());
        files.read(metrics.tls.as_ref().map(|tls| &tls.certificate));
        files.read(metrics.tls.as_ref().map(|tls| &tls.key));
    }
    files.write_records(&settings.records.outs);
    files
}

fn config(settings: &Settings, follow: bool, by: &[summary::By]) -> live::Config {
    let capture = &settings.capture;
    let records = &settings.records;
    let usage = records.are_asked(Records::Usage);
    live::Config {
        run: pipeline::Config {
            workers: match capture.steer {
                Steer::Fanout => capture.interfaces.len() * capture.threads,
                Steer::Inner => capture.workers,
            },
            duplicates: capture.duplicates,
            decode: settings.decode.clone(),
            flow: settings.flow.clone(),
            learning: settings.learning,
            behaviour: None,
            usage: usage::Config {
                interval: usage.then(|| records.interval.clone()),
                subjects: by::subjects(by, &settings.subjects).or_else(|| {
                    let subjects = || Arc::new(settings.subjects.clone());
                    (usage && records.subjects).then(subjects)
                }),
                by_interface: capture.by_interface || by.contains(&summary::By::Interface),
                max_accounts: records.max_accounts,
            },
            interfaces: Arc::default(),
            records: records.are_asked(Records::Flows),
            active_timeout: records.active_timeout,
            first_packets: records.first_packets,
            steps: false,
            keep: Keep::Nothing,
            stats: true,
            mark: None,
        },
        steering: match capture.steer {
            Steer::Fanout => Steering::Kernel,
            Steer::Inner => Steering::Inner,
        },
        follow,
        only_records: settings.metrics.is_none() && !follow,
        only: records.only.clone(),
        ..live::Config::default()
    }
}

/// Opens each interface as often as it has threads, and all that is no interface once.
fn open(
    settings: &Settings,
    words: &[OsString],
    now: Timestamp,
) -> anyhow::Result<Vec<Box<dyn Source>>> {
    let capture = &settings.capture;
    let places = capture.places();
    // Sockets take no right to capture.
    if places.iter().any(Place::is_interface) {
        privilege::check_capture(words)?;
    }
    let members = u16::try_from(capture.threads).context("too many capture threads")?;
    // Groups are known in the whole network namespace: other runs have other numbers.
    let groups = u32::try_from(capture.interfaces.len().next_power_of_two().max(16))?;
    let first_group = std::process::id().wrapping_mul(groups);
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    for (number, (interface, place)) in (0..).zip(capture.interfaces.iter().zip(&places)) {
        let fanout = (members > 1).then_some(Fanout {
            // The low half: as many processes in a row have groups of their own as fit.
            group: (first_group.wrapping_add(number) & 0xffff) as u16,
            members,
        });
        let options = Options {
            interface: interface.clone(),
            fanout,
            ..capture.options.clone()
        };
        match place {
            Place::Interface(_) => {}
            &Place::Datagrams(mirror, address) => {
                sources.push(Box::new(Datagrams::open(&options, mirror, address, now)?));
                continue;
            }
            Place::Sender(host) => {
                sources.push(Box::new(CaptureStream::connect(&options, host, now)?));
                continue;
            }
            &Place::Listener(address) => {
                sources.push(Box::new(CaptureStream::listen(&options, address, now)?));
                continue;
            }
        }
        for _ in 0..members {
            match Interface::open(&options, now) {
                Ok(source) => sources.push(Box::new(source)),
                Err(Error::PermissionDenied { .. }) => bail!(privilege::Denied::new(words)),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(sources)
}

fn privileges(settings: &Settings, file: Option<&PathBuf>) -> privilege::Options {
    let places = settings.capture.places();
    let outs = settings.records.outs.iter();
    let written = outs.filter_map(|out| out.target.path());
    let written = written.filter(|path| !is_dash(path));
    // Not certificate, key and token: those that are in use stay where they cannot be read again.
    let read = [file, settings.signatures.dir.as_ref()];
    privilege::Options {
        user: settings.privilege.user.clone(),
        seccomp: settings.privilege.seccomp,
        writes: written
            .map(|path| path.parent().unwrap_or_else(|| Path::new("")).to_owned())
            .collect(),
        reads: read.into_iter().flatten().cloned().collect(),
        connects: settings
            .records
            .outs
            .iter()
            .any(|out| out.target.connects())
            || places.iter().any(Place::connects),
        captures: places.iter().any(Place::is_interface),
    }
}

fn server(metrics: &Metrics) -> serve::Config {
    let mut config = serve::Config::new(metrics.listen);
    config.tls = metrics.tls.as_ref().map(|tls| serve::Tls {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
    });
    config.token.clone_from(&metrics.token_file);
    config.series_limit = metrics.series_limit;
    config
}

/// Finds what outputs need that go to other hosts, while that is possible.
fn prepare(settings: &Settings) -> anyhow::Result<Vec<Prepared>> {
    let outs = settings.records.outs.iter();
    let prepared = outs.map(|out| out.target.prepare());
    Ok(prepared.collect::<Result<_, _>>()?)
}

/// Where records go, and whether some go to standard output.
fn outputs(
    settings: &Settings,
    prepared: Vec<Prepared>,
    started: Timestamp,
    interfaces: &Arc<Interfaces>,
) -> anyhow::Result<(Vec<Output>, bool)> {
    let records = &settings.records;
    let intervals = Intervals {
        length: records.interval.clone(),
        run: Some(started),
        interfaces: Arc::clone(interfaces),
    };
    let opening = Opening {
        rotation: Some(records.rotation.clone()),
        at: started,
    };
    let mut outputs = Vec::new();
    for (out, prepared) in records.outs.iter().zip(prepared) {
        let Opened { sink, notes } = prepared.open(&opening)?;
        for note in notes {
            tracing::warn!("{note}");
        }
        outputs.push(Output {
            name: out.target.to_string(),
            records: out.records,
            exporter: exporter(out, sink, intervals.clone(), records.only.clone()),
        });
    }
    let to_stdout = records
        .outs
        .iter()
        .any(|out| out.target.is_standard_output());
    Ok((outputs, to_stdout))
}
