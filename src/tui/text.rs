//! Texts in terminal cells: cleaned, measured as ratatui measures them, cut and padded.

use std::borrow::Cow;

use ratatui::layout::Alignment;
use ratatui::style::Style;
use ratatui::text::Span;

use super::theme::Theme;
use crate::view::text::harmless;

/// Cells `text` takes.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// `text` with nothing in it that the terminal would obey or could not show.
pub(super) fn clean<'a>(text: &'a str, theme: &Theme) -> Cow<'a, str> {
    let text = harmless(text);
    if !theme.ascii || text.is_ascii() {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii() {
            out.push(letter);
        } else {
            out.extend(letter.escape_unicode());
        }
    }
    out.into()
}

/// The first `cells` cells of `text`, the last of them telling that there is more.
pub(super) fn cut(text: &str, cells: usize, theme: &Theme) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let more = theme.more();
    let mut out = prefix(text, cells.saturating_sub(width(more))).to_owned();
    if width(more) <= cells {
        out.push_str(more);
    }
    out
}

/// As [`cut`], padded to exactly `cells` cells.
pub(super) fn fit(text: &str, cells: usize, alignment: Alignment, theme: &Theme) -> String {
    let text = cut(text, cells, theme);
    let room = " ".repeat(cells.saturating_sub(width(&text)));
    match alignment {
        Alignment::Right => room + &text,
        _ => text + &room,
    }
}

/// `text` in lines of at most `cells` cells, all but the first indented by `indent`.
pub(super) fn wrap(text: &str, cells: usize, indent: usize) -> Vec<String> {
    let indent = if indent < cells { indent } else { 0 };
    let mut lines = Vec::new();
    let mut rest = text;
    let mut margin = 0;
    while !rest.is_empty() {
        let head = prefix(rest, cells.saturating_sub(margin));
        if head.is_empty() {
            // Not even one character has room.
            break;
        }
        let whole = head.len() == rest.len();
        // Rather between words, unless that wastes most of the line.
        let end = match head.rfind(' ') {
            Some(space) if !whole && space > head.len() / 2 => space + 1,
            _ => head.len(),
        };
        let (head, tail) = rest.split_at(end);
        lines.push(" ".repeat(margin) + head.trim_end());
        rest = tail;
        margin = indent;
    }
    lines
}

/// As much of `text` as has room in `cells` cells, whole graphemes.
fn prefix(text: &str, cells: usize) -> &str {
    let span = Span::raw(text);
    let mut used = 0;
    let mut end = 0;
    for grapheme in span.styled_graphemes(Style::default()) {
        used += width(grapheme.symbol);
        if used > cells {
            break;
        }
        end += grapheme.symbol.len();
    }
    // Control characters are not among the graphemes; with one in it the count says nothing.
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_by_cells() {
        let (unicode, ascii) = (Theme::plain(false), Theme::plain(true));
        for (text, cells, theme, left) in [
            ("abc", 5, unicode, "abc  "),
            ("abcdef", 4, unicode, "abc…"),
            ("abcdef", 4, ascii, "abc~"),
            ("微信微信", 5, unicode, "微信…"),
            ("微信微信", 4, unicode, "微… "),
            ("e\u{301}e\u{301}", 2, unicode, "e\u{301}e\u{301}"),
            ("abc", 0, unicode, ""),
            ("abc", 1, unicode, "…"),
        ] {
            assert_eq!(fit(text, cells, Alignment::Left, &theme), left, "{text}");
        }
        assert_eq!(fit("7", 3, Alignment::Right, &unicode), "  7");
    }

    #[test]
    fn wraps_between_words() {
        for (text, cells, indent, lines) in [
            ("", 5, 0, vec![]),
            ("one two three", 8, 2, vec!["one two", "  three"]),
            ("abcdefgh", 3, 1, vec!["abc", " de", " fg", " h"]),
            ("微信", 1, 0, vec![]),
            ("ab", 0, 0, vec![]),
        ] {
            assert_eq!(wrap(text, cells, indent), lines, "{text}");
        }
    }

    #[test]
    fn ascii_writes_out_the_rest() {
        assert_eq!(clean("a信\u{1b}", &Theme::plain(true)), "a\\u{4fe1}\\u{1b}");
        assert_eq!(clean("a信", &Theme::plain(false)), "a信");
    }
}
