//! The whole language over the sample records, and what is refused, where.

use proptest::prelude::*;

use super::*;
use crate::record::samples;
use crate::signature::SignatureSet;

#[test]
fn flows_are_taken_by_their_fields() {
    let set = SignatureSet::builtin();
    let (full, sparse) = (samples::full(&set, "a.example.org"), samples::sparse());
    let (full, sparse) = (FlowView::new(&full, &set), FlowView::new(&sparse, &set));
    // Whether each holds: of the flow that has every field, and of the one that has few.
    for (text, expected) in [
        ("app == wechat", (true, false)),
        ("app == WeChat", (true, false)),
        ("app != wechat", (false, true)),
        ("not app == wechat", (false, true)),
        ("!(app == wechat)", (false, true)),
        ("app in [qq, wechat]", (true, false)),
        ("app in [\"qq\", 'wechat',]", (true, false)),
        ("app not in [qq, wechat]", (false, true)),
        (
            "app in [qq] or server_name == \"*.example.org\"",
            (true, false),
        ),
        ("evidence == server-name", (true, false)),
        ("alpn == h2", (true, false)),
        ("alpn == a.*", (true, false)),
        ("alpn != h2", (false, true)),
        ("proto == tcp", (true, false)),
        ("proto == 89", (false, true)),
        ("src_ip in [192.0.2.0/24, 10.0.0.0/8]", (false, true)),
        ("src_ip == 2001:db8::/32", (true, false)),
        ("dest_ip == 192.0.2.1", (false, true)),
        ("vlan == 10", (true, false)),
        ("vlan in [3, 4000..4001]", (true, false)),
        ("vlan != 10", (false, true)),
        ("ech", (true, false)),
        ("not ech", (false, true)),
        ("dest_port == 443", (true, false)),
        // A flow without ports has none that is less.
        ("dest_port < 1024", (true, false)),
        ("dest_port >= 0", (true, false)),
        ("dest_port != 443", (false, true)),
        ("not dest_port < 1024", (false, true)),
        ("dest_port in [0..65535]", (true, false)),
        ("dest_port in [443] && app == wechat", (true, false)),
        ("dest_port + 1 == 444 or flow_id == 7", (true, true)),
        ("dest_port == 1 or app == qq or 1 == 1", (true, true)),
        ("bytes_toclient > 1_000_000", (true, false)),
        ("flow.bytes_toclient > 1_000_000", (true, false)),
        ("bytes_toserver + bytes_toclient > 0", (true, false)),
        ("1 / bytes_toserver == 0", (true, false)),
        ("1 / bytes_toserver != 0", (false, true)),
        ("end - start in [0..1]", (true, true)),
        ("timestamp == 1767323045", (true, true)),
        ("state == closed and reason in [fin, rst]", (true, false)),
    ] {
        let condition = Condition::parse::<FlowView<'_>>(text).unwrap_or_else(|refusal| {
            panic!("{text}: {refusal:?}");
        });
        let holds = (condition.holds(&full), condition.holds(&sparse));
        assert_eq!(holds, expected, "{text}");
    }
}

#[test]
fn usage_is_taken_by_its_fields() {
    let set = SignatureSet::builtin();
    let cells = samples::cells(&set);
    let interval = samples::interval(&cells, None);
    for (text, expected) in [
        ("app == wechat", 2),
        ("app in [wechat, qq] and bytes > 150", 1),
        ("direction in [up, toserver]", 2),
        ("subject == other", 2),
        ("unknown == no-match", 0),
        ("records == 4", 4),
        ("sequence == 7 and packets < 2", 2),
    ] {
        let condition = Condition::parse::<UsageRecord<'_>>(text).unwrap();
        let records = samples::usage(&interval, &cells, &set);
        let taken = records.filter(|record| condition.holds(record)).count();
        assert_eq!(taken, expected, "{text}");
    }
}

#[test]
fn what_is_no_condition_is_refused_where_it_stands() {
    for (text, at, expected) in [
        ("", 0, "expected a field"),
        ("ap == wechat", 0, "unknown field `ap`"),
        ("app == wechat and bytes > 1", 18, "unknown field `bytes`"),
        ("wechat == app", 0, "unknown field `wechat`"),
        ("app", 3, "expected `==`, `!=` or `in [...]` after `app`"),
        ("app = wechat", 4, "expected `==`"),
        ("app > 5", 4, "expected `==`"),
        ("app ==", 6, "expected a text"),
        ("app in wechat", 7, "expected `[`"),
        ("app in [wechat", 14, "expected `]`"),
        ("app in []", 8, "expected a text"),
        ("app == \"wechat", 7, "a quote is missing"),
        ("app == wechat qq", 14, "expected an operator"),
        ("src_ip == 10.0.0.0/40", 10, "is no prefix"),
        ("vlan == ten", 8, "expected a number"),
        ("dest_port", 0, "this is a number"),
        ("dest_port == wechat", 13, "unknown field"),
        ("ech == 1", 0, "this is a comparison"),
        ("not dest_port", 4, "this is a number"),
    ] {
        let refusal = Condition::parse::<FlowView<'_>>(text).unwrap_err();
        assert_eq!(refusal.error.at, at, "{text}: {}", refusal.error);
        assert!(
            refusal.error.message.contains(expected),
            "{text}: {}",
            refusal.error
        );
    }
    let refusal = Condition::parse::<FlowView<'_>>("1 == 1 or bytes == 1").unwrap_err();
    assert_eq!(refusal.unknown.as_deref(), Some("bytes"));
}

#[test]
fn texts_are_told_by_field() {
    let text = "app in [wechta, q*] or app != qq or service == chat";
    let condition = Condition::parse::<FlowView<'_>>(text).unwrap();
    let texts: Vec<&str> = condition.texts_of::<FlowView<'_>>("app").collect();
    assert_eq!(texts, ["wechta", "qq"]);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z0-9()\\[\\]+*&|<>=!.,_ \"'é-]{0,60}|(app|not|in|bytes|==|\\[|wechat|,|\\]|or| ){0,20}") {
        let set = SignatureSet::default();
        let sparse = samples::sparse();
        if let Ok(condition) = Condition::parse::<FlowView<'_>>(&text) {
            condition.holds(&FlowView::new(&sparse, &set));
        }
    }
}
