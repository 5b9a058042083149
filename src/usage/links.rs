//! Frames of link types that are not decoded, by type.

/// How many link types are told apart; no capture should have more.
const ROOM: usize = 8;

/// Link types that are not decoded and their frames, in the order of their numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnknownLinks {
    /// Number and frames; zero frames where there is none.
    rows: [(u16, u64); ROOM],
    /// Frames of types for which there was no room.
    others: u64,
}

impl UnknownLinks {
    /// Counts frames of the type `link`.
    pub fn count(&mut self, link: u16, frames: u64) {
        let taken = self.rows.iter().take_while(|row| row.1 > 0).count();
        let rows = self.rows.get(..taken).unwrap_or_default();
        match rows.binary_search_by_key(&link, |row| row.0) {
            Ok(place) => {
                if let Some(row) = self.rows.get_mut(place) {
                    row.1 += frames;
                }
            }
            Err(_) if taken == ROOM || frames == 0 => self.others += frames,
            Err(place) => {
                if let Some(later) = self.rows.get_mut(place..=taken) {
                    later.rotate_right(1);
                    if let Some(row) = later.first_mut() {
                        *row = (link, frames);
                    }
                }
            }
        }
    }

    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        for (link, frames) in other.iter() {
            self.count(link, frames);
        }
        self.others += other.others;
    }

    /// Each type and its frames.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> {
        self.rows.into_iter().filter(|row| row.1 > 0)
    }

    /// Frames of further types, when there were more than are told apart.
    pub const fn others(&self) -> u64 {
        self.others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_the_same_in_any_order() {
        let frames = [(239, 2), (1, 1), (65_535, 3), (0, 4), (239, 5)];
        let mut all = UnknownLinks::default();
        let (mut one, mut other) = (all, all);
        for (place, &(link, count)) in frames.iter().enumerate() {
            all.count(link, count);
            if place % 2 == 0 { &mut one } else { &mut other }.count(link, count);
        }
        let rows: Vec<_> = all.iter().collect();
        assert_eq!(rows, [(0, 4), (1, 1), (239, 7), (65_535, 3)]);
        other.add(&one);
        assert_eq!(other, all);
    }

    #[test]
    fn more_types_than_there_is_room_for() {
        let mut links = UnknownLinks::default();
        for link in 0..20 {
            links.count(link, 2);
        }
        links.count(3, 1);
        assert_eq!(
            links.iter().map(|row| row.1).sum::<u64>() + links.others(),
            41
        );
        assert_eq!(links.iter().count(), ROOM);
    }
}
