//! `--watch`: says when signature files or the settings file may have changed.
//!
//! What changed is not told: the loader reads everything anew and finds out. Events come in
//! bursts (an editor writes a new file, renames it, touches it; `git checkout` does so a thousand
//! times), so the word is given after a moment of silence.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use crossbeam::channel::{Receiver, Sender, after, bounded, never, select};
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// How long nothing must happen before the word is given.
const SILENCE: Duration = Duration::from_millis(500);

/// The word is not held back longer than this, whatever happens meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// Events under way; more of them would say nothing new.
const EVENTS: usize = 64;

/// Where a mounted volume of Kubernetes points to its present files: the files are links through
/// it and do not change themselves.
const VOLUME_LINK: &str = "..data";

/// What a watch says.
#[derive(Debug)]
pub(super) enum Notice {
    /// Some file may have changed.
    Changed,
    /// Watching goes on, but something may be missed.
    Trouble(notify::Error),
}

/// A watch, until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    notices: Receiver<Notice>,
    /// Dropped with the watch, which ends its thread.
    _stop: Sender<()>,
}

impl Watch {
    /// Watches the files of `dir` and below it, and the file `settings`.
    ///
    /// # Errors
    ///
    /// When the system cannot watch them: they do not exist, or too much is watched already.
    pub(super) fn start(dir: Option<&Path>, settings: Option<&Path>) -> anyhow::Result<Self> {
        Self::with_pauses(dir, settings, SILENCE, PATIENCE)
    }

    fn with_pauses(
        dir: Option<&Path>,
        settings: Option<&Path>,
        silence: Duration,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let named: Vec<Named> = [dir, settings]
            .into_iter()
            .flatten()
            .map(Named::of)
            .collect::<anyhow::Result<_>>()?;
        // As events name what is in it.
        let dir = dir.map(std::path::absolute).transpose()?;
        let (event_out, events) = bounded(EVENTS);
        let filter = (dir.clone(), named.clone());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let event = match event {
                Ok(event) if !matters(&event, filter.0.as_deref(), &filter.1) => return,
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            };
            // When the channel is full, there are events enough to give the word.
            let _ = event_out.try_send(event);
        })
        .context("the system has no file watch")?;
        for name in &named {
            watcher
                .watch(&name.parent, RecursiveMode::NonRecursive)
                .with_context(|| format!("cannot watch {}", name.parent.display()))?;
        }
        if let Some(dir) = &dir {
            watcher
                .watch(dir, RecursiveMode::Recursive)
                .with_context(|| format!("cannot watch {}", dir.display()))?;
        }
        let (notice_out, notices) = bounded(EVENTS);
        let (stop, stopped) = bounded(0);
        let work = Work {
            watcher,
            dir,
            events,
            notices: notice_out,
            stopped,
            silence,
            patience,
        };
        thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || work.run())
            .context("cannot start a thread")?;
        Ok(Self {
            notices,
            _stop: stop,
        })
    }

    /// Where the word is given. Who takes one may take all that wait: they say no more.
    pub(super) const fn notices(&self) -> &Receiver<Notice> {
        &self.notices
    }
}

/// A file or folder that may be replaced as a whole: its folder is watched, and what happens there
/// under its name. Editors write beside a file and rename; a link may be turned elsewhere.
#[derive(Clone, Debug)]
struct Named {
    parent: PathBuf,
    name: OsString,
}

impl Named {
    fn of(path: &Path) -> anyhow::Result<Self> {
        let path = std::path::absolute(path)
            .with_context(|| format!("cannot watch {}", path.display()))?;
        let name = path
            .file_name()
            .unwrap_or_else(|| OsStr::new("."))
            .to_owned();
        Ok(Self {
            // The root has no parent: what happens to it happens in it.
            parent: path.parent().unwrap_or(&path).to_owned(),
            name,
        })
    }

    fn is(&self, path: &Path) -> bool {
        path.parent() == Some(&self.parent)
            && path
                .file_name()
                .is_some_and(|name| name == self.name || name == VOLUME_LINK)
    }
}

/// Whether `event` may be a change. Reading is none: the loader itself reads.
fn matters(event: &Event, dir: Option<&Path>, named: &[Named]) -> bool {
    if event.need_rescan() {
        return true;
    }
    let changes = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    let ours = |path: &PathBuf| {
        dir.is_some_and(|dir| path.starts_with(dir)) || named.iter().any(|one| one.is(path))
    };
    changes && event.paths.iter().any(ours)
}

/// The thread that waits for silence.
struct Work {
    watcher: RecommendedWatcher,
    dir: Option<PathBuf>,
    events: Receiver<Result<(), notify::Error>>,
    notices: Sender<Notice>,
    stopped: Receiver<()>,
    silence: Duration,
    patience: Duration,
}

