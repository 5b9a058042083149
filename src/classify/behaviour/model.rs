//! The file of a forest: written by `ottometer learn --train`, read by whoever names flows with it.
//!
//! All numbers are little-endian. Whatever is in a file, reading it takes no more than a few times its
//! size, and asking what was read comes to an end: a node's children stand behind it.

use std::fmt;

use super::features::{COUNT, Features};

/// How a file begins.
const MAGIC: [u8; 8] = *b"\x89OTBHV\r\n";

/// Of the file's form and of what the numbers of a flow mean.
const VERSION: u16 = 1;

/// The largest file.
pub const MOST_BYTES: usize = 64 << 20;
/// The most trees.
pub const MOST_TREES: usize = 256;
/// The most classes.
pub const MOST_CLASSES: usize = 4096;
/// The most nodes of all trees.
pub const MOST_NODES: usize = 4 << 20;
/// The longest name of a class.
const LONGEST_NAME: usize = 64;
/// In place of a number of a flow: a leaf.
const LEAF: u8 = u8::MAX;

/// Trees, and what they call flows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forest {
    classes: Vec<Class>,
    /// Where each tree begins.
    roots: Vec<u32>,
    nodes: Vec<Node>,
}

/// What a forest may call a flow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Class {
    /// The slug of an application; empty: none of those it knows.
    pub name: Box<str>,
    /// Which share of the trees' votes names a flow; `None`: none does.
    pub least: Option<f32>,
    /// Of flows that were kept aside, those called so rightly.
    pub right: u32,
    /// Those called so wrongly.
    pub wrong: u32,
    /// Those that are so, called so or not.
    pub of: u32,
}

impl Class {
    /// Whether flows may be called so.
    pub const fn speaks(&self) -> bool {
        self.least.is_some() && !self.name.is_empty()
    }
}

/// A node of a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node {
    /// Goes on with one of two nodes, which stand behind it.
    Split {
        /// Which of the flow's numbers is looked at.
        feature: u8,
        /// Up to this number, both ends included, with the node `low`.
        most: f32,
        /// For numbers up to that.
        low: u32,
        /// For the others.
        high: u32,
    },
    /// Votes.
    Leaf {
        /// For this class.
        class: u16,
        /// With this weight: which share of the flows that came here in training are of it.
        weight: f32,
    },
}

/// Why a file is none of a forest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It begins otherwise.
    NotAModel,
    /// It is of another version.
    Version(u16),
    /// It looks at so many numbers of a flow, which are not those of this program.
    Features(u16),
    /// It ends too early, or goes on behind its end.
    Length,
    /// There are more of these than may be, or none.
    Count(&'static str),
    /// A name of a class is none, or there twice.
    Name,
    /// A number is none, or out of its range.
    Number,
    /// A node leads to one that is not behind it in its tree, or votes for what is no class.
    Node,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAModel => write!(f, "is no model of `ottometer learn --train`"),
            Self::Version(version) => write!(
                f,
                "is a model of version {version}, this program reads {VERSION}: train it anew"
            ),
            Self::Features(count) => write!(
                f,
                "looks at {count} numbers of a flow, this program at {COUNT}: train it anew"
            ),
            Self::Length => write!(f, "is cut, or has more than a model at its end"),
            Self::Count(of) => write!(f, "has more {of} than a model may have, or none"),
            Self::Name => write!(f, "has a class whose name is no slug, or is there twice"),
            Self::Number => write!(f, "has a number that is out of its range"),
            Self::Node => write!(f, "has a node that leads nowhere"),
        }
    }
}

impl std::error::Error for Fault {}

impl Forest {
    /// A forest of these trees, each with its nodes from its root on, whose children are places in its
    /// own list.
    ///
    /// # Errors
    ///
    /// When it is none that a file could hold.
    pub fn new(classes: Vec<Class>, trees: &[Vec<Node>]) -> Result<Self, Fault> {
        let mut forest = Self {
            classes,
            ..Self::default()
        };
        for tree in trees {
            let root = u32::try_from(forest.nodes.len()).map_err(|_| Fault::Count("nodes"))?;
            forest.roots.push(root);
            forest.nodes.extend(tree.iter().map(|&node| match node {
                Node::Split {
                    feature,
                    most,
                    low,
                    high,
                } => Node::Split {
                    feature,
                    most,
                    low: low.saturating_add(root),
                    high: high.saturating_add(root),
                },
                leaf @ Node::Leaf { .. } => leaf,
            }));
        }
        forest.check()?;
        Ok(forest)
    }

