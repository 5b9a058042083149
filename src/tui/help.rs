//! What the keys do.

use ratatui::text::Line;

use super::text::cut;
use super::theme::Theme;

const TEXT: &[&str] = &[
    "1-6, Tab      applications, services, categories, subjects, health, flows",
    "up, down, j k select a row; the first row follows what comes to be first",
    "PgUp, PgDn    a page; g or Home: to the top; G or End: to the end",
    "/             search names, addresses, ports (:443), server names, protocols:",
    "              all words must be there; Enter keeps the search, Esc clears it",
    "s             sort by rate or by total; flows: by time or by bytes",
    "Enter         the selected flow on the whole screen, with all it rests on",
    "p             pause: what is shown stays, counting goes on",
    "Ctrl-L        paint everything again",
    "q, Ctrl-C     leave",
    "",
    "Rates are of the last five seconds, a bar a second; times are UTC.",
    "Volume is counted when a flow's name is settled; until then it is unsettled.",
    "(tls) is a protocol that no application claimed.",
    "Subjects have their trends on one scale: who has the highest bars uses most.",
];

pub(super) fn lines(cells: usize, theme: &Theme) -> Vec<Line<'static>> {
    TEXT.iter()
        .map(|text| Line::from(cut(text, cells, theme)))
        .collect()
}
