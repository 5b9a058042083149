//! Lines on their way into a file, laid out so that a kill cannot leave half a line behind.
//!
//! **What Linux promises.** A buffered write(2) to a regular file is a loop over the page cache
//! (`generic_perform_write` of mm/filemap.c, which ext4, tmpfs and others use;
//! `iomap_write_iter` of XFS; btrfs has its own of the same kind). Each round prepares one folio,
//! copies up to the folio's end at most, and moves the file's size forward; before each round it
//! asks for a fatal signal, and between rounds it may sleep because too many pages are dirty. So
//! SIGKILL ends a write after any round: what fits one round is written whole or not at all, what
//! spans two can be left half-written, and the process never runs again to mend it. A folio is a
//! page or an aligned power of two of them: every end of a round that is not the write's own end
//! is a multiple of the page size. The smallest page of any Linux machine has 4,096 bytes.
//!
//! **What follows.** If the end of each 4,096 bytes of the file is also the end of a line, then a
//! write of any length can be cut only where a line ends. So no line is put across such a
//! boundary: a line that does not fit starts behind it, and the one before is filled up with
//! blanks in front of its line feed. That is white space JSON ignores (RFC 8259, section 2). It
//! costs half a line in 4,096 bytes, before compression.
//!
//! In CSV blanks are part of a field (RFC 4180, section 2), so lines of CSV are not filled up, and
//! neither is what is not text. A kill in the middle of a write can leave the last of them without its
//! end, and a line so without its line feed; it is cut off when the file is opened again. Who reads meanwhile takes a line when its line
//! feed is there, as with any file that grows.
//!
//! When lines are written out because it is time and not because there are many, the next line's
//! length is not known. Then the page is filled up if it has less room than the widest line so
//! far, in steps of 1,024 bytes. The line that is wider than all before, in a page that was written
//! out before and has too little room for it, crosses the boundary: that can happen three times in
//! a run. Lines longer than a page cross it always; exporters keep theirs shorter.
//!
//! The buffer is aligned as the file is, so a copy that stops short because a page of ours was
//! taken away by the kernel stops at a boundary as well.

use std::collections::VecDeque;
use std::io::IoSlice;

/// The smallest page size of Linux.
pub(super) const PAGE: usize = 4096;
/// Pages held: 64 KiB go out in one write.
const PAGES: usize = 16;
const CAPACITY: usize = PAGE * PAGES;
/// A page that is written out with less room than this gets no further line.
const STEP: usize = 1024;

#[derive(Clone)]
#[repr(align(4096))]
struct Page([u8; PAGE]);

/// Whole records that are not written yet. A place in it is equal to its place in the file, modulo
/// the page size.
pub(super) struct Pages {
    pages: Box<[Page]>,
    from: usize,
    to: usize,
    /// Where records end, and whether they count: a head does not.
    ends: VecDeque<(usize, bool)>,
    widest: usize,
    /// Lines may be filled up with blanks.
    pads: bool,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("widest", &self.widest)
            .finish_non_exhaustive()
    }
}

/// A record does not fit: what is held has to be written out first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl Pages {
    /// The longest record that is taken.
    pub(super) const LONGEST: usize = CAPACITY - PAGE;

    /// Whether lines may be filled up with blanks. Without, records cross boundaries as they come.
    pub(super) fn new(pads: bool) -> Self {
        Self {
            pages: vec![Page([0; PAGE]); PAGES].into_boxed_slice(),
            from: 0,
            to: 0,
            ends: VecDeque::new(),
            widest: STEP,
            pads,
        }
    }

    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.to - self.from
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Forgets all; what comes next is for this place in the file.
    pub(super) fn start_at(&mut self, place: u64) {
        let page = PAGE as u64;
        self.from = usize::try_from(place % page).unwrap_or(0);
        self.to = self.from;
        self.ends.clear();
    }

    /// How many bytes the file will have grown when a line of `len` bytes is in it too, in whole
    /// pages.
    pub(super) const fn end_with(&self, len: usize) -> usize {
        let mut end = self.to;
        let pads = self.pads && !self.is_empty();
        if pads && len > room(end) && !end.is_multiple_of(PAGE) {
            end = end.next_multiple_of(PAGE);
        }
        (end + len).next_multiple_of(PAGE) - self.from
    }

    /// Takes a record, which counts as one or not.
    pub(super) fn push(&mut self, line: &[u8], counts: bool) -> Result<(), NoRoom> {
        if line.len() > room(self.to) {
            self.fill_page();
        }
        if self.to + line.len() > CAPACITY {
            return Err(NoRoom);
        }
        self.widest = self.widest.max(line.len().next_multiple_of(STEP)).min(PAGE);
        self.put(line);
        self.ends.push_back((self.to, counts));
        Ok(())
    }

    /// What is to be written, with the last page filled up if it has no room for a further line.
    pub(super) fn slices(&mut self) -> Vec<IoSlice<'_>> {
        if room(self.to) < self.widest {
            self.fill_page();
        }
        let (from, to) = (self.from, self.to);
        let pages = self.pages.iter().zip((0..).step_by(PAGE));
        let parts = pages.filter_map(|(page, start)| {
            let part = from.saturating_sub(start)..to.saturating_sub(start).min(PAGE);
            page.0.get(part).filter(|part| !part.is_empty())
        });
        parts.map(IoSlice::new).collect()
    }

    /// How many records are held.
    pub(super) fn records(&self) -> u64 {
        self.ends.iter().filter(|(_, counts)| *counts).count() as u64
    }

    /// How many of the first `len` bytes are whole records.
    pub(super) fn whole(&self, len: usize) -> usize {
        let ends = self.ends.iter().map(|&(end, _)| end - self.from);
        ends.take_while(|&end| end <= len).last().unwrap_or(0)
    }

    /// The first `len` bytes, which are whole records, are in the file.
    pub(super) fn written(&mut self, len: usize) {
        self.from = (self.from + len).min(self.to);
        while self.ends.front().is_some_and(|&(end, _)| end <= self.from) {
            self.ends.pop_front();
        }
        // Room for more lines while the disk takes none: whole pages move to the front.
        let free = self.from / PAGE;
        self.pages.rotate_left(free % PAGES);
        self.from -= free * PAGE;
        self.to -= free * PAGE;
        self.ends
            .iter_mut()
            .for_each(|(end, _)| *end -= free * PAGE);
    }

    /// Fills up the page with blanks in front of the last line's feed, if that line is held.
    fn fill_page(&mut self) {
        let rest = room(self.to);
        if !self.pads || self.is_empty() || rest == PAGE {
            return;
        }
        self.to -= 1;
        self.put(&[b' '; PAGE][..rest]);
        self.put(b"\n");
        if let Some((end, _)) = self.ends.back_mut() {
            *end = self.to;
        }
    }

    fn put(&mut self, mut bytes: &[u8]) {
        while let Some(page) = self.pages.get_mut(self.to / PAGE)
            && !bytes.is_empty()
        {
            let (now, later) = bytes.split_at(bytes.len().min(room(self.to)));
            let start = self.to % PAGE;
            page.0[start..start + now.len()].copy_from_slice(now);
            self.to += now.len();
            bytes = later;
        }
    }
}