    /// What it may call flows.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// How many trees it has.
    pub const fn trees(&self) -> usize {
        self.roots.len()
    }

    /// How many nodes they have.
    pub const fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The same with other bounds and counts of its classes.
    #[must_use]
    pub fn with_classes(self, classes: Vec<Class>) -> Self {
        Self { classes, ..self }
    }

    /// Bytes it takes.
    pub fn memory(&self) -> usize {
        let names: usize = self.classes.iter().map(|class| class.name.len()).sum();
        self.nodes.len() * size_of::<Node>()
            + self.roots.len() * size_of::<u32>()
            + self.classes.len() * size_of::<Class>()
            + names
    }

    /// The class with the most votes, and its share of them. `votes` has room for them.
    pub fn vote(&self, features: &Features, votes: &mut Vec<f32>) -> Option<(usize, f32)> {
        votes.clear();
        votes.resize(self.classes.len(), 0.0);
        for &root in &self.roots {
            if let Some((class, weight)) = self.leaf(root, features)
                && let Some(votes) = votes.get_mut(usize::from(class))
            {
                *votes += weight;
            }
        }
        let mut best: Option<(usize, f32)> = None;
        for (class, &sum) in votes.iter().enumerate() {
            if best.is_none_or(|(_, most)| sum > most) {
                best = Some((class, sum));
            }
        }
        // At most 256 trees.
        let trees = u16::try_from(self.roots.len()).map_or(1.0, f32::from);
        best.map(|(class, sum)| (class, sum / trees))
    }

    /// The class of a flow, if enough trees vote for it.
    pub fn decide(&self, features: &Features, votes: &mut Vec<f32>) -> Option<usize> {
        let (class, share) = self.vote(features, votes)?;
        let bound = self.classes.get(class)?;
        let least = bound.least.filter(|_| bound.speaks())?;
        (share >= least).then_some(class)
    }

    fn leaf(&self, root: u32, features: &Features) -> Option<(u16, f32)> {
        let mut place = root;
        // Children stand behind their parents.
        loop {
            match *self.nodes.get(place as usize)? {
                Node::Leaf { class, weight } => return Some((class, weight)),
                Node::Split {
                    feature,
                    most,
                    low,
                    high,
                } => {
                    let value = *features.values().get(usize::from(feature))?;
                    place = if value <= most { low } else { high };
                }
            }
        }
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
        out.extend((COUNT as u16).to_le_bytes());
        out.extend(count(self.classes.len()));
        out.extend(count(self.roots.len()));
        out.extend(count(self.nodes.len()));
        for class in &self.classes {
            out.push(u8::try_from(class.name.len()).unwrap_or(u8::MAX));
            out.extend(class.name.as_bytes());
            // More than all of the votes: silence.
            out.extend(class.least.unwrap_or(2.0).to_le_bytes());
            for number in [class.right, class.wrong, class.of] {
                out.extend(number.to_le_bytes());
            }
        }
        for root in &self.roots {
            out.extend(root.to_le_bytes());
        }
        for node in &self.nodes {
            match *node {
                Node::Split {
                    feature,
                    most,
                    low,
                    high,
                } => {
                    out.push(feature);
                    out.extend(most.to_le_bytes());
                    out.extend(low.to_le_bytes());
                    out.extend(high.to_le_bytes());
                }
                Node::Leaf { class, weight } => {
                    out.push(LEAF);
                    out.extend(class.to_le_bytes());
                    out.extend(weight.to_le_bytes());
                }
            }
        }
        out
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let Some(rest) = bytes.strip_prefix(&MAGIC) else {
            return Err(Fault::NotAModel);
        };
        let mut reader = Reader(rest);
        let version = reader.u16()?;
        if version != VERSION {
            return Err(Fault::Version(version));
        }
        let features = reader.u16()?;
        if usize::from(features) != COUNT {
            return Err(Fault::Features(features));
        }
        // Lists have no more room than there are bytes that could fill them.
        let classes = reader.count(MOST_CLASSES, "classes")?;
        let trees = reader.count(MOST_TREES, "trees")?;
        let nodes = reader.count(MOST_NODES, "nodes")?;
        let mut forest = Self::default();
        for _ in 0..classes {
            let length = usize::from(reader.array::<1>()?[0]);
            let name = reader.take(length)?;
            let name = str::from_utf8(name).map_err(|_| Fault::Name)?.into();
            let least = reader.f32()?;
            let [right, wrong, of] = [reader.u32()?, reader.u32()?, reader.u32()?];
            forest.classes.push(Class {
                name,
                least: (least <= 1.0).then_some(least),
                right,
                wrong,
                of,
            });
        }
        for _ in 0..trees {
            forest.roots.push(reader.u32()?);
        }
        for _ in 0..nodes {
            let feature = reader.array::<1>()?[0];
            forest.nodes.push(if feature == LEAF {
                Node::Leaf {
                    class: reader.u16()?,
                    weight: reader.f32()?,
                }
            } else {
                Node::Split {
                    feature,
                    most: reader.f32()?,
                    low: reader.u32()?,
                    high: reader.u32()?,
                }
            });
        }
        if !reader.0.is_empty() {
            return Err(Fault::Length);
        }
        forest.check()?;
        Ok(forest)
    }

