//! The terminal: taken over, and given back as it was, whatever happens in between.
//!
//! A panic of any thread gives it back before its message is printed: the hook does, because a
//! release build aborts right after it and nothing else runs any more.
//!
//! A terminal that takes no output, because a connection hangs or Ctrl-S was pressed, stops whoever
//! writes to it. That is a thread of its own: nobody waits for it longer than [`PATIENCE`], and
//! while it waits nothing is painted.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::style::ResetColor;
use ratatui::crossterm::terminal::{
    DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};

type Hook = dyn Fn(&panic::PanicHookInfo<'_>) + Send + Sync;

/// What a terminal must be for the view.
///
/// # Errors
///
/// Says what is missing, and what to do without.
pub(super) fn check(variable: impl Fn(&str) -> Option<String>) -> io::Result<()> {
    let why = if !io::stdout().is_terminal() {
        "standard output is not a terminal"
    } else if !io::stdin().is_terminal() {
        "standard input is not a terminal"
    } else {
        return check_term(variable("TERM").as_deref());
    };
    Err(refusal(why))
}

fn check_term(term: Option<&str>) -> io::Result<()> {
    match term {
        None | Some("") => Err(refusal("TERM is not set")),
        Some("dumb") => Err(refusal("TERM=dumb has no cursor to move")),
        Some(_) => Ok(()),
    }
}

fn refusal(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!(
            "no terminal view: {why}; without --tui a line a minute is written to standard error"
        ),
    )
}

/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(2);

/// How long the end of a run waits for a terminal to take what was painted.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether standard output is a terminal that takes nothing at the moment.
pub(super) fn hangs() -> bool {
    let stdout = io::stdout();
    stdout.is_terminal() && !is_writable(stdout.as_fd())
}

