//! Tables for people, fitted to the width of where they are shown.
//!
//! What does not fit is left out by columns, those that matter least first, and then names are
//! shortened, addresses last; a row is never broken. Widths are those on the screen: a Chinese character takes two
//! cells.

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A column: what stands above it, and what becomes of it where room is short.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    header: &'static str,
    right: bool,
    drop: Option<u8>,
    least: Option<usize>,
    is_address: bool,
}

/// Columns of this turn and of later ones go only when shortened names do not make room enough.
const AFTER_NAMES: u8 = 2;

/// What an address has at least: one of IPv4 is whole.
const ADDRESS: usize = 15;

/// A space on either side.
const PADDING: usize = 2;

/// What is between two columns.
const GAP: usize = 1;

/// Lines above and below the rows, none between them.
const RULED: TableStyle = {
    let line = LineStyle::none().fill('─').junction('─');
    TableStyle::new().header_separator(line).bottom_border(line)
};

impl Column {
    /// A column of text that is always there, whole.
    pub(crate) const fn text(header: &'static str) -> Self {
        Self {
            header,
            right: false,
            drop: None,
            least: None,
            is_address: false,
        }
    }

    /// A column of addresses or prefixes, shortened in the middle where nothing else makes room.
    pub(crate) const fn address(header: &'static str) -> Self {
        Self {
            is_address: true,
            ..Self::text(header)
        }
    }

    /// A column of numbers.
    pub(crate) const fn number(header: &'static str) -> Self {
        Self {
            right: true,
            ..Self::text(header)
        }
    }

    /// Left out where room is short, in the order of `turn`: 0 and 1 before names are shortened,
    /// others after that.
    pub(crate) const fn dropped(self, turn: u8) -> Self {
        Self {
            drop: Some(turn),
            ..self
        }
    }

    /// Shortened where room is short, to no less than so many cells.
    pub(crate) const fn shortened(self, least: usize) -> Self {
        Self {
            least: Some(least),
            ..self
        }
    }

    /// `text` in so many cells.
    fn short(&self, text: &str, width: usize) -> String {
        match self.is_address {
            true => short_in_the_middle(text, width),
            false => short(text, width),
        }
    }
}

