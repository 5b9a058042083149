//! `--only`: the records that leave, as people write it.

use super::closest::{closest, did_you_mean};
use crate::record::only::{Condition, Refusal};
use crate::record::{FlowView, Only, Record, UsageRecord};
use crate::signature::SyntaxError;

/// Kinds of records that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Flow records.
    pub flows: bool,
    /// Usage records.
    pub usage: bool,
}

/// The condition `text` on the records of `kinds`; of no kind, it must hold for one of them.
///
/// # Errors
///
/// What is no condition, and where. A field that a kind which is written does not have is an error:
/// whether its records were to leave or not, nobody could tell.
pub fn only(text: &str, kinds: Kinds) -> Result<Only, SyntaxError> {
    let flows = || condition::<FlowView<'_>>(text, "flow", ("usage", names::<UsageRecord<'_>>()));
    let usage = || condition::<UsageRecord<'_>>(text, "usage", ("flow", names::<FlowView<'_>>()));
    if kinds == Kinds::default() {
        flows().or_else(|_| usage())?;
    }
    Ok(Only::new(
        kinds.flows.then(flows).transpose()?,
        kinds.usage.then(usage).transpose()?,
    ))
}

fn condition<R: Record>(
    text: &str,
    kind: &str,
    (other_kind, other): (&str, Vec<&str>),
) -> Result<Condition, SyntaxError> {
    Condition::parse::<R>(text).map_err(|refusal| {
        let Refusal { mut error, unknown } = refusal;
        if let Some(name) = unknown {
            let meant = if other.contains(&&*name) {
                let both = both_directions::<R>(&name);
                format!(": it is one of {other_kind} records, and {kind} records are written{both}")
            } else {
                did_you_mean(closest(&name, names::<R>()))
            };
            error.message = format!("{kind} records have no field `{name}`{meant}");
        }
        error
    })
}

/// `` ; `bytes_toserver + bytes_toclient` is their sum ``, where a field of that name is there twice.
fn both_directions<R: Record>(name: &str) -> String {
    let both = ["toserver", "toclient"].map(|direction| format!("{name}_{direction}"));
    let known = names::<R>();
    let [one, other] = &both;
    match both.iter().all(|field| known.contains(&&**field)) {
        true => format!("; they have `{one} + {other}`"),
        false => String::new(),
    }
}

fn names<R: Record>() -> Vec<&'static str> {
    R::columns().map(|column| column.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_all_that_is_written() {
        let (flows, usage) = (true, true);
        let none = Kinds::default();
        let of_flows = Kinds { flows, ..none };
        let of_usage = Kinds { usage, ..none };
        let both = Kinds { flows, usage };
        for (text, kinds, expected) in [
            ("app == qq", none, None),
            ("app == qq", both, None),
            ("bytes > 5", none, None),
            ("bytes > 5", of_usage, None),
            (
                "bytes > 5",
                of_flows,
                Some(
                    "flow records have no field `bytes`: it is one of usage records, and flow records are written; they have `bytes_toserver + bytes_toclient`",
                ),
            ),
            (
                "bytes > 5",
                both,
                Some("flow records have no field `bytes`: "),
            ),
            (
                "ja4 == x",
                both,
                Some(
                    "usage records have no field `ja4`: it is one of flow records, and usage records are written",
                ),
            ),
            (
                "servername == x",
                of_flows,
                Some("no field `servername`; did you mean `server_name`?"),
            ),
            ("ap == x", none, Some("no field `ap`; did you mean `app`?")),
        ] {
            let refusal = only(text, kinds).err().map(|error| error.message);
            match (expected, refusal) {
                (None, None) => {}
                (Some(expected), Some(refusal)) => assert!(refusal.contains(expected), "{refusal}"),
                (_, refusal) => panic!("{text}: {refusal:?}"),
            }
        }
    }
}
