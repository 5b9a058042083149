//! What a forest is worth: asked of flows that it was not made of, of clients it has not seen where there
//! are enough of them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::examples::Example;
use crate::classify::behaviour::model::{Class, Forest};

/// Parts that are kept aside in turn. On the first half of them bounds are chosen, on the other they are
/// measured.
pub(super) const FOLDS: usize = 4;

/// With fewer clients, flows are kept aside by time.
const CLIENTS: usize = 12;

/// Pieces of time that go to the parts in turn.
const PIECES: usize = 20;

/// Flows that are called so, at least: to choose a bound, and to have it measured.
const CALLED: u32 = 20;

/// What a forest said of a flow that it was not made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vote {
    fold: usize,
    class: u16,
    called: u16,
    share: f32,
}

/// The part that each flow is kept aside with.
pub(super) fn folds(flows: &[Example]) -> Vec<usize> {
    let clients: BTreeSet<IpAddr> = flows.iter().map(|flow| flow.client).collect();
    if clients.len() >= CLIENTS {
        // In their order, so that the parts have as many.
        let clients: Vec<IpAddr> = clients.into_iter().collect();
        let of = |flow: &Example| clients.binary_search(&flow.client).unwrap_or_default() % FOLDS;
        return flows.iter().map(of).collect();
    }
    let mut times: Vec<_> = flows.iter().map(|flow| flow.at).collect();
    times.sort_unstable();
    let of = |flow: &Example| {
        let place = times.partition_point(|&time| time < flow.at);
        place * PIECES / times.len().max(1) % FOLDS
    };
    flows.iter().map(of).collect()
}

/// Asks `forest` what it calls the flows that were kept aside.
pub(super) fn ask(forest: &Forest, aside: &[&Example], fold: usize) -> Vec<Vote> {
    let mut room = Vec::new();
    let votes = aside.iter().filter_map(|flow| {
        let (called, share) = forest.vote(&flow.features, &mut room)?;
        Some(Vote {
            fold,
            class: flow.class,
            called: u16::try_from(called).ok()?,
            share,
        })
    });
    votes.collect()
}

/// The classes with their bounds, and what of the flows kept aside is right with them.
pub(super) fn classes(mut classes: Vec<Class>, votes: &[Vote], precision: f64) -> Vec<Class> {
    let (chosen, measured): (Vec<Vote>, Vec<Vote>) = votes
        .iter()
        .copied()
        .partition(|vote| vote.fold < FOLDS / 2);
    for (number, class) in (0_u16..).zip(&mut classes) {
        class.of = count(measured.iter().filter(|vote| vote.class == number));
        if class.name.is_empty() {
            continue;
        }
        let Some(least) = bound(number, &chosen, precision) else {
            continue;
        };
        let called = |vote: &&Vote| vote.called == number && vote.share >= least;
        let called: Vec<&Vote> = measured.iter().filter(called).collect();
        class.right = count(called.iter().filter(|vote| vote.class == number));
        class.wrong = count(called.iter().filter(|vote| vote.class != number));
        let holds = is_enough(class.right, class.wrong, precision);
        class.least = holds.then_some(least);
    }
    classes
}

fn count<T>(votes: impl Iterator<Item = T>) -> u32 {
    u32::try_from(votes.count()).unwrap_or(u32::MAX)
}

fn is_enough(right: u32, wrong: u32, precision: f64) -> bool {
    right + wrong >= CALLED && f64::from(right) >= precision * f64::from(right + wrong)
}

/// The least share of votes from which on `precision` of the flows called so are rightly so.
fn bound(class: u16, votes: &[Vote], precision: f64) -> Option<f32> {
    let mut called: Vec<&Vote> = votes.iter().filter(|vote| vote.called == class).collect();
    called.sort_by(|one, other| other.share.total_cmp(&one.share));
    let (mut right, mut wrong) = (0, 0);
    let mut least = None;
    for (place, vote) in called.iter().enumerate() {
        match vote.class == class {
            true => right += 1,
            false => wrong += 1,
        }
        // Those with the same share are called so together.
        let is_last = called
            .get(place + 1)
            .is_none_or(|next| next.share < vote.share);
        if is_last && is_enough(right, wrong, precision) {
            least = Some(vote.share);
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(fold: usize, class: u16, called: u16, share: f32) -> Vote {
        Vote {
            fold,
            class,
            called,
            share,
        }
    }

    #[test]
    fn bounds_are_chosen_on_one_half_and_hold_on_the_other() {
        let names = ["", "acme", "novelty", "fickle"];
        let names = names.map(|name| Class {
            name: name.into(),
            ..Class::default()
        });
        let mut votes = Vec::new();
        for fold in 0..FOLDS {
            for place in 0..30_u8 {
                let share = 0.5 + f32::from(place) / 100.0;
                votes.push(vote(fold, 1, 1, share));
                // Below a bound half of them are wrong.
                votes.push(vote(fold, if place < 10 { 0 } else { 2 }, 2, share));
                // Right where the bound is chosen, wrong where it is measured.
                votes.push(vote(fold, if fold < 2 { 3 } else { 1 }, 3, share));
            }
            votes.push(vote(fold, 1, 0, 0.9));
        }
        let classes = classes(names.to_vec(), &votes, 0.99);
        let of = |class: &Class| (class.least, class.right, class.wrong, class.of);
        assert_eq!(of(&classes[0]), (None, 0, 0, 20));
        assert_eq!(of(&classes[1]), (Some(0.5), 60, 0, 122));
        assert_eq!(of(&classes[2]), (Some(0.6), 40, 0, 40));
        assert_eq!(of(&classes[3]), (None, 0, 60, 0));
    }
}