/// Draws `rows`, each of as many texts as there are columns, in at most `width` cells; as wide as
/// they are where that is `None`. A text may have several lines.
pub(crate) fn draw(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> String {
    let wants: Vec<usize> = (0..columns.len())
        .map(|place| {
            let texts = rows.iter().filter_map(|row| row.get(place));
            let lines = texts.flat_map(|text| text.lines());
            let header = columns.get(place).map_or("", |column| column.header);
            lines.chain([header]).map(UnicodeWidthStr::width).max()
        })
        .map(Option::unwrap_or_default)
        .collect();
    let widths = fit(columns, &wants, width);
    let kept = |cells: Vec<Cell>| {
        let cells = cells.into_iter().zip(&widths);
        cells.filter_map(|(cell, width)| width.map(|_| cell))
    };
    let mut table = Table::new();
    table
        .load_style(RULED)
        .set_content_arrangement(ContentArrangement::Disabled);
    let header = columns.iter().zip(&widths);
    let header =
        header.map(|(column, width)| Cell::new(short_lines(column, column.header, *width)));
    table.set_header(kept(header.collect()));
    for row in rows {
        let cells = row.iter().zip(columns).zip(&widths);
        let cells = cells.map(|((text, column), width)| {
            let cell = Cell::new(short_lines(column, text, *width));
            if column.right {
                cell.set_alignment(CellAlignment::Right)
            } else {
                cell
            }
        });
        table.add_row(kept(cells.collect()));
    }
    table.to_string()
}

/// How wide each column gets; `None`: it is left out.
fn fit(columns: &[Column], wants: &[usize], width: Option<usize>) -> Vec<Option<usize>> {
    let whole = |turn: Option<u8>| -> Vec<Option<usize>> {
        let columns = columns.iter().zip(wants);
        let stays = |column: &Column| column.drop.is_none_or(|drop| turn.is_none_or(|t| drop > t));
        columns
            .map(|(column, &want)| stays(column).then_some(want))
            .collect()
    };
    let mut widths = whole(None);
    let Some(width) = width else {
        return widths;
    };
    let mut turns: Vec<u8> = columns.iter().filter_map(|column| column.drop).collect();
    turns.sort_unstable();
    turns.dedup();
    for &turn in &turns {
        if total(&widths) <= width {
            return widths;
        }
        if turn >= AFTER_NAMES && shorten(columns, &mut widths, width, names) {
            return widths;
        }
        widths = whole(Some(turn));
    }
    if !shorten(columns, &mut widths, width, names) {
        shorten(columns, &mut widths, width, addresses);
    }
    widths
}

/// To how much a column of names may be shortened.
const fn names(column: &Column) -> Option<usize> {
    column.least
}

const fn addresses(column: &Column) -> Option<usize> {
    match column.is_address {
        true => Some(ADDRESS),
        false => None,
    }
}

/// How wide a table is whose columns are so wide.
fn total(widths: &[Option<usize>]) -> usize {
    let kept = widths.iter().flatten();
    let columns: usize = kept.map(|width| width + PADDING + GAP).sum();
    columns.saturating_sub(GAP)
}

/// Takes from the widest of those that may be shortened, to no less than `least` says, until all fit in
/// `width`. `false`: they cannot.
fn shorten(
    columns: &[Column],
    widths: &mut [Option<usize>],
    width: usize,
    least: fn(&Column) -> Option<usize>,
) -> bool {
    for _ in width..total(widths) {
        let places = widths.iter_mut().zip(columns);
        let may = places.filter_map(|(width, column)| {
            let least = least(column)?;
            width.as_mut().filter(|width| **width > least)
        });
        let Some(widest) = may.max_by_key(|width| **width) else {
            return false;
        };
        *widest -= 1;
    }
    true
}

fn short_lines(column: &Column, text: &str, width: Option<usize>) -> String {
    let width = width.unwrap_or_default();
    let lines: Vec<String> = text.lines().map(|line| column.short(line, width)).collect();
    lines.join("\n")
}

/// `text` in at most `width` cells, with `…` where something is left out.
pub(crate) fn short(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = start(text.chars(), width.saturating_sub(1));
    if width > 0 {
        short.push('…');
    }
    short
}

/// The same with `…` in the middle: addresses beside one another are told apart by their ends.
fn short_in_the_middle(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let end_width = width.saturating_sub(1) / 2;
    let end = start(text.chars().rev(), end_width);
    let mut short = short(text, width - end_width);
    short.extend(end.chars().rev());
    short
}

/// As many of `chars` as have room in `width` cells.
fn start(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut used = 0;
    let fits = |c: &char| {
        used += c.width().unwrap_or_default();
        used <= width
    };
    chars.take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 5] = [
        Column::text("name").shortened(6),
        Column::number("flows").dropped(2),
        Column::number("bytes"),
        Column::number("up").dropped(1),
        Column::text("evidence").dropped(0),
    ];

    fn rows() -> Vec<Vec<String>> {
        let row = ["a-long-name-of-23-cells", "1,234", "1.00 MB", "1", "port"];
        let wide = ["微信和支付宝", "1", "2 B", "2", "payload"];
        [row, wide].map(|row| row.map(str::to_owned).into()).into()
    }

    #[test]
    fn no_line_is_wider_than_it_may_be() {
        for (width, header) in [
            (None, "name flows bytes up evidence"),
            (Some(59), "name flows bytes up evidence"),
            (Some(58), "name flows bytes up"),
            (Some(48), "name flows bytes up"),
            (Some(47), "name flows bytes"),
            (Some(43), "name flows bytes"),
            // Its names are as short as they may be.
            (Some(26), "name flows bytes"),
            (Some(25), "name bytes"),
            (Some(18), "name bytes"),
        ] {
            let table = draw(&COLUMNS, &rows(), width);
            let mut lines = table.lines();
            let words: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
            assert_eq!(words.join(" "), header, "{width:?}\n{table}");
            for line in table.lines() {
                assert!(
                    line.width() <= width.unwrap_or(usize::MAX),
                    "{width:?}\n{table}"
                );
            }
        }
    }

    #[test]
    fn addresses_are_shortened_last_and_keep_their_ends() {
        let columns = [
            Column::address("client"),
            Column::text("application").shortened(5),
            Column::number("bytes"),
            Column::number("share").dropped(2),
        ];
        let row = |address: &'static str| [address, "a-long-name", "1.00 MB", "50.0 %"];
        let rows: Vec<Vec<String>> = [
            row("2001:db8:1234:5678:9abc:def0:1234:5678"),
            row("192.0.2.1"),
        ]
        .map(|row| row.map(str::to_owned).into())
        .into();
        for (width, row) in [
            (
                73,
                "2001:db8:1234:5678:9abc:def0:1234:5678 a-long-name 1.00 MB 50.0 %",
            ),
            (
                72,
                "2001:db8:1234:5678:9abc:def0:1234:5678 a-long-na… 1.00 MB 50.0 %",
            ),
            (60, "2001:db8:1234:5678:9abc:def0:1234:5678 a-long… 1.00 MB"),
            (57, "2001:db8:1234:5678…abc:def0:1234:5678 a-lo… 1.00 MB"),
            (40, "2001:db8:1…1234:5678 a-lo… 1.00 MB"),
            // As short as they may be.
            (20, "2001:db…34:5678 a-lo… 1.00 MB"),
        ] {
            let table = draw(&columns, &rows, Some(width));
            let words: Vec<&str> = table.lines().nth(2).unwrap().split_whitespace().collect();
            assert_eq!(words.join(" "), row, "{width}\n{table}");
            assert!(table.contains("192.0.2.1 "), "{width}\n{table}");
        }
    }

    #[test]
    fn texts_are_shortened_by_what_they_take_on_the_screen() {
        for (text, width, expected) in [
            ("wechat", 6, "wechat"),
            ("wechat", 5, "wech…"),
            ("微信", 4, "微信"),
            ("微信", 3, "微…"),
            ("微信", 2, "…"),
            ("x", 0, ""),
            ("", 0, ""),
        ] {
            assert_eq!(short(text, width), expected, "{text} {width}");
        }
    }
}
