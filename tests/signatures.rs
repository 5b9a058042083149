//! The built-in signatures hold what their language promises.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use unicode_width::UnicodeWidthStr;

use crate::support;

#[test]
fn builtin_signatures_pass_their_own_check() {
    let output = support::ottometer(["signatures", "check", "--deny-warnings"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[test]
fn builtin_signatures_pass_their_own_tests() {
    let output = Command::new(env!("CARGO_BIN_EXE_ottometer"))
        .args(["signatures", "test"])
        .current_dir(support::root())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[test]
fn show_prints_one_application() {
    let text = support::succeed(["signatures", "show", "wechat"]);
    assert!(text.contains("weixin.qq.com"), "{text}");
    let output = support::ottometer(["signatures", "show", "no-such-application"]);
    assert_eq!(output.status.code(), Some(1));
}

/// A name as people know it finds what it is called here.
#[test]
fn what_is_listed_can_be_searched_for() {
    let list = |more: &[&str]| -> Vec<serde_json::Value> {
        let arguments = ["signatures", "list", "--json"].iter().chain(more);
        serde_json::from_str(&support::succeed(arguments)).unwrap()
    };
    let all = list(&[]);
    assert!(all.len() > 1000, "{}", all.len());
    let mut ids: Vec<u64> = all.iter().filter_map(|row| row["id"].as_u64()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    // (what is searched for, what must be found, what must not)
    for (search, found, other) in [
        (&["wechat"][..], "wechat", "whatsapp"),
        (&["WECHAT"], "wechat", "whatsapp"),
        (&["微信"], "wechat", "whatsapp"),
        (&["weixin.qq.com"], "wechat", "whatsapp"),
        (&["szlong.weixin.qq.com"], "wechat", "whatsapp"),
        (&["Tencent", "微信"], "wechat", "tls"),
    ] {
        let words: Vec<&str> = search.iter().flat_map(|word| ["--search", word]).collect();
        let rows = list(&words);
        let has = |name: &str| rows.iter().any(|row| row["name"] == name);
        assert!(has(found) && !has(other), "{search:?}: {rows:?}");
        assert!(rows.len() < all.len() / 4, "{search:?}: {}", rows.len());
    }
    let wechat = &list(&["--search", "wechat", "--category", "messaging"])[0];
    assert_eq!(wechat["name"], "wechat");
    assert!(wechat["title"].as_str().unwrap().contains("微信"));
    assert!(wechat["rules"]["domain"].as_u64().unwrap() > 0);
    // A plain protocol has no number.
    let bacnet = list(&["--category", "protocol"]);
    assert!(bacnet.iter().all(|row| row.get("id").is_none()));

    let table = support::succeed(["signatures", "list", "--search", "微信"]);
    assert!(table.contains("WeChat / Weixin 微信"), "{table}");
    for columns in ["80", "60"] {
        let output = Command::new(env!("CARGO_BIN_EXE_ottometer"))
            .args(["signatures", "list"])
            .env("COLUMNS", columns)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), all.len() + 3, "a row is a line");
        for line in text.lines() {
            assert!(line.width() <= columns.parse().unwrap(), "{line}");
        }
    }
}

/// Who writes files by hand or by a script gets ids that nobody has, or had.
#[test]
fn ids_are_given_out_once() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let new = |name: &str, more: &[&str]| {
        let mut words = vec!["signatures", "new", name, "--dir", dir];
        words.extend(more);
        support::ottometer(&words)
    };
    let next = |more: &[&str]| {
        let mut words = vec!["signatures", "next-id", "--dir", dir];
        words.extend(more);
        support::succeed(&words)
    };
    // A site's.
    assert_eq!(next(&["--count", "2"]), "60000\n60001\n");
    // A project's.
    fs::write(
        folder.path().join("tombstones.toml"),
        "first = 10\nlast = 20\n[[tombstone]]\nid = 12\nname = 'old'\nreason = 'it ended'\ndate = 2026-11-27\n",
    )
    .unwrap();
    assert_eq!(next(&["--count", "2"]), "13\n14\n");
    assert_eq!(next(&["--from", "11", "--count", "2"]), "11\n13\n");
    let done = new(
        "ai/acmesoft",
        &[
            "--title",
            "Acme \"AI\"",
            "--host",
            "acmesoft.example",
            "--host",
            "acmesoft.*",
        ],
    );
    assert!(done.status.success(), "{done:?}");
    let told = String::from_utf8(done.stdout).unwrap();
    assert!(told.ends_with("acmesoft.toml: id 13\n"), "{told}");
    let check = support::succeed([
        "signatures",
        "check",
        dir,
        "--with-built-in",
        "--deny-warnings",
    ]);
    assert!(check.ends_with(": 0 errors, 0 warnings\n"), "{check}");
    for (name, more, expected) in [
        ("ai/acmesoft", &[][..], "there is one already"),
        ("aii/other", &[], "did you mean `ai`?"),
        ("ai/Other", &[], "expected a slug"),
        ("ai", &[], "expected CATEGORY/NAME"),
        ("food/other", &["--host", "acmesoft.*"], "is claimed by"),
        (
            "food/other",
            &["--host", "com.*"],
            "it would claim everybody's names",
        ),
        ("food/other", &["--from", "21"], "no id is left"),
    ] {
        let refused = new(name, more);
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(
            !refused.status.success() && told.contains(expected),
            "{name}: {told}"
        );
    }
    assert!(!folder.path().join("food").exists(), "nothing is half made");
    // By hand, with an id that is gone, and with one of sites.
    let file = folder.path().join("ai/acmesoft.toml");
    let text = fs::read_to_string(&file).unwrap();
    for (id, expected) in [
        ("12", "ids are never given again"),
        ("60000", "expected an id from 10 to 20"),
    ] {
        fs::write(&file, text.replace("id = 13", &format!("id = {id}"))).unwrap();
        let output = support::ottometer(["signatures", "check", dir]);
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(
            !output.status.success() && told.contains(expected),
            "{told}"
        );
        assert!(told.contains("acmesoft.toml:2:6: "), "{told}");
    }
}

/// What `signatures name` says of names, some of them from standard input.
fn name(words: &[&str], input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ottometer"))
        .args(["signatures", "name"])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn names_are_said_to_be_whose_they_are() {
    let lines = name(
        &["www.google.co.uk", "-", "--format", "json"],
        "WWW.weixin.qq.com\n\n a..b \nx.invalid",
    );
    let rows: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 4, "{lines}");
    assert_eq!(rows[0]["app"], "google");
    assert_eq!(rows[0]["pattern"], "google.*");
    assert_eq!(rows[0]["file"], "signatures/web/google.toml");
    let file = fs::read_to_string(support::root().join("signatures/web/google.toml")).unwrap();
    let line = file
        .lines()
        .nth(rows[0]["line"].as_u64().unwrap() as usize - 1);
    assert!(line.unwrap().contains("\"google.*\""), "{line:?}");
    assert_eq!(rows[1]["app"], "wechat");
    assert!(rows[2].get("app").is_none() && rows[3].get("app").is_none());
    let csv = name(
        &["-", "--unknown", "--format", "csv"],
        "google.de\nx.invalid\n",
    );
    assert_eq!(
        csv,
        "host,app,category,service,rule,pattern,file,line\nx.invalid,,,,,,,\n"
    );
    let summary = name(
        &["-", "--summary", "--format", "csv"],
        "google.de\nx.invalid\na..b\ngoogle.fr",
    );
    assert_eq!(
        summary,
        "kind,category,hosts,share\ncategory,web,2,0.500000\nnamed,,2,0.500000\n\
         unknown,,1,0.250000\nno-name,,1,0.250000\n"
    );
}

/// `hosts.tsv`: hosts whose owner is certain, written from what their operators say of them and not
/// from the signatures.
#[test]
fn well_known_hosts_have_their_application_and_service() {
    let table = include_str!("hosts.tsv");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect())
        .collect();
    let hosts: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let told = name(&["-", "--format", "json"], &hosts.join("\n"));
    let mut wrong = Vec::new();
    let mut named = 0;
    for (row, line) in rows.iter().zip(told.lines()) {
        let &[host, app, service, source] = row.as_slice() else {
            panic!("{row:?}: expected host, app, service and source");
        };
        assert!(!source.is_empty(), "{row:?}");
        let found: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(found["host"], host);
        let found = [&found["app"], &found["service"]].map(|of| of.as_str().unwrap_or("-"));
        if found != [app, service] {
            wrong.push(format!("{host}: {found:?}, expected {app} {service}"));
        }
        named += 1;
    }
    assert_eq!(named, rows.len());
    assert!(named >= 500, "{named}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