    /// Whether all that is said of a forest holds.
    fn check(&self) -> Result<(), Fault> {
        let within = |count: usize, most, of| match (1..=most).contains(&count) {
            true => Ok(()),
            false => Err(Fault::Count(of)),
        };
        within(self.classes.len(), MOST_CLASSES, "classes")?;
        within(self.roots.len(), MOST_TREES, "trees")?;
        within(self.nodes.len(), MOST_NODES, "nodes")?;
        let is_letter =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let mut names: Vec<&str> = self.classes.iter().map(|class| &*class.name).collect();
        names.sort_unstable();
        let are_slugs = names
            .iter()
            .all(|name| name.len() <= LONGEST_NAME && name.bytes().all(is_letter));
        if !are_slugs || names.windows(2).any(|pair| pair.first() == pair.last()) {
            return Err(Fault::Name);
        }
        let is_share = |share: f32| (0.0..=1.0).contains(&share);
        let bounds = self.classes.iter().filter_map(|class| class.least);
        if !bounds.into_iter().all(is_share) {
            return Err(Fault::Number);
        }
        if self
            .roots
            .iter()
            .any(|&root| root as usize >= self.nodes.len())
        {
            return Err(Fault::Node);
        }
        for (place, node) in self.nodes.iter().enumerate() {
            match *node {
                Node::Split {
                    feature,
                    most,
                    low,
                    high,
                } => {
                    if usize::from(feature) >= COUNT || !most.is_finite() {
                        return Err(Fault::Number);
                    }
                    let is_behind =
                        |child: u32| (place + 1..self.nodes.len()).contains(&(child as usize));
                    if !is_behind(low) || !is_behind(high) {
                        return Err(Fault::Node);
                    }
                }
                Node::Leaf { class, weight } => {
                    if usize::from(class) >= self.classes.len() {
                        return Err(Fault::Node);
                    }
                    if !is_share(weight) {
                        return Err(Fault::Number);
                    }
                }
            }
        }
        Ok(())
    }
}

