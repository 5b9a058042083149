//! What the view draws with: colours and characters this terminal has.

use ratatui::style::{Color, Modifier, Style};

/// Colours and characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// Only characters every terminal has.
    pub ascii: bool,
    /// Colours may be used; without, only bold, dim and reversed.
    pub color: bool,
}

impl Theme {
    /// What the environment says of the terminal: the locale (`LC_ALL`, `LC_CTYPE`, `LANG`), `TERM`
    /// and [`NO_COLOR`](https://no-color.org).
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        let utf_8 = locale.is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        // The Linux console's fonts lack the bars of sparklines.
        let console = set("TERM").is_some_and(|term| term == "linux");
        Self {
            ascii: !utf_8 || console,
            color: set("NO_COLOR").is_none(),
        }
    }

    #[cfg(test)]
    pub(super) const fn plain(ascii: bool) -> Self {
        Self {
            ascii,
            color: false,
        }
    }

    /// What stands for the rest of a text that was cut.
    pub(super) const fn more(&self) -> &'static str {
        if self.ascii { "~" } else { "…" }
    }

    pub(super) const fn rule(&self) -> &'static str {
        if self.ascii { "-" } else { "─" }
    }

    /// From nothing to full in eighths.
    pub(super) const fn bars(&self) -> [char; 9] {
        if self.ascii {
            [' ', '.', ':', '-', '=', '+', '*', '%', '#']
        } else {
            [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
        }
    }

    /// Something is lost at this moment.
    pub(super) const fn alarm(&self) -> Style {
        self.colored(Color::Red)
            .add_modifier(Modifier::BOLD)
            .add_modifier(Modifier::REVERSED)
    }

    /// Something was lost.
    pub(super) const fn warning(&self) -> Style {
        self.colored(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    pub(super) const fn good(&self) -> Style {
        self.colored(Color::Green)
    }

    pub(super) const fn strong(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) const fn dim(&self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) const fn accent(&self) -> Style {
        self.colored(Color::Cyan)
    }

    pub(super) const fn selected(&self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    const fn colored(&self, color: Color) -> Style {
        if self.color {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_environment() {
        for (variables, ascii, color) in [
            (&[][..], true, true),
            (&[("LANG", "en_US.UTF-8")], false, true),
            (&[("LANG", "C"), ("LC_ALL", "C.utf8")], false, true),
            (&[("LANG", "C.UTF-8"), ("LC_ALL", "C")], true, true),
            (&[("LANG", "C.UTF-8"), ("LC_ALL", "")], false, true),
            (&[("LANG", "C.UTF-8"), ("TERM", "linux")], true, true),
            (&[("LANG", "C.UTF-8"), ("NO_COLOR", "1")], false, false),
            (&[("LANG", "C.UTF-8"), ("NO_COLOR", "")], false, true),
        ] {
            let theme = Theme::from_env(|name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            });
            assert_eq!(theme, Theme { ascii, color }, "{variables:?}");
        }
    }
}
