//! What is said about a mirror that does not show all traffic once and whole, and what to do.

use super::number::{grouped, percent};
use crate::usage::health::{Checked, Fault, Health};

/// Each fault that is clear: what it is, and what to do, in a line of its own without its end.
pub(crate) fn lines(health: &Health) -> impl Iterator<Item = String> {
    health.faults().map(|(fault, checked)| line(fault, checked))
}

/// A fault, and what to do.
pub(crate) fn line(fault: Fault, Checked { checked, found }: Checked) -> String {
    let share = percent(found, checked);
    let (found, checked) = (grouped(found), grouped(checked));
    match fault {
        Fault::Duplicate => format!(
            "{share} of frames are second copies of others ({found} of {checked} looked at): their \
             volume counts twice; use --deduplicate, or mirror each packet once"
        ),
        Fault::OneSided => format!(
            "{share} of TCP flows show one direction only ({found} of {checked}): mirror both \
             directions, and give all captures or interfaces that carry them to one run (live: \
             with --steer inner)"
        ),
        Fault::Cut => format!(
            "{share} of flows were cut short while they were inspected ({found} of {checked}): \
             names are missed; capture with a longer snap length"
        ),
        Fault::Split => format!(
            "{share} of flows have their directions in different captures or on different \
             interfaces ({found} of {checked}): give all of them to one run (live: with --steer \
             inner), and keep their clocks the same"
        ),
        Fault::DnsUnasked => format!(
            "{share} of DNS answers came without a question ({found} of {checked}), and taught \
             nothing: mirror both directions, or use --dns-unsolicited"
        ),
    }
}

/// A few words for a line that has others.
pub(crate) fn brief(health: &Health) -> Vec<String> {
    let faults = health.faults();
    let words = faults.map(|(fault, Checked { checked, found })| {
        let what = match fault {
            Fault::Duplicate => "of frames are second copies",
            Fault::OneSided => "of TCP flows show one direction only",
            Fault::Cut => "of flows are cut short",
            Fault::Split => "of flows have each direction on another interface",
            Fault::DnsUnasked => "of DNS answers came without a question",
        };
        format!("{} {what}", percent(found, checked))
    });
    words.collect()
}
