//! Made-up snapshots for tests.

use std::sync::Arc;

use crate::app::{Proto, Service};
use crate::classify::{Decider, Named, UnknownReason};
use crate::decode::{DropReason, IpProtocol, Vlans};
use crate::dissect::{Facts, Tls};
use crate::flow::{Counters, EndReason, PerSide};
use crate::record::{FlowRecord, Part};
use crate::signature::{SignatureSet, SourceFile};
use crate::time::Timestamp;
use crate::usage::{CellKey, Cells, Ledger, Subject, Totals};
use crate::verdict::Evidence;
use crate::view::snapshot::{Reloads, Snapshot, SourceReport};

/// 2026-01-01T12:00:00Z.
const NOON: u64 = 1_767_268_800;

fn at(seconds: u64) -> Timestamp {
    Timestamp::new(NOON + seconds, 0)
}

pub(crate) fn set(apps: usize) -> Arc<SignatureSet> {
    let named = [
        ("youtube", "YouTube"),
        ("netflix", "Netflix"),
        ("wechat", "WeChat 微信"),
    ];
    let files: Vec<SourceFile> = (0..apps)
        .map(|place| {
            let (name, title) = named.get(place).map_or_else(
                || (format!("app{place}"), format!("App {place}")),
                |&(name, title)| (name.to_owned(), title.to_owned()),
            );
            let category = if name == "wechat" { "messaging" } else { "video" };
            let text = format!(
                "[app]\nid = {}\nname = \"{name}\"\ntitle = \"{title}\"\ncategory = \"{category}\"\n\
                 owner = \"someone\"\n[[domain]]\nsuffix = [\"{name}.example\"]\n",
                place + 1
            );
            SourceFile::new(format!("{category}/{name}.toml"), text)
        })
        .collect();
    let (set, found) = SignatureSet::compile_leniently(&files);
    assert_eq!(set.catalog().app_count(), apps, "{found:?}");
    Arc::new(set)
}

fn totals(bytes: u64) -> Totals {
    Totals {
        sides: PerSide {
            client: Counters {
                packets: bytes / 2000,
                bytes: bytes / 10,
                ip_bytes: bytes / 10,
            },
            server: Counters {
                packets: bytes / 1000,
                bytes: bytes - bytes / 10,
                ip_bytes: bytes - bytes / 10,
            },
        },
        flows: bytes / 100_000,
    }
}

/// Nothing but bytes on the wire.
pub(crate) fn wire(seconds: u64, bytes: u64) -> Snapshot {
    let mut ledger = Ledger::default();
    ledger.wire.count(bytes / 1000, bytes);
    ledger.unsettled = ledger.wire;
    Snapshot {
        sequence: seconds + 1,
        at: at(seconds),
        started: at(0),
        ledger,
        ..Snapshot::default()
    }
}

pub(crate) fn drop_in_ring(snapshot: &mut Snapshot, frames: u64) {
    snapshot.sources.push(SourceReport {
        interface: "eth0".to_owned(),
        state: "up",
        dropped_ring: frames,
        ..SourceReport::default()
    });
}

/// Many applications, each a little.
pub(crate) fn many(seconds: u64, apps: usize) -> Snapshot {
    thread_local! {
        static SET: std::cell::RefCell<Option<Arc<SignatureSet>>> = const { std::cell::RefCell::new(None) };
    }
    let set = SET.with_borrow_mut(|held| {
        let known = held.take().filter(|set| set.catalog().app_count() == apps);
        Arc::clone(held.insert(known.unwrap_or_else(|| set(apps))))
    });
    let mut cells = Cells::new();
    let mut ledger = Ledger::default();
    for place in 0..apps {
        let key = CellKey {
            app: set
                .catalog()
                .app_named(&set.catalog().apps().nth(place).unwrap().1.name),
            evidence: Some(Evidence::ServerName),
            ..CellKey::default()
        };
        let totals = totals(seconds * (place as u64 * 7919 % 1000) * 1000);
        ledger.add_cell(&key, &totals);
        cells.insert(key, totals);
    }
    ledger.wire = ledger.counted();
    Snapshot {
        sequence: seconds + 1,
        at: at(seconds),
        started: at(0),
        set,
        cells: Arc::new(cells),
        ledger,
        ..Snapshot::default()
    }
}

