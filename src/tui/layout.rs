//! Columns and lines, laid out by what the terminal has room for.

use ratatui::layout::Alignment;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::text::{cut, fit, width};
use super::theme::Theme;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Cells it has at least.
    pub(super) least: usize,
    /// Cells it has at most, where there is room.
    pub(super) most: usize,
    pub(super) alignment: Alignment,
    /// Columns of a lower number have room before others.
    pub(super) rank: u8,
}

impl Column {
    pub(super) const fn left(title: &'static str, least: usize, most: usize, rank: u8) -> Self {
        Self {
            title,
            least,
            most,
            alignment: Alignment::Left,
            rank,
        }
    }

    pub(super) const fn right(title: &'static str, cells: usize, rank: u8) -> Self {
        Self {
            title,
            least: cells,
            most: cells,
            alignment: Alignment::Right,
            rank,
        }
    }
}

/// Columns and their widths: those that have room in a given width.
#[derive(Debug)]
pub(super) struct Columns {
    /// Place among all columns, column, cells.
    shown: Vec<(usize, Column, usize)>,
}

impl Columns {
    /// As many of `columns`, lowest ranks first, as have room in `cells`.
    pub(super) fn new(columns: &[Column], cells: usize) -> Self {
        let mut by_rank: Vec<(usize, Column, usize)> = columns
            .iter()
            .enumerate()
            .map(|(place, &column)| (place, column, column.least))
            .collect();
        by_rank.sort_by_key(|(_, column, _)| column.rank);
        let taken = |shown: &[(usize, Column, usize)]| {
            let columns: usize = shown.iter().map(|(_, _, cells)| cells).sum();
            columns + shown.len().saturating_sub(1)
        };
        let mut shown: Vec<(usize, Column, usize)> = Vec::new();
        for column in by_rank {
            if shown.is_empty() || taken(&shown) + 1 + column.2 <= cells {
                shown.push(column);
            }
        }
        shown.sort_by_key(|&(place, ..)| place);
        let mut room = cells.saturating_sub(taken(&shown));
        // One cell each in turn, so that wide terminals widen all that can use it.
        while room > 0 {
            let before = room;
            for (_, column, width) in &mut shown {
                if *width < column.most && room > 0 {
                    *width += 1;
                    room -= 1;
                }
            }
            if room == before {
                break;
            }
        }
        if let [(_, _, only)] = shown.as_mut_slice() {
            *only = (*only).min(cells);
        }
        Self { shown }
    }

    /// Cells of the column called `title`; zero where it has no room.
    pub(super) fn cells(&self, title: &str) -> usize {
        let found = self
            .shown
            .iter()
            .find(|(_, column, _)| column.title == title);
        found.map_or(0, |&(_, _, cells)| cells)
    }

    pub(super) fn header(&self, theme: &Theme) -> Line<'static> {
        let titles = self
            .shown
            .iter()
            .map(|(_, column, cells)| fit(column.title, *cells, column.alignment, theme));
        let text = titles.collect::<Vec<_>>().join(" ");
        Line::from(Span::styled(text, theme.accent().patch(theme.strong())))
    }

    /// One line out of a text for each of all columns. `texts` are clean.
    pub(super) fn row(&self, texts: &[String], style: Style, theme: &Theme) -> Line<'static> {
        let cells = self.shown.iter().map(|(place, column, cells)| {
            let text = texts.get(*place).map_or("", String::as_str);
            fit(text, *cells, column.alignment, theme)
        });
        Line::from(Span::styled(cells.collect::<Vec<_>>().join(" "), style))
    }
}

