//! Which row of a list is selected, while the list changes under it.

/// A place in a list whose rows have keys.
///
/// The first row is a place of its own: who stands there sees whatever comes to be first. Anywhere
/// else the selection stays with its row.
#[derive(Clone, Debug)]
pub(super) struct Cursor<K> {
    key: Option<K>,
    index: usize,
    offset: usize,
    page: usize,
}

impl<K> Default for Cursor<K> {
    fn default() -> Self {
        Self {
            key: None,
            index: 0,
            offset: 0,
            page: 1,
        }
    }
}

/// Where the selection is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Motion {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
}

impl<K: Clone + PartialEq> Cursor<K> {
    /// The selected row's place in `keys`; where its row is gone, the one that took its place.
    pub(super) fn place(&mut self, keys: &[K]) -> usize {
        let found = self.key.as_ref();
        let found = found.and_then(|key| keys.iter().position(|other| other == key));
        self.index = match (&self.key, found) {
            (None, _) => 0,
            (_, Some(found)) => found,
            (Some(_), None) => self.index.min(keys.len().saturating_sub(1)),
        };
        if self.key.is_some() && found.is_none() {
            self.key = keys.get(self.index).cloned();
        }
        self.index
    }

    pub(super) fn step(&mut self, motion: Motion, keys: &[K]) {
        let place = self.place(keys);
        let last = keys.len().saturating_sub(1);
        let page = self.page.max(1);
        let place = match motion {
            Motion::Up => place.saturating_sub(1),
            Motion::Down => place.saturating_add(1).min(last),
            Motion::PageUp => place.saturating_sub(page),
            Motion::PageDown => place.saturating_add(page).min(last),
            Motion::First => 0,
            Motion::Last => last,
        };
        self.index = place;
        self.key = if place == 0 {
            None
        } else {
            keys.get(place).cloned()
        };
    }

    /// The rows of `keys` that are seen in `height` lines, so that the selected one is.
    pub(super) fn window(&mut self, keys: &[K], height: usize) -> std::ops::Range<usize> {
        self.page = height;
        let place = self.place(keys);
        let lowest = place.saturating_sub(height.saturating_sub(1));
        let highest = keys.len().saturating_sub(height);
        self.offset = self.offset.clamp(lowest, place).min(highest.max(lowest));
        self.offset..keys.len().min(self.offset.saturating_add(height))
    }

    pub(super) fn reset(&mut self) {
        let page = self.page;
        *self = Self {
            page,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_where_it_is_told() {
        let keys: Vec<u32> = (0..10).collect();
        let mut cursor = Cursor::default();
        assert_eq!(cursor.window(&keys, 4), 0..4);
        for (motion, place, window) in [
            (Motion::Up, 0, 0..4),
            (Motion::Down, 1, 0..4),
            (Motion::PageDown, 5, 2..6),
            (Motion::Last, 9, 6..10),
            (Motion::Down, 9, 6..10),
            (Motion::PageUp, 5, 5..9),
            (Motion::First, 0, 0..4),
        ] {
            cursor.step(motion, &keys);
            assert_eq!(cursor.place(&keys), place, "{motion:?}");
            assert_eq!(cursor.window(&keys, 4), window, "{motion:?}");
        }
    }

    #[test]
    fn stays_with_its_row() {
        let mut cursor = Cursor::default();
        cursor.step(Motion::Down, &[7, 5, 3]);
        for (keys, place) in [
            (&[9, 8, 7, 5, 3][..], 3),
            (&[5], 0),
            (&[9, 5], 1),
            // It is gone: the row in its place is selected from now on.
            (&[9, 4], 1),
            (&[4, 9], 0),
            (&[], 0),
        ] {
            assert_eq!(cursor.place(keys), place, "{keys:?}");
        }
        let mut top = Cursor::<u32>::default();
        assert_eq!(top.place(&[3, 2]), 0);
        assert_eq!(
            top.place(&[4, 3, 2]),
            0,
            "the first place follows what is new"
        );
    }

    #[test]
    fn no_height_no_rows() {
        let mut cursor = Cursor::default();
        assert!(cursor.window(&[1, 2, 3], 0).is_empty());
        assert!(cursor.window(&[] as &[u32], 5).is_empty());
        cursor.step(Motion::Last, &[1, 2, 3]);
        assert!(cursor.window(&[1, 2, 3], 0).is_empty());
    }
}