/// Whether there is room for something. A terminal that is gone takes anything, and says so.
fn is_writable(terminal: BorrowedFd<'_>) -> bool {
    let mut watched = [PollFd::new(terminal, PollFlags::POLLOUT)];
    poll(&mut watched, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// What the view, the thread that writes and the hook tell one another.
#[derive(Debug, Default)]
struct Shared {
    /// Nothing is painted any more.
    given_back: AtomicBool,
    /// What was handed to the thread that writes is not on the terminal yet.
    is_writing: AtomicBool,
    /// The error number of a write that failed; zero otherwise.
    error: AtomicI32,
}

impl Shared {
    fn is_free(&self) -> bool {
        !self.is_writing.load(Ordering::SeqCst)
    }
}

/// What a frame is painted through: whole frames at once, none after the terminal was given back.
#[derive(Debug)]
pub(super) struct Output {
    frames: SyncSender<Vec<u8>>,
    frame: Vec<u8>,
    shared: Arc<Shared>,
}

impl Output {
    /// Starts the thread that writes.
    fn new(terminal: File, shared: Arc<Shared>) -> io::Result<Self> {
        let (frames, to_write) = sync_channel(1);
        let told = Arc::clone(&shared);
        // It is not waited for: at a terminal that takes nothing it ends with the process.
        thread::Builder::new()
            .name("terminal".to_owned())
            .spawn(move || write_frames(&terminal, &to_write, &told))?;
        Ok(Self {
            frames,
            frame: Vec::new(),
            shared,
        })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Hands over what there is, or keeps it for the next time when the terminal is not free.
    fn flush(&mut self) -> io::Result<()> {
        if self.shared.given_back.load(Ordering::SeqCst) {
            self.frame.clear();
            return Ok(());
        }
        match self.shared.error.load(Ordering::SeqCst) {
            0 => {}
            error => return Err(io::Error::from_raw_os_error(error)),
        }
        if !self.frame.is_empty() && self.shared.is_free() {
            self.shared.is_writing.store(true, Ordering::SeqCst);
            // There is room for it, as the one before has been written.
            let _ = self.frames.try_send(std::mem::take(&mut self.frame));
        }
        Ok(())
    }
}

/// Writes what comes until the view is gone.
fn write_frames(mut terminal: &File, frames: &Receiver<Vec<u8>>, shared: &Shared) {
    for frame in frames {
        if !shared.given_back.load(Ordering::SeqCst)
            && let Err(error) = terminal.write_all(&frame)
        {
            let number = error.raw_os_error().unwrap_or(libc::EIO);
            shared.error.store(number, Ordering::SeqCst);
        }
        shared.is_writing.store(false, Ordering::SeqCst);
    }
}

/// The terminal while the view has it.
pub(super) struct Screen {
    pub(super) terminal: Terminal<CrosstermBackend<Output>>,
    farewell: File,
    shared: Arc<Shared>,
    hook: Arc<Hook>,
}

/// What the keyboard has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Something to read.
    Input,
    /// Nothing.
    Quiet,
    /// The terminal is gone: its window was closed, the connection to it broke.
    Gone,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    ///
    /// When it cannot be set up; it is as it was then.
    pub(super) fn enter() -> io::Result<Self> {
        let file = || io::stdout().as_fd().try_clone_to_owned().map(File::from);
        let shared = Arc::new(Shared::default());
        let output = Output::new(file()?, Arc::clone(&shared))?;
        // A file of its own, so that the hook waits for no lock of the thread that panicked.
        let (hooks_terminal, hooks_shared) = (file()?, Arc::clone(&shared));
        let farewell = file()?;
        let terminal = Terminal::new(CrosstermBackend::new(output))?;
        let hook: Arc<Hook> = Arc::from(panic::take_hook());
        let before = Arc::clone(&hook);
        panic::set_hook(Box::new(move |info| {
            give_back(&hooks_terminal, &hooks_shared);
            before(info);
        }));
        // From here on the drop of `screen` undoes what was done, also where setting up fails.
        let mut screen = Self {
            terminal,
            farewell,
            shared,
            hook,
        };
        enable_raw_mode()?;
        execute!(
            screen.terminal.backend_mut(),
            EnterAlternateScreen,
            DisableLineWrap,
            Hide
        )?;
        screen.repaint()?;
        Ok(screen)
    }

    /// Clears the terminal: the next frame is painted whole.
    ///
    /// # Errors
    ///
    /// When the terminal fails.
    pub(super) fn repaint(&mut self) -> io::Result<()> {
        // `Terminal::clear` would ask the terminal where its cursor is, and fail where the answer
        // takes more than two seconds.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Whether the terminal has taken all that was painted. Painting while it has not would be
    /// kept, and grow.
    ///
    /// # Errors
    ///
    /// When the terminal has failed.
    pub(super) fn is_free(&mut self) -> io::Result<bool> {
        // As a rule it takes a frame in less.
        for _ in 0..10 {
            let output = self.terminal.backend_mut();
            // What was kept goes first.
            output.flush()?;
            if self.shared.is_free() {
                return Ok(true);
            }
            thread::sleep(LOOK);
        }
        Ok(false)
    }

    /// Whether a panic gave the terminal back already.
    pub(super) fn is_given_back(&self) -> bool {
        self.shared.given_back.load(Ordering::SeqCst)
    }

    /// Waits for the keyboard.
    ///
    /// # Errors
    ///
    /// When waiting fails.
    pub(super) fn wait(&self, time: Duration) -> io::Result<Arrival> {
        let stdin = io::stdin();
        let mut watched = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO);
        match poll(&mut watched, time) {
            // A signal, of a new window size perhaps.
            Ok(0) | Err(Errno::EINTR) => return Ok(Arrival::Quiet),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let events = watched.first().and_then(PollFd::revents);
        let events = events.unwrap_or(PollFlags::empty());
        // Reading from a terminal that is gone would return nothing at once, for ever.
        if events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
            return Ok(Arrival::Gone);
        }
        Ok(Arrival::Input)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back(&self.farewell, &self.shared);
        // The hook can't be touched by a thread that panics; it does nothing twice.
        if !thread::panicking() {
            drop(panic::take_hook());
            let before = Arc::clone(&self.hook);
            panic::set_hook(Box::new(move |info| before(info)));
        }
    }
}

/// Gives the terminal back, once. Nothing can be done about errors here, nor about a terminal that
/// takes nothing: only its settings are those of before then.
fn give_back(mut terminal: &File, shared: &Shared) {
    if shared.given_back.swap(true, Ordering::SeqCst) {
        return;
    }
    // A frame that is being written comes before the farewell.
    let mut patience = PATIENCE;
    let is_ready = || shared.is_free() && is_writable(terminal.as_fd());
    while !patience.is_zero() && !is_ready() {
        thread::sleep(LOOK);
        patience = patience.saturating_sub(LOOK);
    }
    let mut farewell = Vec::new();
    let _ = queue!(
        farewell,
        ResetColor,
        EnableLineWrap,
        LeaveAlternateScreen,
        Show
    );
    if !patience.is_zero() {
        let _ = terminal.write_all(&farewell);
    }
    let _ = disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_with_what_to_do() {
        for (term, refused) in [
            (None, true),
            (Some(""), true),
            (Some("dumb"), true),
            (Some("xterm-256color"), false),
            (Some("screen"), false),
        ] {
            let checked = check_term(term);
            assert_eq!(checked.is_err(), refused, "{term:?}");
            if let Err(error) = checked {
                assert!(error.to_string().contains("without --tui"), "{error}");
            }
        }
    }

    fn until_free(shared: &Shared) {
        while !shared.is_free() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn nothing_is_painted_on_a_terminal_given_back() {
        let mut file = tempfile::tempfile().unwrap();
        let shared = Arc::new(Shared::default());
        let mut output = Output::new(file.try_clone().unwrap(), Arc::clone(&shared)).unwrap();
        output.write_all(b"one").unwrap();
        output.flush().unwrap();
        until_free(&shared);
        shared.given_back.store(true, Ordering::SeqCst);
        output.write_all(b"two").unwrap();
        output.flush().unwrap();
        until_free(&shared);
        let mut text = String::new();
        io::Seek::rewind(&mut file).unwrap();
        io::Read::read_to_string(&mut file, &mut text).unwrap();
        assert_eq!(text, "one");
    }

    /// A pipe that nobody reads, as a terminal that takes nothing.
    #[test]
    fn nobody_waits_for_a_terminal_that_takes_nothing() {
        let (mut reader, writer) = io::pipe().unwrap();
        let terminal = File::from(std::os::fd::OwnedFd::from(writer));
        let farewell = terminal.try_clone().unwrap();
        let shared = Arc::new(Shared::default());
        let mut output = Output::new(terminal, Arc::clone(&shared)).unwrap();
        let frame = vec![b'x'; 1 << 20];
        for text in [&frame[..], b"and ", b"more"] {
            output.write_all(text).unwrap();
            output.flush().unwrap();
        }
        assert!(!shared.is_free());
        assert_eq!(output.frame, b"and more");
        // Read, it goes on where it stopped, and nothing is lost.
        let mut read = vec![0; frame.len()];
        io::Read::read_exact(&mut reader, &mut read).unwrap();
        assert_eq!(read, frame);
        until_free(&shared);
        output.flush().unwrap();
        let mut rest = [0; 8];
        io::Read::read_exact(&mut reader, &mut rest).unwrap();
        assert_eq!(&rest, b"and more");
        until_free(&shared);

        output.write_all(&frame).unwrap();
        output.flush().unwrap();
        while is_writable(farewell.as_fd()) {
            thread::sleep(LOOK);
        }
        give_back(&farewell, &shared);
        assert!(!shared.is_free() && !is_writable(farewell.as_fd()));
        // Its failure is that of the view.
        drop(reader);
        until_free(&shared);
        shared.given_back.store(false, Ordering::SeqCst);
        let error = output.flush().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
    }
}
