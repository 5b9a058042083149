//! What came in by which interface, and summaries of a run that goes on.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::live::{Live, assert_closes, frames, lab, number};
use crate::support::netns::send;

/// Bytes by interface, of rows or usage records.
fn by_interface<'a>(rows: impl IntoIterator<Item = &'a Value>) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for row in rows {
        let interface = row["interface"].as_str().unwrap_or("none").to_owned();
        *sums.entry(interface).or_default() += number(row, "/bytes");
    }
    sums
}

/// Bytes that the ledger has under names and reasons.
fn settled(state: &Value) -> u64 {
    let counted = state["ledger"]["counted"].as_object().unwrap();
    let names = counted.iter().filter(|(name, _)| {
        ["applications", "protocols"].contains(&name.as_str()) || name.starts_with("unknown")
    });
    names.map(|(_, volume)| number(volume, "/bytes")).sum()
}

fn records(live: &Live, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(live.path(name)).unwrap();
    let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let is_run = |record: &Value| record["event_type"] == "run";
    records.filter(|record| !is_run(record)).collect()
}

#[test]
fn interfaces_have_their_own_volume_during_the_run_and_at_its_end() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    sender.veth("out1", &receiver, "mirror1");
    for (namespace, interface) in [(&sender, "out1"), (&receiver, "mirror1")] {
        namespace.ip(&format!("link set {interface} mtu 65535"));
    }
    let (first, second) = (frames("wechat"), frames("recorded-tls13"));
    let bytes = |frames: &[Vec<u8>]| frames.iter().map(|frame| frame.len() as u64).sum::<u64>();
    let interfaces = |apart: bool| match apart {
        true => ["mirror0", "mirror1"].to_vec(),
        false => vec!["none"],
    };
    for (more, is_apart) in [
        (&["--by", "subject,interface"][..], true),
        (
            &[
                "--steer",
                "inner",
                "--workers",
                "2",
                "--by",
                "subject,interface",
            ],
            true,
        ),
        (
            &["--steer", "inner", "--no-by-interface", "--by", "subject"],
            false,
        ),
        (&["--no-by-interface", "--by", "interface"], true),
    ] {
        let mut arguments = vec!["-i", "mirror1", "--interval", "1s", "--quiet"];
        arguments.extend(["--flows", "flows.jsonl", "--usage", "usage.jsonl"]);
        arguments.extend(more);
        let mut live = Live::start(&receiver, "mirror0", &arguments);
        send(&mut sender.sender("out0"), first.iter().map(Vec::as_slice));
        send(&mut sender.sender("out1"), second.iter().map(Vec::as_slice));
        thread::sleep(Duration::from_millis(500));
        live.signal(Signal::SIGUSR1);
        thread::sleep(Duration::from_secs(4));
        live.signal(Signal::SIGTERM);
        let text = live.said();
        assert!(live.wait().success(), "{}", live.log());
        let states = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        let states: Vec<Value> = states.map(Result::unwrap).collect();
        assert_eq!(
            states.len(),
            2,
            "one that was asked for, and the last: {text}"
        );
        for state in &states {
            assert_closes(state);
            let rows = by_interface(state["rows"].as_array().unwrap());
            assert_eq!(
                rows.values().sum::<u64>(),
                settled(state),
                "{more:?} {state:#}"
            );
        }
        // The first is of what threads had told by then.
        let [so_far, all] = [0, 1].map(|place| number(&states[place], "/ledger/wire/bytes"));
        assert_eq!(all, bytes(&first) + bytes(&second));
        assert!(so_far <= all, "{so_far} of {all}");
        let last = by_interface(states[1]["rows"].as_array().unwrap());
        let names: Vec<&str> = last.keys().map(String::as_str).collect();
        assert_eq!(names, interfaces(is_apart), "{more:?}");
        let usage = records(&live, "usage.jsonl");
        assert_eq!(by_interface(&usage), last, "{more:?}");
        let flows = records(&live, "flows.jsonl");
        for interface in interfaces(true) {
            let named = |flow: &&Value| flow["interface"] == interface;
            assert!(flows.iter().any(|flow| named(&flow)), "{interface}");
        }
        assert!(flows.iter().all(|flow| flow["interface"].is_string()));
    }
}
