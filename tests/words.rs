//! The words of the command line: names, sizes and lengths of time; what completes and describes
//! them.

use std::fs;

use crate::support;

fn refused(arguments: &[&str]) -> String {
    let output = support::ottometer(arguments);
    assert!(!output.status.success(), "{arguments:?}");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn a_slip_in_a_name_is_answered_with_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let capture = support::root().join("pcaps/wechat-mmtls.pcap");
    let capture = capture.to_str().unwrap();
    let (key, table, other) = (at("key.toml"), at("table.toml"), at("other.toml"));
    fs::write(&key, "[flows]\ntcp_idel = \"5m\"\n").unwrap();
    fs::write(&table, "[flow]\ntcp_idle = \"5m\"\n").unwrap();
    fs::write(&other, "[capture]\ntcp_idle = \"5m\"\n").unwrap();
    let frames = at("frames.pcap");
    for (arguments, meant) in [
        (
            &["signatures", "show", "wechta"][..],
            "did you mean `wechat`?",
        ),
        (&["signatures", "show", "微信"], "did you mean `wechat`?"),
        (
            &["explain", capture, "--app", "whatsap"],
            "did you mean `whatsapp`?",
        ),
        (
            &["explain", capture, "--app", "Discord"],
            "did you mean `discord`?",
        ),
        (
            &["read", capture, "--write-pcap", &frames, "--app", "mmtsl"],
            "did you mean `mmtls`?",
        ),
        (
            &["signatures", "list", "--category", "mesaging"],
            "did you mean `messaging`?",
        ),
        (
            &["signatures", "list", "--search", "wechta"],
            "did you mean `wechat`?",
        ),
        (&["signatures", "list", "wechat"], "--search wechat"),
        (&["config", "check", &key], "did you mean `tcp_idle`?"),
        (&["config", "check", &table], "did you mean `flows`?"),
        (
            &["config", "check", &other],
            "`tcp_idle` is a key of [flows]",
        ),
        (&["read", capture, "--by", "servcie"], "service"),
        (&["reed", capture], "read"),
    ] {
        let text = refused(arguments);
        assert!(text.contains(meant), "{arguments:?}: {text}");
    }
    let text = refused(&["signatures", "show", "no-such-application"]);
    assert!(!text.contains("did you mean"), "{text}");
}

#[test]
fn sizes_and_times_are_written_alike() {
    let capture = support::root().join("pcaps/wechat-mmtls.pcap");
    let capture = capture.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let usage = folder.path().join("usage.csv");
    let usage = usage.to_str().unwrap();
    // (what is given to `read`, what is said if it is refused)
    for (option, value, refusal) in [
        ("--opening-memory", "64MiB", None),
        ("--opening-memory", "1GB", None),
        ("--opening-memory", "67108864", None),
        ("--opening-memory", "64M", Some("is not a size")),
        ("--opening-memory", "0", Some("must be at least 1B")),
        ("--opening-bytes", "16KiB", None),
        ("--record-memory", "1GiB", None),
        ("--dns-memory", "64MiB", None),
        ("--dns-memory", "1KiB", Some("must be at least 1MiB")),
        ("--tcp-idle", "5m", None),
        ("--tcp-idle", "1h 30m", None),
        ("--tcp-idle", "5", Some("is not a length of time")),
        ("--udp-idle", "0s", Some("must be at least 1ms")),
        ("--duplicate-window", "5ms", None),
        ("--duplicate-window", "2s", Some("must be at most 1s")),
        ("--interval", "1m", None),
        ("--interval", "10ms", None),
        ("--interval", "soon", Some("is not a length of time")),
    ] {
        let output = support::ottometer(
            ["read", capture, "--usage", usage, "--interval", "60s"]
                .into_iter()
                .filter(|word| option != "--interval" || !["--interval", "60s"].contains(word))
                .chain([option, value]),
        );
        let text = String::from_utf8(output.stderr).unwrap();
        match refusal {
            None => assert!(output.status.success(), "{option} {value}: {text}"),
            Some(refusal) => {
                assert_eq!(output.status.code(), Some(2), "{option} {value}: {text}");
                assert!(text.contains(refusal), "{option} {value}: {text}");
            }
        }
    }
    // Defaults are said as they can be given.
    let help = support::succeed(["read", "--help"]);
    for default in [
        "16KiB", "256MiB", "1GiB", "64MiB", "5m", "10s", "1m", "30s", "5ms",
    ] {
        let default = format!("[default: {default}]");
        assert!(help.contains(&default), "{default}: {help}");
    }
    for (value, refusal) in [("8KiB", "must be at most 4KiB"), ("many", "is not a size")] {
        let text = refused(&["explain", capture, "--bytes", value]);
        assert!(text.contains(refusal), "{text}");
    }
    support::succeed(["explain", capture, "--bytes", "1KiB"]);
    let text = support::succeed(["read", capture, "--stats"]);
    assert!(text.contains("openings 257MiB"), "{text}");
    let text = refused(&["live", "-i", "lo", "--snap-length", "64B"]);
    assert!(
        text.contains("64B is not between 256B and 256KiB"),
        "{text}"
    );
}

#[test]
fn shells_are_told_what_there_is() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = support::succeed(["completions", shell]);
        for word in ["signatures", "write-pcap", "duration", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(
        support::ottometer(["completions", "cmd"]).status.code(),
        Some(2)
    );
    if !support::services::installed(&["bash"]) {
        return;
    }
    // What bash makes of it.
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("ottometer.bash");
    fs::write(&script, support::succeed(["completions", "bash"])).unwrap();
    let ask = format!(
        "source '{}'; COMP_WORDS=(ottometer read --wri); COMP_CWORD=2; \
         _ottometer ottometer --wri read; echo \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let output = std::process::Command::new("bash")
        .args(["--norc", "-c", &ask])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        said.trim(),
        "--write-pcap",
        "{output:?}",
        output = output.stderr
    );
}

#[test]
fn there_is_a_page_for_every_command() {
    let page = support::succeed(["man"]);
    assert!(page.contains(".TH ottometer 1"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    support::succeed(["man", pages.to_str().unwrap()]);
    for (name, part) in [
        ("ottometer.1", "ottometer\\-read"),
        ("ottometer-read.1", "write\\-pcap"),
        ("ottometer-live.1", "duration"),
        ("ottometer-explain.1", "Examples"),
        ("ottometer-interfaces.1", "format"),
        ("ottometer-signatures-list.1", "search"),
        ("ottometer-config-check.1", "check"),
        ("ottometer-completions.1", "zsh"),
    ] {
        let page = fs::read_to_string(pages.join(name)).unwrap();
        assert!(page.contains(part), "{name}: {page}");
    }
    let nowhere = pages.join("ottometer.1/x");
    let output = support::ottometer(["man", nowhere.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
}
