//! Trains a forest (crate `smartcore`) and takes its trees into a [`Forest`] of our own, which is all
//! that naming flows needs.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use smartcore::ensemble::random_forest_classifier::{
    RandomForestClassifier, RandomForestClassifierParameters,
};
use smartcore::linalg::basic::matrix::DenseMatrix;
use smartcore::tree::decision_tree_classifier::SplitCriterion;

use super::examples::{Example, Examples};
use super::held_out::{self, FOLDS};
use crate::classify::behaviour::features::COUNT;
use crate::classify::behaviour::model::{Class, Fault, Forest, Node};

/// Trees: more change little.
const TREES: u16 = 64;
/// Splits from the root to a leaf, at most.
const DEPTH: u16 = 20;
/// Flows of a leaf, at least.
const IN_A_LEAF: usize = 2;
/// Flows to learn from, at least, and of one class.
const FEWEST: usize = 100;
/// The same site, the same forest.
const SEED: u64 = 0x6f74_746f;

/// Why there is no forest.
#[derive(Debug)]
pub enum TrainError {
    /// There are so many flows to learn from only.
    Few(usize),
    /// All flows are of one class.
    OneClass,
    /// The crate that makes trees refused, or its trees are not what they were.
    Trees(String),
    /// The forest is none that a file can hold.
    Fault(Fault),
}

impl fmt::Display for TrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Few(count) => write!(
                f,
                "{count} flows with proven names and enough packets to learn from, at least {FEWEST} are needed"
            ),
            Self::OneClass => write!(f, "all flows to learn from are of one application"),
            Self::Trees(reason) => write!(f, "the trees could not be made: {reason}"),
            Self::Fault(fault) => write!(f, "the forest {fault}"),
        }
    }
}

impl std::error::Error for TrainError {}

/// A forest of these flows. An application is named from the share of votes on from which `precision`
/// of the flows called so are rightly so, chosen on one half of the flows that are kept aside in turn and
/// measured on the other; where that cannot be reached, it is never named.
///
/// # Errors
///
/// When there is too little to learn from.
pub fn train(examples: &Examples, precision: f64) -> Result<Forest, TrainError> {
    let flows = examples.flows();
    if flows.len() < FEWEST {
        return Err(TrainError::Few(flows.len()));
    }
    let names: Vec<Class> = examples
        .classes()
        .iter()
        .map(|name| Class {
            name: name.clone(),
            ..Class::default()
        })
        .collect();
    let folds = held_out::folds(flows);
    let mut votes = Vec::with_capacity(flows.len());
    for fold in 0..FOLDS {
        let (aside, used): (Vec<_>, Vec<_>) =
            flows.iter().zip(&folds).partition(|&(_, &of)| of == fold);
        let used: Vec<&Example> = used.into_iter().map(|(flow, _)| flow).collect();
        let forest = fit(&used, names.clone())?;
        let aside: Vec<&Example> = aside.into_iter().map(|(flow, _)| flow).collect();
        votes.extend(held_out::ask(&forest, &aside, fold));
    }
    let classes = held_out::classes(names.clone(), &votes, precision);
    let all: Vec<&Example> = flows.iter().collect();
    Ok(fit(&all, names)?.with_classes(classes))
}

/// What the crate says of its forest when it is asked to write it.
#[derive(Deserialize)]
struct Written {
    trees: Vec<WrittenTree>,
}

#[derive(Deserialize)]
struct WrittenTree {
    nodes: Vec<WrittenNode>,
}

#[derive(Deserialize)]
struct WrittenNode {
    split_feature: usize,
    split_value: Option<f64>,
    true_child: Option<usize>,
    false_child: Option<usize>,
}

fn fit(flows: &[&Example], names: Vec<Class>) -> Result<Forest, TrainError> {
    let failed = |error: &dyn fmt::Display| TrainError::Trees(error.to_string());
    let labels: Vec<u32> = flows.iter().map(|flow| flow.class.into()).collect();
    if labels.windows(2).all(|pair| pair.first() == pair.last()) {
        return Err(TrainError::OneClass);
    }
    let values = flows.iter().flat_map(|flow| *flow.features.values());
    let values: Vec<f32> = values.collect();
    let matrix = DenseMatrix::new(flows.len(), COUNT, values, false);
    let matrix = matrix.map_err(|error| failed(&error))?;
    let parameters = RandomForestClassifierParameters {
        criterion: SplitCriterion::Gini,
        max_depth: Some(DEPTH),
        min_samples_leaf: IN_A_LEAF,
        min_samples_split: 2 * IN_A_LEAF,
        n_trees: TREES,
        m: None,
        keep_samples: false,
        seed: SEED,
    };
    let forest = RandomForestClassifier::fit(&matrix, &labels, parameters);
    let forest = forest.map_err(|error| failed(&error))?;
    // Its trees are its own, but for this.
    let written = serde_json::to_vec(&forest).map_err(|error| failed(&error))?;
    let written: Written = serde_json::from_slice(&written).map_err(|error| failed(&error))?;
    let trees: Option<Vec<Vec<Node>>> = written
        .trees
        .iter()
        .map(|tree| take(&tree.nodes, flows))
        .collect();
    let trees = trees.ok_or_else(|| TrainError::Trees("they are not as expected".to_owned()))?;
    Forest::new(names, &trees).map_err(TrainError::Fault)
}

