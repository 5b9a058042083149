//! The terminal view of a live run: draws what [`Live`] says.
//!
//! [`View`] holds what is shown and where the user is in it; it knows no terminal and no clock.
//! [`View::run`] gives it both. Around it: `header`, the panes `breakdown`, `health` and `flows`, `help`; `input` (keys), `cursor` (selection), `layout`
//! (columns), `text` (cells), `theme` (colours), `terminal` (taken over and given back).
//!
//! Names in traffic are hostile: every text goes through `text::clean` before it is drawn.

mod breakdown;
mod cursor;
mod flows;
mod header;
mod health;
mod help;
mod input;
mod layout;
mod sort;
mod state;
mod terminal;
mod text;
mod theme;

#[cfg(test)]
mod restoring;
#[cfg(test)]
mod tests;

pub use state::View;
pub use theme::Theme;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyEvent};
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

use self::cursor::Motion;
use self::input::{Action, Pane};
use self::sort::{FlowSort, RowSort};
use self::terminal::{Arrival, Screen};
use crate::view::live::Live;
use crate::view::snapshot::Snapshot;

/// How often the view looks for a new snapshot, a stop or a new window size.
const TICK: Duration = Duration::from_millis(200);

/// Without a new snapshot for this long, that is said.
const STALE: Duration = Duration::from_secs(5);

/// Keys taken before the screen is painted again.
const KEYS_A_TICK: usize = 256;

/// The least the view can be shown in.
const LEAST: (u16, u16) = (30, 8);

/// Why the view ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quit {
    /// The user asked for it.
    Asked,
    /// The caller did.
    Stopped,
    /// The terminal is gone: the run may go on without a view.
    TerminalGone,
    /// Another thread panicked, and its message is on the terminal.
    Panicked,
}

/// How [`View::render_once`] writes a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Characters alone.
    Text,
    /// With escape sequences for colours.
    Ansi,
}

impl View {
    /// A view of nothing yet.
    pub fn new(theme: Theme) -> Self {
        Self {
            theme,
            ..Self::default()
        }
    }

    /// Whether the view can be shown on this process' terminal: ask before the capture is opened.
    ///
    /// # Errors
    ///
    /// Says what is missing.
    pub fn check_terminal() -> io::Result<()> {
        terminal::check(|name| std::env::var(name).ok())
    }

    /// Whether standard output is a terminal that takes nothing, as one does whose connection
    /// hangs: who writes to it waits.
    pub fn terminal_hangs() -> bool {
        terminal::hangs()
    }

    /// Shows `latest` in this thread until the user leaves or `stop` says so, which is asked
    /// several times a second. The terminal is as it was afterwards, also after a panic of any
    /// thread; one that takes no output is not waited for, and may show the last frame for ever.
    ///
    /// Nothing else may write to the terminal meanwhile, standard error included.
    ///
    /// # Errors
    ///
    /// When there is no terminal fit for it, or it fails.
    pub fn run(latest: &Arc<ArcSwap<Snapshot>>, stop: impl Fn() -> bool) -> io::Result<Quit> {
        Self::check_terminal()?;
        match Self::show(latest, stop) {
            // The terminal went while it was painted on.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(Quit::TerminalGone),
            shown => shown,
        }
    }

    fn show(latest: &ArcSwap<Snapshot>, stop: impl Fn() -> bool) -> io::Result<Quit> {
        let mut view = Self::new(Theme::from_env(|name| std::env::var(name).ok()));
        let mut screen = Screen::enter()?;
        let mut news = clock();
        let mut size = screen.terminal.size()?;
        let mut changed = true;
        loop {
            if screen.is_given_back() {
                return Ok(Quit::Panicked);
            }
            if stop() {
                return Ok(Quit::Stopped);
            }
            if view.take(&latest.load()) {
                news = clock();
                changed = true;
            }
            changed |= view.note_silence(news.elapsed());
            let now = screen.terminal.size()?;
            changed |= now != size;
            size = now;
            // A terminal that is behind, or hangs, is shown the latest once it has caught up.
            if screen.is_free()? {
                if std::mem::take(&mut view.repaint) {
                    screen.repaint()?;
                    changed = true;
                }
                if std::mem::take(&mut changed) {
                    screen.terminal.draw(|frame| {
                        let area = frame.area();
                        view.paint(area, frame.buffer_mut());
                    })?;
                }
            }
            match screen.wait(TICK)? {
                Arrival::Quiet => {}
                Arrival::Gone => return Ok(Quit::TerminalGone),
                Arrival::Input => {
                    for _ in 0..KEYS_A_TICK {
                        if !event::poll(Duration::ZERO)? {
                            break;
                        }
                        changed = true;
                        if let Event::Key(key) = event::read()?
                            && view.key(key)
                        {
                            return Ok(Quit::Asked);
                        }
                    }
                }
            }
        }
    }

