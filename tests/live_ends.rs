//! Live runs that end by themselves, as the first control-C would end them.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support;
use crate::support::live::{Live, assert_closes, clock, frames, lab, number};
use crate::support::netns::send;

#[test]
fn a_run_ends_after_so_long() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    let sent = frames("wechat");
    for more in [&[][..], &["--threads", "2"], &["--steer", "inner"]] {
        let mut arguments = vec!["--duration", "1500ms", "--flows", "flows.jsonl"];
        arguments.extend(more);
        let begin = clock();
        let mut live = Live::start(&receiver, "mirror0", &arguments);
        let mut out = sender.sender("out0");
        send(&mut out, sent.iter().map(Vec::as_slice));
        let text = live.said();
        let status = live.wait();
        assert!(begin.elapsed() >= Duration::from_millis(1500), "{more:?}");
        assert!(status.success(), "{}", live.log());
        let state: Value = serde_json::from_str(&text).unwrap();
        assert_closes(&state);
        assert_eq!(number(&state, "/ledger/wire/packets"), sent.len() as u64);
        assert!(live.log().contains("--duration"), "{}", live.log());
        let records = std::fs::read_to_string(live.path("flows.jsonl")).unwrap();
        assert!(records.contains("wechat"), "open flows have their records");
    }
}

#[test]
fn a_run_ends_after_so_many_frames() {
    let Some((sender, receiver)) = lab() else {
        return;
    };
    let sent = frames("wechat");
    assert!(sent.len() > 20);
    for more in [&[][..], &["--threads", "2"], &["--steer", "inner"]] {
        let mut arguments = vec!["--count", "20"];
        arguments.extend(more);
        let mut live = Live::start(&receiver, "mirror0", &arguments);
        let mut out = sender.sender("out0");
        send(&mut out, sent.iter().take(19).map(Vec::as_slice));
        thread::sleep(Duration::from_millis(300));
        assert!(!live.has_ended(), "{more:?}");
        send(&mut out, sent.iter().skip(19).map(Vec::as_slice));
        let text = live.said();
        assert!(live.wait().success(), "{}", live.log());
        let state: Value = serde_json::from_str(&text).unwrap();
        assert_closes(&state);
        assert_eq!(number(&state, "/ledger/wire/packets"), 20, "{more:?}");
        assert!(live.log().contains("--count"), "{}", live.log());
    }
}

#[test]
fn no_time_and_no_frames_are_wrong_usage() {
    for arguments in [["--duration", "0s"], ["--duration", "10"], ["--count", "0"]] {
        let mut words = vec!["live", "-i", "lo"];
        words.extend(arguments);
        let output = support::ottometer(words);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