/// `segments` side by side, two spaces between, on at most `most` lines of `cells` cells.
///
/// They stand in the order of their weight: what has no room is left out from the end.
pub(super) fn pack(
    segments: Vec<(String, Style)>,
    cells: usize,
    most: usize,
    theme: &Theme,
) -> Vec<Line<'static>> {
    let mut lines: Vec<Line<'static>> = Vec::new();
    let mut used = 0;
    for (text, style) in segments {
        let needed = width(&text);
        let count = lines.len();
        match lines.last_mut() {
            Some(line) if used + 2 + needed <= cells => {
                line.push_span(Span::raw("  "));
                line.push_span(Span::styled(text, style));
                used += 2 + needed;
            }
            _ if count < most => {
                lines.push(Line::from(Span::styled(cut(&text, cells, theme), style)));
                used = needed;
            }
            _ => break,
        }
    }
    lines
}

/// The latest of `values`, as many as have room in `cells` cells.
pub(super) fn latest(values: &[u64], cells: usize) -> &[u64] {
    values
        .get(values.len().saturating_sub(cells)..)
        .unwrap_or_default()
}

/// The latest of `values` as bars in `cells` cells: those of `full` are full, or the highest.
pub(super) fn sparkline(values: &[u64], full: Option<u64>, cells: usize, theme: &Theme) -> String {
    let latest = latest(values, cells);
    let most = full.or_else(|| latest.iter().copied().max());
    let most = most.unwrap_or_default().max(1);
    let bars = theme.bars();
    let mut text = " ".repeat(cells - latest.len());
    for &value in latest {
        // Rounded up: whatever is not nothing is seen.
        let eighths = (u128::from(value.min(most)) * 8).div_ceil(u128::from(most));
        let bar = usize::try_from(eighths)
            .ok()
            .and_then(|place| bars.get(place));
        text.push(bar.copied().unwrap_or(' '));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::left("name", 4, 10, 0),
        Column::right("rate", 6, 1),
        Column::left("spark", 5, 20, 2),
    ];

    #[test]
    fn columns_go_by_rank_and_grow_evenly() {
        for (cells, name, rate, spark) in [
            (0, 0, 0, 0),
            (3, 3, 0, 0),
            (10, 4, 0, 5),
            (11, 4, 6, 0),
            (16, 9, 6, 0),
            (17, 4, 6, 5),
            (19, 5, 6, 6),
            (80, 10, 6, 20),
        ] {
            let columns = Columns::new(COLUMNS, cells);
            let found = ["name", "rate", "spark"].map(|title| columns.cells(title));
            assert_eq!(found, [name, rate, spark], "{cells}");
            let theme = Theme::plain(false);
            assert!(columns.header(&theme).width() <= cells);
        }
    }

    #[test]
    fn packs_what_has_room() {
        let theme = Theme::plain(true);
        for (cells, most, lines) in [
            (20, 3, vec!["one  two  threethree"]),
            (19, 3, vec!["one  two", "threethree"]),
            (8, 1, vec!["one  two"]),
            (6, 3, vec!["one", "two", "three~"]),
            (6, 0, vec![]),
        ] {
            let segments = ["one", "two", "threethree"]
                .map(|text| (text.to_owned(), Style::new()))
                .to_vec();
            let packed = pack(segments, cells, most, &theme);
            let texts: Vec<String> = packed.iter().map(ToString::to_string).collect();
            assert_eq!(texts, lines, "{cells}");
        }
    }

    #[test]
    fn sparklines_show_the_latest() {
        let (unicode, ascii) = (Theme::plain(false), Theme::plain(true));
        for (values, full, cells, theme, text) in [
            (&[][..], None, 3, unicode, "   "),
            (&[0, 4, 8], None, 3, unicode, " ▄█"),
            (&[0, 4, 8], Some(16), 3, unicode, " ▂▄"),
            (&[0, 4, 8], Some(4), 3, unicode, " ██"),
            (&[9, 0, 1, 800], None, 3, unicode, " ▁█"),
            (&[8], None, 3, ascii, "  #"),
            (&[u64::MAX, 1], None, 2, ascii, "#."),
            (&[1, 2], None, 0, ascii, ""),
        ] {
            assert_eq!(sparkline(values, full, cells, &theme), text);
        }
    }
}
