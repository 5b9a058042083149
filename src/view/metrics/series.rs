//! Volume by name as a bounded number of series that never go back.
//!
//! What a snapshot holds under a name is held against what it held before, and the growth is added
//! to a series. So a series stays when its name leaves the signature set, and continues when the
//! name comes back; when an application changes its category, what is new goes to a new series and
//! the sum over all stays right.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::app::Service;
use crate::encode::prometheus::Labels;
use crate::flow::{Counters, PerSide};
use crate::usage::Totals;
use crate::verdict::Evidence;
use crate::view::snapshot::Snapshot;

/// The labels of one name's flows.
pub(super) const FLOW_LABELS: &[&str] = &[
    "app",
    "category",
    "service",
    "protocol",
    "evidence",
    "interface",
];

/// The same and the direction.
pub(super) const VOLUME_LABELS: &[&str] = &[
    "app",
    "category",
    "service",
    "protocol",
    "evidence",
    "interface",
    "direction",
];

/// The application and category beyond the limit.
const OTHER: &str = "other";

/// What a name on an interface is apart from its category, which is the signature set's to change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Identity {
    app: Option<Box<str>>,
    service: Option<Service>,
    /// Only where there is no application.
    protocol: Option<Box<str>>,
    evidence: Option<Evidence>,
    /// Where interfaces are kept apart.
    interface: Option<Box<str>>,
}

/// What was last seen under a name, and where it is counted.
#[derive(Debug)]
struct Tracked {
    seen: Totals,
    category: Box<str>,
    place: usize,
}

/// One set of label values and what was counted under it.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) flow_labels: Labels,
    pub(super) volume_labels: PerSide<Labels>,
    pub(super) totals: Totals,
}

/// All series of volume by name.
#[derive(Debug)]
pub(super) struct SeriesSet {
    limit: usize,
    tracked: HashMap<Identity, Tracked>,
    places: HashMap<Labels, usize>,
    series: Vec<Series>,
    /// What is beyond the limit, of each interface.
    other: HashMap<Option<Box<str>>, usize>,
    in_other: u64,
    /// Series with their values on the page; the others stand at 0.
    shown: usize,
}