/// A tree with leaves that say how many of the flows that end there are of the class they vote for.
fn take(nodes: &[WrittenNode], flows: &[&Example]) -> Option<Vec<Node>> {
    let mut tree = Vec::with_capacity(nodes.len());
    for node in nodes {
        let children = node.true_child.zip(node.false_child);
        tree.push(match (children, node.split_value) {
            (Some((low, high)), Some(most)) => Node::Split {
                feature: u8::try_from(node.split_feature).ok()?,
                most: not_above(most),
                low: u32::try_from(low).ok()?,
                high: u32::try_from(high).ok()?,
            },
            _ => Node::Leaf {
                class: 0,
                weight: 0.0,
            },
        });
    }
    let mut ended: Vec<BTreeMap<u16, u32>> = vec![BTreeMap::new(); tree.len()];
    for flow in flows {
        let mut place = 0;
        // A tree has no more nodes to pass than it has.
        for _ in 0..tree.len() {
            let Node::Split {
                feature,
                most,
                low,
                high,
            } = *tree.get(place)?
            else {
                break;
            };
            let value = *flow.features.values().get(usize::from(feature))?;
            place = if value <= most { low } else { high } as usize;
        }
        *ended.get_mut(place)?.entry(flow.class).or_default() += 1;
    }
    for (node, ended) in tree.iter_mut().zip(&ended) {
        if let Node::Leaf { class, weight } = node {
            let all: u32 = ended.values().sum();
            // Of classes with as many, the first.
            let most = ended
                .iter()
                .max_by_key(|&(&class, &count)| (count, std::cmp::Reverse(class)));
            if let Some((&of, &count)) = most {
                *class = of;
                // One more that is none of it: a leaf of few flows is not sure.
                let share = f64::from(count) / f64::from(all + 1);
                *weight = not_above(share);
            }
        }
    }
    Some(tree)
}

/// The largest number of half the length that is not above `value`: what a tree tells apart stays apart.
fn not_above(value: f64) -> f32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounded, and then put right"
    )]
    let near = value as f32;
    match f64::from(near) > value {
        true => near.next_down(),
        false => near,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::classify::behaviour::features::Features;
    use crate::flow::{End, Sequence};
    use crate::time::Timestamp;

    /// A flow whose server answers with so many bytes, and so many again.
    fn features(first: u32, second: u32) -> Features {
        let mut sequence = Sequence::default();
        sequence.push(End::Low, 517, Duration::ZERO);
        for (place, length) in (1..).zip([first, second, 80, 64, first, second, 31]) {
            sequence.push(End::High, length, Duration::from_millis(20 * place));
        }
        Features::of(sequence.sides(true), 6, 443).unwrap()
    }

    fn examples() -> Examples {
        let mut examples = Examples::default();
        for number in 0..600_u32 {
            let at = Timestamp::new(1_800_000_000 + u64::from(number), 0);
            let client = [10, 0, 0, (number % 40) as u8].into();
            let noise = number * 7919 % 100;
            let (class, first, second) = match number % 3 {
                0 => ("acme", 1000 + noise, 300),
                1 => ("novelty", 400, 900 + noise),
                // Like the others, one time in two.
                _ if number % 2 == 0 => ("", 1000 + noise, 300 + 13 * (noise + 1)),
                _ => ("", 400 + 7 * noise, 900),
            };
            examples.push(features(first, second), class, client, at);
        }
        examples
    }

    #[test]
    fn what_can_be_told_apart_is() {
        let examples = examples();
        let forest = train(&examples, 0.99).unwrap();
        let mut votes = Vec::new();
        let name = |forest: &Forest, features: &Features, votes: &mut Vec<f32>| {
            let class = forest.decide(features, votes)?;
            Some(forest.classes()[class].name.to_string())
        };
        let acme = name(&forest, &features(1050, 300), &mut votes);
        assert_eq!(acme.as_deref(), Some("acme"));
        assert_eq!(name(&forest, &features(1440, 1440), &mut votes), None);
        for class in forest.classes().iter().filter(|class| class.speaks()) {
            assert!(class.right >= 20, "{class:?}");
            let called = f64::from(class.right + class.wrong);
            assert!(f64::from(class.right) >= 0.99 * called, "{class:?}");
            assert!(class.of >= class.right, "{class:?}");
        }
        // The same flows, the same bytes.
        let again = train(&examples, 0.99).unwrap();
        assert_eq!(again.to_bytes(), forest.to_bytes());
        assert_eq!(Forest::from_bytes(&forest.to_bytes()), Ok(forest));
    }

    #[test]
    fn what_cannot_be_told_apart_has_no_name() {
        let mut examples = Examples::default();
        for number in 0..400_u32 {
            let at = Timestamp::new(1_800_000_000 + u64::from(number), 0);
            let client = [10, 0, 0, (number % 40) as u8].into();
            let class = ["acme", "novelty"][(number * 7919 / 13 % 2) as usize];
            let noise = number * 104_729 % 97;
            examples.push(features(500 + noise, 500), class, client, at);
        }
        let forest = train(&examples, 0.99).unwrap();
        let speaking = forest.classes().iter().filter(|class| class.speaks());
        assert_eq!(speaking.count(), 0, "{:?}", forest.classes());
    }

    #[test]
    fn too_little_is_told() {
        let few = train(&Examples::default(), 0.99).unwrap_err();
        assert!(matches!(few, TrainError::Few(0)), "{few}");
        let mut one = Examples::default();
        for number in 0..200_u8 {
            let client = [10, 0, 0, number].into();
            one.push(features(500, 500), "acme", client, Timestamp::default());
        }
        let one = train(&one, 0.99).unwrap_err();
        assert!(matches!(one, TrainError::OneClass), "{one}");
    }
}
