//! The built-in signatures hold what their language promises.

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
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ottometer"))
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
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_ottometer"))
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