/// A mirror port on a usual day, `seconds` after the start.
pub(crate) fn usual(seconds: u64) -> Snapshot {
    let set = set(3);
    let app = |name: &str| set.catalog().app_named(name);
    let mut cells = Cells::new();
    let mut ledger = Ledger::default();
    let rows = [
        (
            app("youtube"),
            Some(Service::Video),
            Some(Proto::QUIC),
            Evidence::ServerName,
            40_000_000,
        ),
        (
            app("youtube"),
            Some(Service::Video),
            Some(Proto::TLS),
            Evidence::Dns,
            4_000_000,
        ),
        (
            app("netflix"),
            Some(Service::Video),
            Some(Proto::TLS),
            Evidence::ServerName,
            20_000_000,
        ),
        (
            app("wechat"),
            Some(Service::Chat),
            Some(Proto::MMTLS),
            Evidence::PayloadProof,
            5_000_000,
        ),
        (None, None, Some(Proto::DNS), Evidence::Payload, 1_000_000),
    ];
    let mut add = |key: CellKey, a_second: u64| {
        let totals = totals(a_second * seconds);
        ledger.add_cell(&key, &totals);
        cells.insert(key, totals);
    };
    for (app, service, proto, evidence, a_second) in rows {
        let key = CellKey {
            app,
            service,
            proto,
            evidence: Some(evidence),
            ..CellKey::NONE
        };
        add(key, a_second);
    }
    let unknown = CellKey {
        unknown: Some(UnknownReason::NoMatch),
        ..CellKey::default()
    };
    add(unknown, 3_000_000);
    ledger.unsettled.count(100, 100_000);
    ledger.drops.count(DropReason::NonIp, seconds, 64 * seconds);
    ledger.wire = ledger.counted();
    let source = |interface: &str, thread, state, dropped_ring| SourceReport {
        interface: interface.to_owned(),
        thread,
        state,
        since: at(0),
        received: 80_000 * seconds,
        dropped_ring,
        dropped_interface: 0,
    };
    let mut accounts = Cells::new();
    for (subject, app, a_second) in [
        ("10.0.0.7", "youtube", 30_000_000),
        ("10.0.0.7", "netflix", 12_000_000),
        ("10.0.0.9", "wechat", 5_000_000),
        ("2001:db8::/56", "youtube", 14_000_000),
    ] {
        let key = CellKey {
            subject: subject.parse().ok().map(Subject::Prefix),
            app: set.catalog().app_named(app),
            evidence: Some(Evidence::ServerName),
            ..CellKey::default()
        };
        accounts.insert(key, totals(a_second * seconds));
    }
    Snapshot {
        sequence: seconds + 1,
        at: at(seconds),
        started: at(0),
        accounts: Some(Arc::new(accounts)),
        subjects: Some(Arc::default()),
        reloads: Reloads {
            loaded: at(0),
            accepted: 2,
            ..Reloads::default()
        },
        cells: Arc::new(cells),
        ledger,
        flows: 1200 * seconds,
        flows_held: 81_233,
        flows_limit: 1_048_576,
        sources: vec![source("eth0", 0, "up", 0), source("eth0", 1, "up", 0)],
        recent: flows(&set, seconds),
        set,
        ..Snapshot::default()
    }
}

fn flows(set: &SignatureSet, seconds: u64) -> Vec<Arc<FlowRecord>> {
    let mut records: Vec<Arc<FlowRecord>> = (0..30)
        .map(|id| Arc::new(flow(set, id, seconds, &format!("r{id}.youtube.example"))))
        .collect();
    // The second flow is told again at its end.
    let mut again = flow(set, 1, seconds, "r1.youtube.example");
    again.reason = EndReason::Fin;
    again.counters.server.bytes = 5_000_000;
    records.push(Arc::new(again));
    records
}

pub(crate) fn flow(set: &SignatureSet, id: u64, seconds: u64, server_name: &str) -> FlowRecord {
    let known = !id.is_multiple_of(5);
    let rule = set.by_name("youtube.example").map(|tag| tag.rule);
    let octet = u8::try_from(id % 250).unwrap_or_default();
    FlowRecord {
        flow_id: id,
        first: at(seconds),
        last: at(seconds + 1),
        client_ip: [10, 0, 0, octet].into(),
        client_port: 50_000 + u16::from(octet),
        server_ip: if id.is_multiple_of(7) {
            std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, id as u16).into()
        } else {
            [192, 0, 2, octet].into()
        },
        server_port: 443,
        protocol: IpProtocol::TCP,
        icmp: (0, 0),
        interface: None,
        reverse_interface: None,
        vlans: Vlans::default(),
        tunnel: None,
        subject: None,
        named: if known {
            Named {
                app: set.catalog().app_named("youtube"),
                service: Some(Service::Video),
                proto: Some(Proto::TLS),
                inner: None,
                evidence: Some(Evidence::ServerName),
                decider: rule.map(Decider::Rule),
                ..Named::default()
            }
        } else {
            Named {
                unknown: Some(UnknownReason::MidStream),
                ..Named::default()
            }
        },
        settled_at_packet: 4,
        facts: known.then(|| {
            Box::new(Facts {
                server_name: Some(server_name.into()),
                tls: Some(Box::new(Tls {
                    ja4: Some("t13d1516h2_8daaf6152771_e5627efa2ab1".into()),
                    ..Tls::default()
                })),
                ..Facts::default()
            })
        }),
        counters: PerSide {
            client: Counters {
                packets: 10,
                bytes: 1200,
                ip_bytes: 1060,
            },
            server: Counters {
                packets: 40,
                bytes: 40_000 + 1000 * (id % 1000),
                ip_bytes: 39_000,
            },
        },
        part: Part {
            number: 1,
            start: at(seconds),
            counters: PerSide::default(),
        },
        state: "established",
        reason: EndReason::Ongoing,
        steps: None,
        first_packets: None,
        client_is_low: true,
    }
}