impl Work {
    fn run(mut self) {
        // Channels as clocks: the first event sets the one, each event the other.
        let (mut quiet, mut late) = (never(), never());
        let mut is_waiting = false;
        loop {
            let give = select! {
                recv(self.stopped) -> _ => return,
                recv(self.events) -> event => match event {
                    Ok(Ok(())) => {
                        quiet = after(self.silence);
                        if !is_waiting {
                            late = after(self.patience);
                            is_waiting = true;
                        }
                        None
                    }
                    Ok(Err(error)) => Some(Notice::Trouble(error)),
                    Err(_) => return,
                },
                recv(quiet) -> _ => Some(Notice::Changed),
                recv(late) -> _ => Some(Notice::Changed),
            };
            let Some(notice) = give else { continue };
            if matches!(notice, Notice::Changed) {
                (quiet, late) = (never(), never());
                is_waiting = false;
                self.watch_anew();
            }
            // Of many that nobody took, the first say as much as all.
            let _ = self.notices.try_send(notice);
        }
    }

    /// The folder may be another one under the same name, which the old watch does not see. While
    /// there is none its parent is watched, and the loader says what is wrong.
    fn watch_anew(&mut self) {
        let Some(dir) = &self.dir else { return };
        let _ = self.watcher.unwatch(dir);
        let watched = self.watcher.watch(dir, RecursiveMode::Recursive);
        if let Err(error) = watched
            && dir.exists()
        {
            let _ = self.notices.try_send(Notice::Trouble(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SILENCE: Duration = Duration::from_millis(60);
    const PATIENCE: Duration = Duration::from_millis(600);

    fn watch(dir: Option<&Path>, settings: Option<&Path>) -> Watch {
        Watch::with_pauses(dir, settings, SILENCE, PATIENCE).unwrap()
    }

    /// Whether a change is told soon.
    fn is_told(watch: &Watch) -> bool {
        match watch.notices().recv_timeout(Duration::from_secs(5)) {
            Ok(Notice::Changed) => true,
            Ok(Notice::Trouble(error)) => panic!("{error}"),
            Err(_) => false,
        }
    }

    fn is_silent(watch: &Watch) -> bool {
        watch.notices().recv_timeout(SILENCE * 8).is_err()
    }

    #[test]
    fn a_burst_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("chat")).unwrap();
        let watch = watch(Some(dir.path()), None);
        for number in 0..50 {
            fs::write(dir.path().join(format!("chat/a{number}.toml")), "x").unwrap();
        }
        assert!(is_told(&watch));
        assert!(is_silent(&watch));
        // Reading is no change.
        fs::read(dir.path().join("chat/a1.toml")).unwrap();
        fs::read_dir(dir.path().join("chat"))
            .unwrap()
            .for_each(drop);
        assert!(is_silent(&watch));
        // A folder that is new is watched as well.
        fs::create_dir(dir.path().join("mail")).unwrap();
        assert!(is_told(&watch));
        fs::write(dir.path().join("mail/b.toml"), "x").unwrap();
        assert!(is_told(&watch));
        fs::remove_file(dir.path().join("mail/b.toml")).unwrap();
        assert!(is_told(&watch));
    }

    #[test]
    fn unrest_without_end_is_told_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let watch = watch(Some(dir.path()), None);
        let path = dir.path().join("a.toml");
        let told = (0..400).any(|number| {
            fs::write(&path, number.to_string()).unwrap();
            thread::sleep(SILENCE / 6);
            watch.notices().try_recv().is_ok()
        });
        assert!(told);
    }

    #[test]
    fn settings_are_watched_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let settings = dir.path().join("ottometer.toml");
        fs::write(&settings, "a = 1").unwrap();
        let watch = watch(None, Some(&settings));
        fs::write(dir.path().join("flows.jsonl"), "{}").unwrap();
        assert!(is_silent(&watch), "other files are not ours");
        // As editors do.
        let new = dir.path().join(".ottometer.toml.swp");
        fs::write(&new, "a = 2").unwrap();
        fs::rename(&new, &settings).unwrap();
        assert!(is_told(&watch));
        assert!(is_silent(&watch));
        fs::write(&settings, "a = 3").unwrap();
        assert!(is_told(&watch), "also after it was replaced");
    }

    #[test]
    fn a_folder_may_be_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("signatures");
        fs::create_dir(&dir).unwrap();
        let watch = watch(Some(&dir), None);
        fs::remove_dir(&dir).unwrap();
        assert!(is_told(&watch));
        assert!(is_silent(&watch));
        fs::create_dir(&dir).unwrap();
        assert!(is_told(&watch));
        fs::write(dir.join("a.toml"), "x").unwrap();
        assert!(is_told(&watch), "the new folder is watched");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_may_be_turned() {
        let parent = tempfile::tempdir().unwrap();
        let place = |name: &str| parent.path().join(name);
        for name in ["one", "two"] {
            fs::create_dir(place(name)).unwrap();
        }
        std::os::unix::fs::symlink(place("one"), place("current")).unwrap();
        let watch = watch(Some(&place("current")), None);
        std::os::unix::fs::symlink(place("two"), place("new")).unwrap();
        fs::rename(place("new"), place("current")).unwrap();
        assert!(is_told(&watch));
        fs::write(place("two").join("a.toml"), "x").unwrap();
        assert!(is_told(&watch), "where the link leads now is watched");
    }

    #[test]
    fn what_is_not_there_cannot_be_watched() {
        let parent = tempfile::tempdir().unwrap();
        let missing = parent.path().join("none");
        let error = Watch::start(Some(&missing), None).unwrap_err();
        assert!(format!("{error:#}").contains("cannot watch"), "{error:#}");
        let watch = watch(None, Some(&missing));
        drop(watch);
    }
}