/// Bytes from `place` to the end of its page.
const fn room(place: usize) -> usize {
    PAGE - place % PAGE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(len: usize) -> Vec<u8> {
        let mut line = vec![b'x'; len - 1];
        line.push(b'\n');
        line
    }

    fn taken(pages: &mut Pages) -> Vec<u8> {
        pages
            .slices()
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect()
    }

    #[test]
    fn lines_end_where_pages_do() {
        // (place in the file, lines, what is written in bytes)
        for (place, lines, expected) in [
            (0, &[100][..], 100),
            (0, &[3000], 3000 + 1096),
            (0, &[3072], PAGE),
            (0, &[3073], PAGE),
            (0, &[PAGE], PAGE),
            (0, &[2000, 2000, 2000], PAGE + 2000),
            (0, &[PAGE, PAGE, 1], 3 * PAGE),
            (PAGE as u64 + 96, &[1000, 1000], 2000),
            (4000, &[96, 500], 96 + 500),
            // Nothing of ours to fill up: the line has to cross.
            (4000, &[500], 500),
            (0, &[5000], 2 * PAGE),
        ] {
            let mut pages = Pages::new(true);
            pages.start_at(place);
            for &len in lines {
                pages.push(&line(len), true).unwrap();
            }
            let text = taken(&mut pages);
            assert_eq!(text.len(), expected, "{place} {lines:?}");
            assert_eq!(pages.len(), expected);
            assert_eq!(text.last(), Some(&b'\n'));
            let got: Vec<usize> = text
                .split_inclusive(|&b| b == b'\n')
                .map(|line| line.trim_ascii_end().len() + 1)
                .collect();
            assert_eq!(got, lines, "{place}");
        }
    }

    #[test]
    fn lines_that_may_not_be_filled_up_stay_as_they_are() {
        for (place, lines) in [
            (0, &[3000, 3000, 96][..]),
            (4000, &[96, 500]),
            (100, &[PAGE, 1, 5000]),
        ] {
            let mut pages = Pages::new(false);
            pages.start_at(place);
            for &len in lines {
                assert!(pages.end_with(len) >= pages.len() + len);
                pages.push(&line(len), true).unwrap();
            }
            let expected: Vec<u8> = lines.iter().flat_map(|&len| line(len)).collect();
            assert_eq!(taken(&mut pages), expected);
        }
    }

    #[test]
    fn what_is_full_says_so_and_what_is_written_makes_room() {
        let mut pages = Pages::new(true);
        let mut count = 0;
        while pages.push(&line(1500), true).is_ok() {
            count += 1;
        }
        assert_eq!(count, 2 * PAGES);
        assert_eq!(taken(&mut pages).len(), CAPACITY);
        assert_eq!(pages.whole(PAGE + 10), PAGE);
        assert_eq!(pages.whole(1499), 0);
        pages.written(1500);
        assert_eq!(pages.push(&line(1500), true), Err(NoRoom));
        pages.written(PAGE - 1500);
        assert_eq!(pages.len(), CAPACITY - PAGE);
        pages.push(&line(1500), true).unwrap();
        let text = taken(&mut pages);
        assert_eq!(text.len(), CAPACITY - PAGE + 1500);
        assert_eq!(&text[..1500], line(1500));
    }

    #[test]
    fn says_how_far_a_line_would_reach() {
        let mut pages = Pages::new(true);
        assert_eq!(pages.end_with(1), PAGE);
        pages.push(&line(3000), true).unwrap();
        assert_eq!(pages.end_with(1096), PAGE);
        assert_eq!(pages.end_with(1097), 2 * PAGE);
        pages.start_at(4000);
        assert_eq!(pages.end_with(96), 96);
        assert_eq!(pages.end_with(97), 96 + PAGE);
    }
}