    /// Takes `snapshot` in, unless it was already or the view is paused. Returns whether it did.
    pub fn take(&mut self, snapshot: &Arc<Snapshot>) -> bool {
        if self.paused || snapshot.sequence == self.live.sequence {
            return false;
        }
        self.history.push(snapshot);
        self.live = Live::new(snapshot, &self.history);
        true
    }

    /// One frame as it would be on a terminal of this size.
    pub fn render_once(&mut self, width: u16, height: u16, picture: Picture) -> String {
        let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
        let Ok(_) = terminal.draw(|frame| {
            let area = frame.area();
            self.paint(area, frame.buffer_mut());
        });
        picture_of(terminal.backend().buffer(), picture)
    }

    /// Notes how long no snapshot came. Returns whether that is to be painted.
    fn note_silence(&mut self, silence: Duration) -> bool {
        let stale = (silence >= STALE && !self.paused).then_some(silence.as_secs());
        std::mem::replace(&mut self.stale, stale) != stale
    }

    /// Does what `key` asks for. Returns whether that is to quit.
    fn key(&mut self, key: KeyEvent) -> bool {
        if self.search.typing {
            let before = self.search.text().len();
            let quit = self.search.key(key);
            if self.search.text().len() != before {
                self.top();
            }
            return quit;
        }
        let Some(action) = input::action(key, self.pane) else {
            return false;
        };
        if self.help && action != Action::Quit {
            self.help = false;
            return false;
        }
        match action {
            Action::Quit => return true,
            Action::Show(pane) => {
                self.pane = pane;
                self.opened = false;
                self.scroll = 0;
            }
            Action::Move(motion) => self.step(motion),
            Action::Search => {
                self.search.typing = true;
                self.opened = false;
                // There is nothing to search in health.
                if self.pane == Pane::Health {
                    self.pane = Pane::Flows;
                }
            }
            Action::Sort => {
                if self.pane == Pane::Flows {
                    self.flow_sort = self.flow_sort.other();
                } else {
                    self.sort = self.sort.other();
                }
            }
            Action::Pause => self.paused = !self.paused,
            Action::Help => self.help = true,
            Action::Open => {
                self.opened = self.pane == Pane::Flows && !self.opened;
                self.scroll = 0;
            }
            Action::Back if self.opened => self.opened = false,
            Action::Back => {
                self.search.clear();
                self.top();
            }
            Action::Redraw => self.repaint = true,
        }
        false
    }

    /// What the search fits is new: the best of it is looked at.
    fn top(&mut self) {
        for cursor in &mut self.names {
            cursor.reset();
        }
        self.flow.reset();
    }

    fn step(&mut self, motion: Motion) {
        let kind = self.pane as usize;
        match self.pane {
            Pane::Apps | Pane::Services | Pane::Categories | Pane::Subjects => {
                let keys = breakdown::keys(self, kind);
                if let Some(cursor) = self.names.get_mut(kind) {
                    cursor.step(motion, &keys);
                }
            }
            Pane::Flows if !self.opened => {
                let keys = flows::keys(&flows::rows(self));
                self.flow.step(motion, &keys);
            }
            // The end is where painting stops it.
            Pane::Health | Pane::Flows => {
                self.scroll = match motion {
                    Motion::Up => self.scroll.saturating_sub(1),
                    Motion::Down => self.scroll.saturating_add(1),
                    Motion::PageUp => self.scroll.saturating_sub(10),
                    Motion::PageDown => self.scroll.saturating_add(10),
                    Motion::First => 0,
                    Motion::Last => usize::MAX,
                }
            }
        }
    }

    /// Paints everything.
    fn paint(&mut self, area: Rect, buffer: &mut Buffer) {
        use ratatui::widgets::Widget as _;
        if area.is_empty() {
            return;
        }
        Clear.render(area, buffer);
        let (cells, height) = (usize::from(area.width), usize::from(area.height));
        let lines = if area.width < LEAST.0 || area.height < LEAST.1 {
            let text = format!(
                "The terminal has {}x{} cells; the view needs {}x{}. q quits.",
                area.width, area.height, LEAST.0, LEAST.1
            );
            let wrapped = text::wrap(&text, cells, 0);
            wrapped.into_iter().map(Line::from).collect()
        } else {
            self.lines(cells, height)
        };
        Paragraph::new(lines).render(area, buffer);
    }