/// What is left of a file.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Fault::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (&taken, rest) = self.0.split_first_chunk().ok_or(Fault::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    fn f32(&mut self) -> Result<f32, Fault> {
        let number = self.array().map(f32::from_le_bytes)?;
        // Above one only where a class keeps silent.
        number.is_finite().then_some(number).ok_or(Fault::Number)
    }

    fn count(&mut self, most: usize, of: &'static str) -> Result<usize, Fault> {
        let count = self.u32()? as usize;
        (1..=most)
            .contains(&count)
            .then_some(count)
            .ok_or(Fault::Count(of))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::flow::{End, Sequence};

    fn class(name: &str, least: Option<f32>) -> Class {
        Class {
            name: name.into(),
            least,
            right: 5,
            wrong: 1,
            of: 9,
        }
    }

    const fn leaf(class: u16, weight: f32) -> Node {
        Node::Leaf { class, weight }
    }

    const fn split(feature: u8, most: f32, low: u32, high: u32) -> Node {
        Node::Split {
            feature,
            most,
            low,
            high,
        }
    }

    fn forest() -> Forest {
        let classes = vec![
            class("", None),
            class("acme", Some(0.7)),
            class("other", None),
        ];
        let trees = [
            vec![split(2, -500.0, 1, 2), leaf(1, 1.0), leaf(0, 1.0)],
            vec![split(2, -500.0, 2, 1), leaf(2, 1.0), leaf(1, 0.5)],
        ];
        Forest::new(classes, &trees).unwrap()
    }

    fn features(first: u32) -> Features {
        let mut sequence = Sequence::default();
        for _ in 0..6 {
            sequence.push(End::High, first, Duration::ZERO);
        }
        Features::of(sequence.sides(true), 6, 443).unwrap()
    }

    #[test]
    fn trees_vote_and_few_votes_are_none() {
        let forest = forest();
        let mut votes = Vec::new();
        assert_eq!(forest.vote(&features(600), &mut votes), Some((1, 0.75)));
        assert_eq!(forest.decide(&features(600), &mut votes), Some(1));
        // A tie goes to the first, which is no application.
        assert_eq!(forest.vote(&features(100), &mut votes), Some((0, 0.5)));
        assert_eq!(forest.decide(&features(100), &mut votes), None);
        let mut strict = forest.classes().to_vec();
        strict[1].least = Some(0.8);
        let strict = forest.with_classes(strict);
        assert_eq!(strict.decide(&features(600), &mut votes), None);
    }

    #[test]
    fn a_file_is_what_was_written() {
        let forest = forest();
        let bytes = forest.to_bytes();
        assert_eq!(Forest::from_bytes(&bytes), Ok(forest));
        for length in 0..bytes.len() {
            let cut = Forest::from_bytes(&bytes[..length]);
            assert!(
                matches!(cut, Err(Fault::NotAModel | Fault::Length)),
                "{length}: {cut:?}"
            );
        }
        let longer = [&bytes[..], b"x"].concat();
        assert_eq!(Forest::from_bytes(&longer), Err(Fault::Length));
    }

    #[test]
    fn what_is_no_forest_is_refused() {
        let bytes = forest().to_bytes();
        let with = |at: usize, new: &[u8]| {
            let mut bytes = bytes.clone();
            bytes[at..at + new.len()].copy_from_slice(new);
            Forest::from_bytes(&bytes).unwrap_err()
        };
        assert_eq!(with(0, b"x"), Fault::NotAModel);
        assert_eq!(with(8, &[9, 0]), Fault::Version(9));
        assert_eq!(with(10, &[1, 0]), Fault::Features(1));
        assert_eq!(with(12, &[0; 4]), Fault::Count("classes"));
        assert_eq!(with(16, &[255; 4]), Fault::Count("trees"));
        assert_eq!(with(20, &[255; 4]), Fault::Count("nodes"));
        // As many as may be, which the file does not have.
        assert_eq!(with(20, &(MOST_NODES as u32).to_le_bytes()), Fault::Length);
        let one = [class("a", None)];
        for (classes, tree, fault) in [
            (vec![class("A", None)], vec![leaf(0, 1.0)], Fault::Name),
            (
                vec![class("a", None), class("a", None)],
                vec![leaf(0, 1.0)],
                Fault::Name,
            ),
            (
                vec![class("a", Some(f32::NAN))],
                vec![leaf(0, 1.0)],
                Fault::Number,
            ),
            (one.to_vec(), vec![leaf(0, 1.5)], Fault::Number),
            (one.to_vec(), vec![leaf(1, 1.0)], Fault::Node),
            (
                one.to_vec(),
                vec![split(0, f32::NAN, 1, 1), leaf(0, 1.0)],
                Fault::Number,
            ),
            (
                one.to_vec(),
                vec![split(200, 1.0, 1, 1), leaf(0, 1.0)],
                Fault::Number,
            ),
            // To itself, before it, behind the end.
            (
                one.to_vec(),
                vec![split(0, 1.0, 0, 1), leaf(0, 1.0)],
                Fault::Node,
            ),
            (
                one.to_vec(),
                vec![leaf(0, 1.0), split(0, 1.0, 0, 0)],
                Fault::Node,
            ),
            (
                one.to_vec(),
                vec![split(0, 1.0, 1, 2), leaf(0, 1.0)],
                Fault::Node,
            ),
            (one.to_vec(), vec![], Fault::Count("nodes")),
        ] {
            assert_eq!(Forest::new(classes, &[tree]), Err(fault));
        }
    }

    proptest! {
        /// Whatever a file holds, it is refused or can be asked.
        #[test]
        fn changed_files_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut bytes = forest().to_bytes();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(forest) = Forest::from_bytes(&bytes) {
                forest.decide(&features(600), &mut Vec::new());
                prop_assert_eq!(Forest::from_bytes(&forest.to_bytes()), Ok(forest));
            }
        }
    }
}