impl SeriesSet {
    /// None yet; at most `limit` before names go to `other`.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            tracked: HashMap::new(),
            places: HashMap::new(),
            series: Vec::new(),
            other: HashMap::new(),
            in_other: 0,
            shown: 0,
        }
    }

    /// All series, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Series> {
        self.series.iter()
    }

    /// All series, the oldest first, with what is shown of each.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&Series, Totals)> {
        let all = self.series.iter().enumerate();
        all.map(|(place, series)| match place < self.shown {
            true => (series, series.totals),
            false => (series, Totals::default()),
        })
    }

    /// What is not shown.
    pub(super) fn hidden(&self) -> Totals {
        let mut sum = Totals::default();
        let hidden = self.series.get(self.shown..).unwrap_or_default();
        hidden.iter().for_each(|series| sum.add(&series.totals));
        sum
    }

    /// Shows so many series, the oldest, if they were not shown before. Gives how many are shown.
    pub(super) fn show(&mut self, series: usize) -> usize {
        self.shown = self.shown.max(series.min(self.series.len()));
        self.shown
    }

    /// Series that are a name's own.
    pub(super) fn own(&self) -> u64 {
        (self.series.len() - self.other.len()) as u64
    }

    /// How many there may be.
    pub(super) const fn limit(&self) -> u64 {
        self.limit as u64
    }

    /// Names that are counted under `other`.
    pub(super) const fn in_other(&self) -> u64 {
        self.in_other
    }

    /// Adds what grew since the last time. Of names seen for the first time the largest get
    /// their series first.
    pub(super) fn update(&mut self, snapshot: &Snapshot) {
        let (cells, set) = (&snapshot.cells, &snapshot.set);
        let mut now: BTreeMap<Identity, (Box<str>, Totals)> = BTreeMap::new();
        for (key, totals) in cells.iter() {
            if key.app.is_none() && key.proto.is_none() {
                continue;
            }
            let catalog = set.catalog();
            let app = key.app.map(|id| catalog.app(id));
            let identity = Identity {
                app: app.map(|app| app.map_or(OTHER, |app| &app.name).into()),
                service: key.service,
                protocol: match key.app {
                    Some(_) => None,
                    None => key.proto.map(|proto| catalog.protocol_name(proto).into()),
                },
                evidence: key.evidence,
                interface: snapshot.interface(key).map(Into::into),
            };
            let category = app.map_or("", |app| app.map_or(OTHER, |app| &app.category));
            let entry = now
                .entry(identity)
                .or_insert_with(|| (category.into(), Totals::default()));
            entry.1.add(totals);
        }
        let (known, mut new): (Vec<_>, Vec<_>) = now
            .into_iter()
            .partition(|(identity, _)| self.tracked.contains_key(identity));
        new.sort_by_key(|(_, (_, totals))| std::cmp::Reverse(totals.bytes()));
        for (identity, (category, totals)) in known.into_iter().chain(new) {
            self.grow(identity, category, &totals);
        }
    }

    fn grow(&mut self, identity: Identity, category: Box<str>, totals: &Totals) {
        let before = self.tracked.remove(&identity);
        let was_in_other = before
            .as_ref()
            .is_some_and(|before| self.other.get(&identity.interface) == Some(&before.place));
        let place = match &before {
            Some(before) if was_in_other || before.category == category => Some(before.place),
            _ => self.place(&identity, &category),
        };
        let place = place.unwrap_or_else(|| {
            self.in_other += 1;
            self.other_place(&identity.interface)
        });
        let seen = before.map(|before| before.seen).unwrap_or_default();
        if let Some(series) = self.series.get_mut(place) {
            series.totals.add(&growth(&seen, totals));
        }
        let tracked = Tracked {
            seen: *totals,
            category,
            place,
        };
        self.tracked.insert(identity, tracked);
    }

    /// The series of these labels, a new one if there is room.
    fn place(&mut self, identity: &Identity, category: &str) -> Option<usize> {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned().into();
        let labels: Labels = Arc::new([
            text(identity.app.as_deref()),
            text(Some(category)),
            identity.service.map_or("", Service::slug).into(),
            text(identity.protocol.as_deref()),
            identity.evidence.map_or("", Evidence::slug).into(),
            text(identity.interface.as_deref()),
        ]);
        if let Some(&place) = self.places.get(&labels) {
            return Some(place);
        }
        (self.own() < self.limit()).then(|| self.add(labels))
    }

    fn other_place(&mut self, interface: &Option<Box<str>>) -> usize {
        if let Some(&place) = self.other.get(interface) {
            return place;
        }
        let name = interface.as_deref().unwrap_or_default().to_owned();
        let labels: Labels = Arc::new([
            OTHER.into(),
            OTHER.into(),
            "".into(),
            "".into(),
            "".into(),
            name.into(),
        ]);
        let known = self.places.get(&labels).copied();
        let place = known.unwrap_or_else(|| self.add(labels));
        self.other.insert(interface.clone(), place);
        place
    }

    fn add(&mut self, labels: Labels) -> usize {
        let with = |direction: &'static str| -> Labels {
            labels.iter().cloned().chain([direction.into()]).collect()
        };
        self.series.push(Series {
            flow_labels: labels.clone(),
            // What the client sends goes to the server: the words of flow and usage records.
            volume_labels: PerSide {
                client: with("toserver"),
                server: with("toclient"),
            },
            totals: Totals::default(),
        });
        let place = self.series.len() - 1;
        self.places.insert(labels, place);
        place
    }
}

/// What was added between two looks at one name. Should it count from zero again (its
/// application left the signature set and came back), everything is new.
fn growth(before: &Totals, now: &Totals) -> Totals {
    let side = |before: &Counters, now: &Counters| {
        Some(Counters {
            packets: now.packets.checked_sub(before.packets)?,
            bytes: now.bytes.checked_sub(before.bytes)?,
            ip_bytes: now.ip_bytes.checked_sub(before.ip_bytes)?,
        })
    };
    let grown = || {
        Some(Totals {
            sides: PerSide {
                client: side(&before.sides.client, &now.sides.client)?,
                server: side(&before.sides.server, &now.sides.server)?,
            },
            flows: now.flows.checked_sub(before.flows)?,
        })
    };
    grown().unwrap_or(*now)
}
