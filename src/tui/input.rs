//! Keys to what they mean.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::cursor::Motion;

/// Characters a search holds.
const MAX_SEARCH: usize = 64;

/// What is shown below the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    #[default]
    Apps,
    Services,
    Categories,
    Subjects,
    Health,
    Flows,
}

impl Pane {
    pub(super) const ALL: [Self; 6] = [
        Self::Apps,
        Self::Services,
        Self::Categories,
        Self::Subjects,
        Self::Health,
        Self::Flows,
    ];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Apps => "Apps",
            Self::Services => "Services",
            Self::Categories => "Categories",
            Self::Subjects => "Subjects",
            Self::Health => "Health",
            Self::Flows => "Flows",
        }
    }

    fn beside(self, steps: usize) -> Self {
        let place = (self as usize + steps) % Self::ALL.len();
        Self::ALL.get(place).copied().unwrap_or_default()
    }
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    Show(Pane),
    Move(Motion),
    /// Begin to type a search.
    Search,
    Sort,
    Pause,
    Help,
    /// The selected row on the whole screen.
    Open,
    /// Back from whatever is on top.
    Back,
    /// Paint everything again.
    Redraw,
}

/// What `key` asks for while `pane` is shown and no search is typed.
pub(super) fn action(key: KeyEvent, pane: Pane) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return Some(match key.code {
            KeyCode::Char('c') => Action::Quit,
            KeyCode::Char('l') => Action::Redraw,
            KeyCode::Char('b') => Action::Move(Motion::PageUp),
            KeyCode::Char('f') => Action::Move(Motion::PageDown),
            _ => return None,
        });
    }
    Some(match key.code {
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Char(digit @ '1'..='6') => {
            Action::Show(Pane::Apps.beside(digit as usize - '1' as usize))
        }
        KeyCode::Tab | KeyCode::Right => Action::Show(pane.beside(1)),
        KeyCode::BackTab | KeyCode::Left => Action::Show(pane.beside(Pane::ALL.len() - 1)),
        KeyCode::Up | KeyCode::Char('k') => Action::Move(Motion::Up),
        KeyCode::Down | KeyCode::Char('j') => Action::Move(Motion::Down),
        KeyCode::PageUp => Action::Move(Motion::PageUp),
        KeyCode::PageDown | KeyCode::Char(' ') => Action::Move(Motion::PageDown),
        KeyCode::Home | KeyCode::Char('g') => Action::Move(Motion::First),
        KeyCode::End | KeyCode::Char('G') => Action::Move(Motion::Last),
        KeyCode::Char('/') => Action::Search,
        KeyCode::Char('s') => Action::Sort,
        KeyCode::Char('p') => Action::Pause,
        KeyCode::Char('?' | 'h') | KeyCode::F(1) => Action::Help,
        KeyCode::Enter => Action::Open,
        KeyCode::Esc => Action::Back,
        _ => return None,
    })
}

/// The text rows are searched for: all of its words, in any order, in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    text: String,
    /// The keyboard belongs to the text.
    pub(super) typing: bool,
}

impl Search {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.typing = false;
    }

    /// Takes a key while the text is typed. Returns whether it asks to quit.
    pub(super) fn key(&mut self, key: KeyEvent) -> bool {
        if key.kind == KeyEventKind::Release {
            return false;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c') => return true,
                KeyCode::Char('u') => self.text.clear(),
                KeyCode::Char('w') => {
                    let kept = self.text.trim_end().rfind(' ').map_or(0, |space| space + 1);
                    self.text.truncate(kept);
                }
                _ => {}
            }
            return false;
        }
        match key.code {
            KeyCode::Esc => self.clear(),
            KeyCode::Enter => self.typing = false,
            // Nothing left to take away: the search is left.
            KeyCode::Backspace => self.typing = self.text.pop().is_some(),
            KeyCode::Char(letter)
                if !letter.is_control() && self.text.chars().count() < MAX_SEARCH =>
            {
                self.text.push(letter);
            }
            _ => {}
        }
        false
    }

    /// Whether all words are in `fields`. Nothing typed fits everything.
    pub(super) fn fits(&self, fields: &str) -> bool {
        if self.text.is_empty() {
            return true;
        }
        let fields = fields.to_lowercase();
        let text = self.text.to_lowercase();
        text.split_whitespace().all(|word| fields.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    #[test]
    fn keys_mean_what_the_help_says() {
        let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        let mut released = key(KeyCode::Char('q'));
        released.kind = KeyEventKind::Release;
        for (key, pane, action_of) in [
            (key(KeyCode::Char('q')), Pane::Apps, Some(Action::Quit)),
            (control('c'), Pane::Apps, Some(Action::Quit)),
            (key(KeyCode::Char('c')), Pane::Apps, None),
            (released, Pane::Apps, None),
            (
                key(KeyCode::Char('1')),
                Pane::Flows,
                Some(Action::Show(Pane::Apps)),
            ),
            (
                key(KeyCode::Char('4')),
                Pane::Apps,
                Some(Action::Show(Pane::Subjects)),
            ),
            (
                key(KeyCode::Char('6')),
                Pane::Apps,
                Some(Action::Show(Pane::Flows)),
            ),
            (key(KeyCode::Char('7')), Pane::Apps, None),
            (
                key(KeyCode::Tab),
                Pane::Flows,
                Some(Action::Show(Pane::Apps)),
            ),
            (
                key(KeyCode::BackTab),
                Pane::Apps,
                Some(Action::Show(Pane::Flows)),
            ),
            (
                key(KeyCode::Char('j')),
                Pane::Apps,
                Some(Action::Move(Motion::Down)),
            ),
            (key(KeyCode::Up), Pane::Apps, Some(Action::Move(Motion::Up))),
            (key(KeyCode::Char('/')), Pane::Apps, Some(Action::Search)),
            (key(KeyCode::Char('s')), Pane::Apps, Some(Action::Sort)),
            (key(KeyCode::Char('p')), Pane::Apps, Some(Action::Pause)),
            (key(KeyCode::Char('?')), Pane::Apps, Some(Action::Help)),
            (key(KeyCode::Enter), Pane::Apps, Some(Action::Open)),
            (key(KeyCode::Esc), Pane::Apps, Some(Action::Back)),
        ] {
            assert_eq!(action(key, pane), action_of, "{key:?}");
        }
    }

    #[test]
    fn a_search_is_typed_and_left() {
        let mut search = Search {
            typing: true,
            ..Search::default()
        };
        for letter in "a bq".chars() {
            assert!(!search.key(key(KeyCode::Char(letter))));
        }
        assert_eq!(search.text(), "a bq");
        search.key(key(KeyCode::Backspace));
        search.key(key(KeyCode::Enter));
        assert_eq!((search.text(), search.typing), ("a b", false));
        search.typing = true;
        search.key(KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL));
        assert_eq!(search.text(), "a ");
        search.key(key(KeyCode::Esc));
        assert_eq!(search, Search::default());
        for _ in 0..100 {
            search.key(key(KeyCode::Char('é')));
        }
        assert_eq!(search.text().chars().count(), MAX_SEARCH);
        assert!(search.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
    }

    #[test]
    fn all_words_must_fit() {
        let fields = "TCP 10.0.0.1:50000 192.0.2.1:443 YouTube video";
        for (text, fits) in [
            ("", true),
            ("  ", true),
            ("youtube", true),
            (":443 TCP", true),
            (":443 udp", false),
            ("10.0.0.2", false),
        ] {
            let search = Search {
                text: text.to_owned(),
                typing: false,
            };
            assert_eq!(search.fits(fields), fits, "{text}");
        }
    }
}
