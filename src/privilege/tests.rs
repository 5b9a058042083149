//! What is accepted in the end; the rest takes root and a process of its own:
//! `tests/privilege.rs`.

use super::*;

fn dropped() -> Status {
    Status {
        uids: [7; 4],
        gids: [8; 4],
        groups: Vec::new(),
        threads: 1,
        inheritable: Capabilities::default(),
        permitted: Capabilities::NET_RAW,
        effective: Capabilities::NET_RAW,
        bounding: Capabilities::default(),
        ambient: Capabilities::default(),
        no_new_privileges: true,
        filtered: true,
    }
}

#[test]
fn whatever_is_left_over_is_found() {
    let account = Account {
        name: "somebody".to_owned(),
        uid: 7,
        gid: 8,
    };
    let expected = Expected {
        account: Some(&account),
        may_be_root: false,
        capabilities: Capabilities::NET_RAW,
        bounding_cleared: true,
        seccomp: true,
    };
    assert_eq!(expected.left_over(&dropped()), None);
    let other = Capabilities::from(Capability::CAP_SYS_ADMIN);
    type Spoil = fn(&mut Status, Capabilities);
    let spoils: &[(&str, Spoil)] = &[
        ("users", |status, _| status.uids = [7, 7, 0, 7]),
        ("users", |status, _| status.gids = [8, 8, 8, 0]),
        ("users", |status, _| status.groups.push(0)),
        ("permitted", |status, other| status.permitted = other),
        ("permitted", |status, _| {
            status.permitted = Capabilities::default();
        }),
        ("effective", |status, other| status.effective = other),
        ("inheritable", |status, _| {
            status.inheritable = Capabilities::NET_RAW;
        }),
        ("ambient", |status, _| {
            status.ambient = Capabilities::NET_RAW;
        }),
        ("bounding", |status, other| status.bounding = other),
        ("new privileges", |status, _| {
            status.no_new_privileges = false;
        }),
        ("all system calls", |status, _| status.filtered = false),
        ("2 threads", |status, _| status.threads = 2),
    ];
    for (start, spoil) in spoils {
        let mut status = dropped();
        spoil(&mut status, other);
        let left = expected.left_over(&status);
        assert!(
            left.as_deref().is_some_and(|left| left.starts_with(start)),
            "{start}: {left:?}"
        );
    }
}

#[test]
fn root_is_accepted_only_where_it_was_meant() {
    let status = Status {
        uids: [0; 4],
        ..dropped()
    };
    for (may_be_root, found) in [(false, true), (true, false)] {
        let expected = Expected {
            account: None,
            may_be_root,
            capabilities: Capabilities::NET_RAW,
            bounding_cleared: true,
            seccomp: true,
        };
        assert_eq!(expected.left_over(&status).is_some(), found);
    }
}

#[test]
fn other_threads_are_refused() {
    // The test harness runs each test in a thread besides its own.
    let error = drop(&Options::default()).unwrap_err();
    assert!(matches!(error, Error::Threads { threads } if threads > 1));
}