    /// All lines of a frame.
    fn lines(&mut self, cells: usize, height: usize) -> Vec<Line<'static>> {
        let mut lines = header::lines(self, cells, height);
        lines.push(self.tabs(cells));
        let room = height.saturating_sub(lines.len() + 1);
        let body = if self.help {
            help::lines(cells, &self.theme)
        } else {
            match self.pane {
                Pane::Apps | Pane::Services | Pane::Categories | Pane::Subjects => {
                    breakdown::lines(self, self.pane as usize, cells, room)
                }
                Pane::Flows => flows::draw(self, cells, room),
                Pane::Health => {
                    let all = health::lines(self, cells);
                    self.scroll = self.scroll.min(all.len().saturating_sub(room));
                    all.into_iter().skip(self.scroll).collect()
                }
            }
        };
        lines.extend(body.into_iter().take(room));
        lines.resize(height.saturating_sub(1), Line::default());
        lines.push(self.footer(cells));
        lines
    }

    fn tabs(&self, cells: usize) -> Line<'static> {
        let theme = &self.theme;
        let mut line = Line::default();
        for (number, pane) in (1..).zip(Pane::ALL) {
            let title = if cells < 60 {
                text::cut(
                    pane.title(),
                    6,
                    &Theme {
                        ascii: true,
                        ..*theme
                    },
                )
                .trim_end_matches('~')
                .to_owned()
            } else {
                format!(" {} ", pane.title())
            };
            let style = if pane == self.pane {
                theme.selected().patch(theme.strong())
            } else {
                Style::new()
            };
            line.push_span(Span::styled(format!("{number}{title}"), style));
            line.push_span(Span::raw(" "));
        }
        let sort = match (self.pane, self.sort, self.flow_sort) {
            (Pane::Health, ..) => "",
            (Pane::Flows, _, FlowSort::Latest) => "by time",
            (Pane::Flows, _, FlowSort::Bytes) => "by bytes",
            (_, RowSort::Rate, _) => "by rate",
            (_, RowSort::Total, _) => "by total",
        };
        for (text, style) in [
            (if self.paused { "PAUSED" } else { "" }, theme.alarm()),
            (sort, theme.dim()),
        ] {
            if !text.is_empty() && line.width() + text.len() < cells {
                line.push_span(Span::raw(" "));
                line.push_span(Span::styled(text, style));
            }
        }
        line
    }

    fn footer(&self, cells: usize) -> Line<'static> {
        let theme = &self.theme;
        let search = text::clean(self.search.text(), theme).into_owned();
        if self.search.typing {
            // The end of what is typed is seen, not its beginning.
            let mut shown = format!("search: {search}_");
            while text::width(&shown) > cells && !shown.is_empty() {
                shown.remove(0);
            }
            return Line::styled(shown, theme.strong());
        }
        let mut text = String::new();
        if !search.is_empty() {
            text = format!("search: {search} (Esc clears)  ");
        }
        text.push_str("q quit  ? help  Tab pane  / search  s sort  p pause");
        match self.pane {
            Pane::Flows if self.opened => text.push_str("  Esc back"),
            Pane::Flows => text.push_str("  Enter all of the flow"),
            _ => {}
        }
        Line::styled(text::cut(&text, cells, theme), theme.dim())
    }
}

/// The characters of `buffer`, lines without the blanks at their ends.
fn picture_of(buffer: &Buffer, picture: Picture) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut text = String::new();
    for row in buffer.content.chunks(width) {
        let mut line = String::new();
        let mut style = Style::reset();
        let mut covered = 0;
        for cell in row {
            // The second cell of a wide character holds nothing of its own.
            if covered > 0 {
                covered -= 1;
                continue;
            }
            covered = text::width(cell.symbol()).saturating_sub(1);
            if picture == Picture::Ansi && cell.style() != style {
                style = cell.style();
                line.push_str(&escape(style));
            }
            line.push_str(cell.symbol());
        }
        match picture {
            Picture::Text => text.push_str(line.trim_end()),
            Picture::Ansi => {
                text.push_str(&line);
                text.push_str("\u{1b}[0m");
            }
        }
        text.push('\n');
    }
    text
}

/// The escape sequence (ECMA-48 SGR) of the styles a [`Theme`] has.
fn escape(style: Style) -> String {
    use ratatui::style::{Color, Modifier};
    let mut codes = vec!["0"];
    for (modifier, code) in [
        (Modifier::BOLD, "1"),
        (Modifier::DIM, "2"),
        (Modifier::REVERSED, "7"),
    ] {
        if style.add_modifier.contains(modifier) {
            codes.push(code);
        }
    }
    codes.extend(match style.fg {
        Some(Color::Red) => Some("31"),
        Some(Color::Green) => Some("32"),
        Some(Color::Yellow) => Some("33"),
        Some(Color::Cyan) => Some("36"),
        _ => None,
    });
    format!("\u{1b}[{}m", codes.join(";"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "says for how long no snapshot came: no frame can tell that"
)]
fn clock() -> Instant {
    Instant::now()
}
