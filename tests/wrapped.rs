//! What flow records say of protocols inside others: both names.

use crate::support;

/// By the server's port: what is spoken inside.
const INSIDE: &[(&str, &[(u16, &str)])] = &[
    (
        "wrapped",
        &[(8443, "tls"), (8080, "http"), (3128, "tls"), (8083, "mqtt")],
    ),
    ("proxies", &[(1080, "tls")]),
    (
        "upgraded",
        &[
            (5432, "tls"),
            (3306, "tls"),
            (1433, "tls"),
            (143, "tls"),
            (110, "tls"),
            (5222, "tls"),
            (389, "tls"),
            (21, "tls"),
            (6667, "tls"),
            (119, "tls"),
            (4190, "tls"),
            (3389, "tls"),
        ],
    ),
];

#[test]
fn records_say_what_is_inside() {
    for (name, expected) in INSIDE {
        let capture = support::root().join(format!("pcaps/{name}.pcap"));
        let flows = support::flows(&capture, &[]);
        for (port, inner) in *expected {
            let mut found = flows.iter().filter(|flow| flow["dest_port"] == *port);
            assert!(
                found.clone().count() > 0 && found.all(|flow| flow["inner_proto"] == *inner),
                "{name}, port {port}"
            );
        }
    }
    // What carries nothing says nothing of it, and CSV has the column.
    let capture = support::root().join("pcaps/infrastructure.pcap");
    let flows = support::flows(&capture, &[]);
    assert!(flows.iter().all(|flow| flow.get("inner_proto").is_none()));
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("flows.csv");
    let capture = support::root().join("pcaps/wrapped.pcap");
    support::succeed([
        "read".as_ref(),
        capture.as_os_str(),
        "--quiet".as_ref(),
        "--flows".as_ref(),
        csv.as_os_str(),
    ]);
    let text = std::fs::read_to_string(&csv).unwrap();
    assert!(
        text.lines()
            .next()
            .unwrap()
            .contains(",app_proto,inner_proto,app,")
    );
    assert!(text.contains(",socks5,ssh,"), "{text}");
}
