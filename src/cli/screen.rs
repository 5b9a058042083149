//! How wide what people read may be.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use terminal_size::{Width, terminal_size_of};

/// Columns there are for tables on `stream`: what `COLUMNS` says, if it is exported, else the width
/// of the terminal. `None` where it is no terminal: what is kept or passed on has all columns.
pub(super) fn width(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|text| text.trim().parse().ok());
    let columns = told.or_else(|| {
        let size = stream.is_terminal().then(|| terminal_size_of(stream));
        size.flatten()
            .map(|(Width(columns), _)| usize::from(columns))
    });
    columns.filter(|&columns| columns > 0)
}
