//! Made-up records for tests.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::{FlowRecord, Interval, Intervals, Part, UsageRecord};
use crate::app::{Proto, Service};
use crate::capture::{InterfaceId, Interfaces};
use crate::classify::{Decider, Named};
use crate::decode::{IpProtocol, Tunnel, Vlans};
use crate::dissect::{Dns, Facts, Http, Tls};
use crate::flow::{Counters, End, EndReason, PerSide, Sequence};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::{CellKey, Cells, Closed, Subjects, Totals};
use crate::verdict::Evidence;

/// 2026-01-02T03:04:05.000000006Z.
const BEGIN: Timestamp = Timestamp::new(1_767_323_045, 6);

/// A flow of which little is known.
pub(crate) fn sparse() -> FlowRecord {
    FlowRecord {
        flow_id: 7,
        first: BEGIN,
        last: BEGIN.after(Duration::from_millis(1500)),
        client_ip: [10, 0, 0, 1].into(),
        client_port: 0,
        server_ip: [192, 0, 2, 1].into(),
        server_port: 0,
        protocol: IpProtocol(89),
        icmp: (0, 0),
        interface: None,
        reverse_interface: None,
        vlans: Vlans::default(),
        tunnel: None,
        subject: None,
        named: Named::default(),
        settled_at_packet: 1,
        facts: None,
        counters: PerSide::default(),
        part: Part {
            number: 1,
            start: BEGIN,
            counters: PerSide::default(),
        },
        state: "new",
        reason: EndReason::Idle,
        steps: None,
        first_packets: None,
        client_is_low: true,
    }
}

/// A flow with a value in every field that can have one beside the others; `text` is what its
/// sender said wherever it had a choice.
pub(crate) fn full(set: &SignatureSet, text: &str) -> FlowRecord {
    let wechat = set.catalog().app_named("wechat");
    let said = || (!text.is_empty()).then(|| text.into());
    let mut vlans = Vlans::default();
    vlans.push(10);
    vlans.push(4000);
    let addresses: [IpAddr; 2] = ["2001:db8::1", "2001:db8::2"].map(|ip| ip.parse().unwrap());
    FlowRecord {
        client_ip: addresses[0],
        client_port: 50_000,
        server_ip: addresses[1],
        server_port: 443,
        protocol: IpProtocol::TCP,
        interface: Some("eth1".into()),
        reverse_interface: Some("eth2".into()),
        vlans,
        tunnel: Some(Tunnel::GtpU),
        subject: Some(Subjects::default().find(addresses[0], addresses[1]).0),
        named: Named {
            app: wechat,
            service: Some(Service::Chat),
            proto: Some(Proto::TLS),
            inner: Some(Proto::HTTP),
            evidence: Some(Evidence::ServerName),
            decider: Some(Decider::ProtocolNumber),
            unknown: None,
            remembered: true,
        },
        settled_at_packet: 4,
        facts: Some(Box::new(Facts {
            server_name: said(),
            tls: Some(Box::new(Tls {
                alpn: vec!["h2".into(), text.into()],
                ech: true,
                ..Tls::default()
            })),
            http: Some(Box::new(Http {
                user_agent: said(),
                ..Http::default()
            })),
            dns: Some(Box::new(Dns {
                query_name: said(),
                ..Dns::default()
            })),
            ..Facts::default()
        })),
        counters: PerSide {
            client: counters(3, 1000),
            server: counters(5, 1 << 40),
        },
        part: Part {
            number: 2,
            start: BEGIN.after(Duration::from_secs(1)),
            counters: PerSide {
                client: counters(1, 400),
                server: counters(2, 1 << 39),
            },
        },
        first_packets: Some(Box::new(first_packets())),
        state: "closed",
        reason: EndReason::Fin,
        ..sparse()
    }
}

/// Three packets: the last of the server.
fn first_packets() -> Sequence {
    let mut sequence = Sequence::default();
    for (end, length, after) in [
        (End::Low, 517, 1_000),
        (End::Low, 65_535, 2_000),
        (End::High, 1, 3_600_000_000),
    ] {
        sequence.push(end, length, Duration::from_micros(after));
    }
    sequence
}

const fn counters(packets: u64, bytes: u64) -> Counters {
    Counters {
        packets,
        bytes,
        ip_bytes: bytes - 14 * packets,
    }
}

/// The records of an interval.
pub(crate) fn usage<'r>(
    interval: &'r Interval,
    cells: &'r Cells,
    set: &'r SignatureSet,
) -> impl Iterator<Item = UsageRecord<'r>> {
    static INTERFACES: LazyLock<Interfaces> = LazyLock::new(Interfaces::default);
    UsageRecord::all(interval, cells, set, &INTERFACES)
}

/// Two cells, the first without any name.
pub(crate) fn cells(set: &SignatureSet) -> Cells {
    let totals = Totals {
        sides: PerSide {
            client: counters(2, 200),
            server: counters(1, 100),
        },
        flows: 1,
    };
    let named = CellKey {
        subject: Some(crate::usage::Subject::Other),
        interface: Some(InterfaceId::default()),
        app: set.catalog().app_named("wechat"),
        service: Some(Service::Chat),
        proto: Some(Proto::TLS),
        evidence: Some(Evidence::ServerName),
        unknown: None,
    };
    [(CellKey::default(), totals), (named, totals)].into()
}

/// The interval these are of.
pub(crate) fn interval(cells: &Cells, run: Option<Timestamp>) -> Interval {
    let length = Duration::from_secs(60).into();
    let closed = Closed {
        start: Timestamp::new(120, 0),
        covered_from: Timestamp::new(130, 0),
        covered_until: Timestamp::new(180, 0),
        cells: cells.clone(),
    };
    let of = Intervals {
        length,
        run,
        interfaces: Arc::default(),
    };
    Interval::new(&closed, 7, &of)
}
