//! The terminal: taken over, and given back as it was, whatever happens in between.
//!
//! A panic of any thread gives it back before its message is printed: the hook does, because a
//! release build aborts right after it and nothing else runs any more.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// What a frame is painted through: whole frames at once, none after the terminal was given back.
#[derive(Debug)]
pub(super) struct Output {
    terminal: File,
    frame: Vec<u8>,
    given_back: Arc<AtomicBool>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = if self.given_back.load(Ordering::SeqCst) {
            Ok(())
        } else {
            self.terminal.write_all(&self.frame)
        };
        self.frame.clear();
        written
    }
}

/// The terminal while the view has it.
pub(super) struct Screen {
    pub(super) terminal: Terminal<CrosstermBackend<Output>>,
    farewell: File,
    given_back: Arc<AtomicBool>,
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
        let given_back = Arc::new(AtomicBool::new(false));
        let output = Output {
            terminal: file()?,
            frame: Vec::new(),
            given_back: Arc::clone(&given_back),
        };
        // A file of its own, so that the hook waits for no lock of the thread that panicked.
        let (hooks_terminal, flag) = (file()?, Arc::clone(&given_back));
        let farewell = file()?;
        let terminal = Terminal::new(CrosstermBackend::new(output))?;
        let hook: Arc<Hook> = Arc::from(panic::take_hook());
        let before = Arc::clone(&hook);
        panic::set_hook(Box::new(move |info| {
            give_back(&hooks_terminal, &flag);
            before(info);
        }));
        // From here on the drop of `screen` undoes what was done, also where setting up fails.
        let mut screen = Self {
            terminal,
            farewell,
            given_back,
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

    /// Whether a panic gave the terminal back already.
    pub(super) fn is_given_back(&self) -> bool {
        self.given_back.load(Ordering::SeqCst)
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
        give_back(&self.farewell, &self.given_back);
        // The hook can't be touched by a thread that panics; it does nothing twice.
        if !std::thread::panicking() {
            drop(panic::take_hook());
            let before = Arc::clone(&self.hook);
            panic::set_hook(Box::new(move |info| before(info)));
        }
    }
}

/// Gives the terminal back, once. Nothing can be done about errors here.
fn give_back(mut terminal: &File, given_back: &AtomicBool) {
    if given_back.swap(true, Ordering::SeqCst) {
        return;
    }
    let mut farewell = Vec::new();
    let _ = queue!(
        farewell,
        ResetColor,
        EnableLineWrap,
        LeaveAlternateScreen,
        Show
    );
    let _ = terminal.write_all(&farewell);
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

    #[test]
    fn nothing_is_painted_on_a_terminal_given_back() {
        let mut file = tempfile::tempfile().unwrap();
        let given_back = Arc::new(AtomicBool::new(false));
        let mut output = Output {
            terminal: file.try_clone().unwrap(),
            frame: Vec::new(),
            given_back: Arc::clone(&given_back),
        };
        output.write_all(b"one").unwrap();
        output.flush().unwrap();
        given_back.store(true, Ordering::SeqCst);
        output.write_all(b"two").unwrap();
        output.flush().unwrap();
        let mut text = String::new();
        io::Seek::rewind(&mut file).unwrap();
        io::Read::read_to_string(&mut file, &mut text).unwrap();
        assert_eq!(text, "one");
    }
}
