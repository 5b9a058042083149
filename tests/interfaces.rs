//! `ottometer interfaces` in a namespace whose interfaces are known.

use std::process::Command;

use serde_json::Value;

use crate::support::netns::Namespace;

fn run(namespace: &Namespace, arguments: &[&str]) -> String {
    let output = namespace.enter(|| {
        Command::new(env!("CARGO_BIN_EXE_ottometer"))
            .arg("interfaces")
            .args(arguments)
            .output()
            .unwrap()
    });
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn lists_what_there_is_with_its_state() {
    let Some(namespace) = Namespace::new() else {
        return;
    };
    namespace.veth("left", &namespace, "right");
    namespace.ip("link add name idle type veth peer name far");
    namespace.ip("link set dev left address 02:00:00:00:00:01");
    namespace.ip("addr add 192.0.2.1/24 dev left");
    namespace.ip("addr add 198.51.100.1/24 dev left");
    namespace.ip("link set dev idle up");

    let rows: Value = serde_json::from_str(&run(&namespace, &["--format", "json"])).unwrap();
    let row = |name: &str| {
        let rows = rows.as_array().unwrap();
        rows.iter().find(|row| row["name"] == name).unwrap().clone()
    };
    for (name, state) in [
        ("left", "up"),
        ("right", "up"),
        ("idle", "no-carrier"),
        ("far", "down"),
        ("lo", "up"),
        ("any", "up"),
    ] {
        assert_eq!(row(name)["state"], state, "{name}");
    }
    assert_eq!(row("left")["mac"], "02:00:00:00:00:01");
    assert_eq!(
        row("left")["addresses"],
        serde_json::json!(["192.0.2.1/24", "198.51.100.1/24"])
    );

    let table = run(&namespace, &[]);
    let line = table.lines().find(|line| line.contains("idle")).unwrap();
    assert!(line.contains("no carrier"), "{table}");
}
