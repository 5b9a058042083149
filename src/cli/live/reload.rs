//! What a live run reads again: settings, signatures, certificate and token. Everything is checked
//! before anything changes; what is bad is refused whole, and what was in use stays.

use std::path::PathBuf;
use std::sync::Arc;

use super::Arguments;
use super::log::Volume;
use super::rules::{loader, warn_of};
use crate::cli::settings::lines;
use crate::cli::watch::{Notice, Watch};
use crate::config::Settings;
use crate::pipeline::live::Control;
use crate::serve;
use crate::signature::Loader;

/// What is loaded again, and from where.
pub(super) struct Reload {
    read_settings: Box<dyn Fn() -> Result<Settings, String> + Send>,
    settings: Settings,
    /// Where the settings are read from.
    file: Option<PathBuf>,
    server: Option<serve::Handle>,
    watch: Option<Watch>,
    log: Volume,
    count: u64,
}

impl Reload {
    pub(super) fn new(
        arguments: &Arguments,
        settings: Settings,
        loader: &Loader,
        server: Option<serve::Handle>,
        log: Volume,
    ) -> anyhow::Result<Self> {
        let watch = settings
            .signatures
            .watch
            .then(|| Watch::start(loader.dir.as_deref(), arguments.config.as_deref()))
            .transpose()?;
        Ok(Self {
            read_settings: Box::new(arguments.again()),
            settings,
            file: arguments.config.clone(),
            server,
            watch,
            log,
            count: 0,
        })
    }

    /// Whether a file has changed.
    pub(super) fn is_due(&self) -> bool {
        let Some(watch) = &self.watch else {
            return false;
        };
        let mut changed = false;
        for notice in watch.notices().try_iter() {
            match notice {
                Notice::Changed => changed = true,
                Notice::Trouble(error) => {
                    tracing::warn!(%error, "changed files may go unnoticed");
                }
            }
        }
        changed
    }

    /// Loads everything anew.
    pub(super) fn run(&mut self, control: &Control) {
        self.count += 1;
        let count = self.count;
        let settings = match (self.read_settings)() {
            Ok(settings) => settings,
            Err(reason) => return refuse(control, count, "settings", &reason),
        };
        let before = control.set();
        let loader = loader(&settings);
        let set = match loader.load_after(&before) {
            Ok(set) => set,
            Err(findings) => {
                return refuse(control, count, "signatures", &lines(&findings));
            }
        };
        match self.server.as_ref().map(serve::Handle::reload) {
            Some(Err(error)) => {
                return refuse(control, count, "certificate or token", &error.to_string());
            }
            Some(Ok(kept)) => {
                for error in kept {
                    tracing::warn!(
                        "reload {count}: {error}: what was read at the start is used on"
                    );
                }
            }
            None => {}
        }
        warn_of(&loader);
        let is_same = settings == self.settings;
        self.apply(settings, control);
        if Arc::ptr_eq(&set, &before) {
            let what = if is_same { "nothing" } else { "settings" };
            tracing::info!("reload {count}: {what} changed, signatures are as before");
            return;
        }
        control.replace_set(Arc::clone(&set));
        // Said when it is so: every frame that comes after this line meets the new set.
        tracing::info!(
            "reload {count}: {} applications, {} rules, set {}",
            set.catalog().app_count(),
            set.rule_count(),
            set.hash().get(..12).unwrap_or_default(),
        );
    }

    /// Takes into use what can change in a run, and says what cannot.
    fn apply(&mut self, settings: Settings, control: &Control) {
        let before = std::mem::replace(&mut self.settings, settings);
        let now = &self.settings;
        self.log.set(now.log.level);
        control.replace_flow(now.flow.clone());
        if self.watch.is_some() && before.signatures.dir != now.signatures.dir {
            match Watch::start(now.signatures.dir.as_deref(), self.file.as_deref()) {
                Ok(watch) => self.watch = Some(watch),
                Err(error) => tracing::warn!("changed files may go unnoticed: {error:#}"),
            }
        }
        for (what, _) in changes(&before, now).iter().filter(|&&(_, waits)| waits) {
            tracing::warn!("{what}: changed, and used from the next start on");
        }
    }
}

/// What is other than before: settings, and whether they are used from the next start on.
pub(in crate::cli) fn changes(before: &Settings, now: &Settings) -> Vec<(&'static str, bool)> {
    let sizes = |flow: &crate::flow::Config| {
        let memory = (flow.opening_memory, flow.record_memory);
        (flow.max_flows, memory, flow.scope)
    };
    let paces = |flow: &crate::flow::Config| {
        let idle = (
            flow.tcp_idle,
            flow.tcp_closed,
            flow.udp_idle,
            flow.half_open_idle,
        );
        (idle, flow.opening_bytes, flow.opening_packets)
    };
    let folder = |settings: &Settings| {
        let signatures = &settings.signatures;
        (signatures.dir.clone(), signatures.replace)
    };
    let (at_once, waits) = (false, true);
    let all = [
        ("signatures", at_once, folder(before) != folder(now)),
        (
            "idle times and openings of flows",
            at_once,
            paces(&before.flow) != paces(&now.flow),
        ),
        ("log.level", at_once, before.log.level != now.log.level),
        ("capture", waits, before.capture != now.capture),
        ("records", waits, before.records != now.records),
        ("networks", waits, before.subjects != now.subjects),
        ("metrics", waits, before.metrics != now.metrics),
        ("privilege", waits, before.privilege != now.privilege),
        ("flows.tunnel_depth", waits, before.decode != now.decode),
        ("flows.dns_*", waits, before.learning != now.learning),
        (
            "sizes and scope of flows",
            waits,
            sizes(&before.flow) != sizes(&now.flow),
        ),
        ("flows.behaviour", waits, before.behaviour != now.behaviour),
        ("log.format", waits, before.log.format != now.log.format),
        (
            "signatures.watch",
            waits,
            before.signatures.watch != now.signatures.watch,
        ),
    ];
    let changed = all.into_iter().filter(|&(_, _, is_changed)| is_changed);
    changed.map(|(what, waits, _)| (what, waits)).collect()
}

fn refuse(control: &Control, count: u64, what: &str, reason: &str) {
    tracing::error!("reload {count}: {what} refused, everything stays as it was:\n{reason}");
    control.refuse_set(reason);
}
