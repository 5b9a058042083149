//! Texts from traffic made fit for a terminal: server names, user agents and banners are whatever
//! a sender likes, escape sequences included.

use std::borrow::Cow;

/// Marks set on one letter before the rest is taken for mischief: no script stacks more.
const MAX_MARKS: usize = 2;

/// `text` with everything a terminal would obey, or would not show, written out as `\u{..}`:
/// control characters, changes of direction, invisible characters and stacks of marks.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for letter in text.chars() {
        marks = if is_mark(letter) { marks + 1 } else { 0 };
        if letter.is_control() || is_invisible(letter) || marks > MAX_MARKS {
            out.extend(letter.escape_unicode());
        } else {
            out.push(letter);
        }
    }
    out.into()
}

/// Characters without a shape of their own (Unicode 16 `Default_Ignorable_Code_Point`, `Cf`, line
/// and paragraph separators), those that change the direction of others among them.
const fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1345f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The blocks of combining marks that go with any letter.
const fn is_mark(letter: char) -> bool {
    matches!(letter,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_for_a_terminal_to_obey() {
        for (text, shown) in [
            ("www.example.org", "www.example.org"),
            ("WeChat 微信", "WeChat 微信"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\r\nb\tc\0", "a\\u{d}\\u{a}b\\u{9}c\\u{0}"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("moc.\u{202e}live", "moc.\\u{202e}live"),
            ("a\u{2066}b\u{200b}", "a\\u{2066}b\\u{200b}"),
            ("e\u{301}", "e\u{301}"),
            ("e\u{301}\u{301}\u{301}x", "e\u{301}\u{301}\\u{301}x"),
            ("\u{e0041}", "\\u{e0041}"),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }
}
