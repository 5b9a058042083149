//! The table against the structs: no member without its row.
#![allow(clippy::indexing_slicing)]

use std::collections::BTreeSet;

use super::*;
use crate::app::Proto;

fn text(text: &str) -> Option<Box<str>> {
    Some(text.into())
}

/// Facts that say everything. Every member is named here, so that a new one is not forgotten.
fn all() -> Facts {
    Facts {
        proto: None,
        swapped: false,
        rtp_payload_type: Some(96),
        server_name: text("server.example"),
        destination: Some(Box::new(Destination {
            ip: Some([192, 0, 2, 1].into()),
            port: Some(443),
        })),
        tls: Some(Box::new(Tls {
            alpn: vec!["h2".into(), "http/1.1".into()],
            ja4: Some("ja4".into()),
            ech: true,
            version: Some(0x0304),
            certificate: Names {
                common_name: text("common"),
                organisation: text("organisation"),
                issuer: text("issuer"),
                issuer_organisation: text("issuer's"),
                alternative: vec!["alternative".into()],
            },
        })),
        quic: Some(Box::new(Quic {
            version: Some(1),
            user_agent: text("quic"),
        })),
        http: Some(Box::new(Http {
            method: text("GET"),
            path: text("/"),
            user_agent: text("http"),
            server: text("http server"),
            content_type: text("text/html"),
            upgrade: text("websocket"),
            referer: text("referer.example"),
            headers: vec![("name".into(), "value".into())],
            cookie_domains: vec!["cookie.example".into()],
            status: Some(200),
            announced: Some(Proto::MQTT),
        })),
        dns: Some(Box::new(Dns {
            query_name: text("query.example"),
            query_type: Some(1),
        })),
        stun: Some(Box::new(Stun {
            types: vec![1, 0x101],
            attributes: vec![0x8022],
            realm: text("realm"),
            software: text("stun software"),
            username: text("user"),
            origin: text("origin"),
            addresses: vec![([192, 0, 2, 2], 3478).into()],
            classic: true,
        })),
        sip: Some(Box::new(Sip {
            method: text("INVITE"),
            status: Some(180),
            request_host: text("request.example"),
            from_host: text("from.example"),
            to_host: text("to.example"),
            contact: text("contact"),
            user_agent: text("phone"),
            server: text("sip server"),
            software: text("sip software"),
        })),
        rtsp: Some(Box::new(Rtsp {
            method: text("DESCRIBE"),
            user_agent: text("player"),
            server: text("rtsp server"),
        })),
        ssdp: Some(Box::new(Ssdp {
            method: text("NOTIFY"),
            status: Some(200),
            user_agent: text("control point"),
            server: text("ssdp server"),
            target: text("ssdp:all"),
        })),
        rtmp: Some(Box::new(Rtmp {
            app: text("live"),
            user_agent: text("flash"),
            referer: text("page.example"),
        })),
        mqtt: Some(Box::new(Mqtt {
            client_id: text("client"),
            user_name: text("user"),
        })),
        banner: Some(Box::new(Banner {
            server: text("220 ready"),
            software: text("SSH-2.0-x"),
        })),
    }
}

#[test]
fn every_member_has_a_row_and_every_row_a_member() {
    for field in FIELDS {
        assert!(field.of(&all()).is_some(), "{} is of nothing", field.name);
        assert!(field.of(&Facts::default()).is_none(), "{}", field.name);
        assert!(field.family.includes(&all()), "{}", field.name);
    }
    // What no row moves would be missing.
    let mut facts = Facts::default();
    facts.absorb(all());
    assert_eq!(facts, all());
}

#[test]
fn rows_are_told_apart_by_name_and_family_and_rules_by_key() {
    let mut seen = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for field in FIELDS {
        assert!(seen.insert((field.name, field.family)), "{}", field.name);
        for &(family, key) in field.keys {
            assert!(keys.insert((family, key)), "{key}");
            assert_eq!(Field::by_key(family, key).unwrap().name, field.name);
            let own = field.family == family || field.family == Family::Any;
            assert!(own, "{key} is another protocol's");
        }
    }
    assert!(Field::by_key(Family::Http, "alpn").is_none());
}

#[test]
fn rows_stand_by_family_and_in_the_lists_they_are_shown_in() {
    let families: Vec<_> = FIELDS.iter().map(|field| field.family).collect();
    assert!(families.is_sorted(), "{families:?}");
    for (place, family) in Family::ALL.into_iter().enumerate() {
        assert_eq!(family as usize, place);
        assert!(!family.rows().is_empty());
        assert!(family.rows().iter().all(|field| field.family == family));
    }
    let rows = Family::ALL.iter().map(|family| family.rows().len());
    assert_eq!(rows.sum::<usize>(), FIELDS.len());
    for (list, place_of) in [
        (
            EXPLAINED,
            (|field| field.explained) as fn(&Field) -> Option<u8>,
        ),
        (RECORDED, |field| field.recorded),
    ] {
        let places: BTreeSet<_> = FIELDS.iter().filter_map(place_of).collect();
        assert!(places.into_iter().map(usize::from).eq(0..list.len()));
    }
    let mut recorded = FIELDS.iter().filter(|field| field.recorded.is_some());
    assert!(recorded.all(|field| RECORDED.contains(&field.name)));
}

#[test]
fn what_is_shared_and_spoken_stays_small() {
    assert!(size_of::<Facts>() <= 128, "{}", size_of::<Facts>());
    assert_eq!(Facts::default().memory(), size_of::<Facts>());
    assert!(all().memory() > 1024);
}

#[test]
fn the_inside_is_right_where_both_say_something() {
    let http = |method: &str, user_agent: Option<&str>| Facts {
        proto: Some(Proto::HTTP),
        http: Some(Box::new(Http {
            method: text(method),
            user_agent: user_agent.map(Into::into),
            ..Http::default()
        })),
        ..Facts::default()
    };
    let mut facts = http("CONNECT", Some("outer"));
    facts.destination = Some(Box::new(Destination {
        ip: Some([192, 0, 2, 1].into()),
        port: Some(1080),
    }));
    let mut inside = http("GET", None);
    inside.proto = Some(Proto::HTTP2);
    inside.swapped = true;
    inside.destination = Some(Box::new(Destination {
        ip: None,
        port: Some(443),
    }));
    facts.absorb(inside);
    let expected = Facts {
        destination: Some(Box::new(Destination {
            ip: Some([192, 0, 2, 1].into()),
            port: Some(443),
        })),
        ..http("GET", Some("outer"))
    };
    assert_eq!(facts, expected);
    let inside = Facts {
        rtmp: Some(Box::new(Rtmp {
            user_agent: text("inner"),
            ..Rtmp::default()
        })),
        ..Facts::default()
    };
    facts.absorb(inside);
    assert_eq!(facts.recorded()[3], Some(Value::Text("inner")));
}

#[test]
fn the_names_of_users_are_not_shown() {
    let facts = Facts {
        mqtt: Some(Box::new(Mqtt {
            client_id: text("meter-7"),
            user_name: text("somebody"),
        })),
        stun: Some(Box::new(Stun {
            username: text("somebody"),
            ..Stun::default()
        })),
        ..Facts::default()
    };
    let told = facts.described();
    let told: Vec<_> = told.iter().map(|(label, text)| (*label, &**text)).collect();
    assert_eq!(told, [("client identifier", "meter-7")]);
    assert_eq!(facts.recorded(), [None; RECORDED.len()]);
}

#[test]
fn people_are_told_in_order_and_once() {
    let expected = [
        ("server name", "server.example"),
        ("ja4", "ja4"),
        ("certificate name", "common"),
        ("certificate organisation", "organisation"),
        ("method", "INVITE"),
        ("path", "live"),
        ("user agent", "quic"),
        ("server", "rtsp server"),
        ("content type", "text/html"),
        ("upgrade", "websocket"),
        ("query name", "query.example"),
        ("software", "sip software"),
        ("client identifier", "client"),
        ("alpn", "h2, http/1.1"),
        ("encrypted client hello", "offered"),
        ("quic version", "0x00000001"),
        ("destination", "192.0.2.1:443"),
        ("stun types", "0001 0101"),
        ("stun attributes", "8022"),
        ("stun realm", "realm"),
        ("stun software", "stun software"),
        ("cookie domain", "cookie.example"),
    ];
    let told = all().described();
    let told: Vec<_> = told.iter().map(|(label, text)| (*label, &**text)).collect();
    assert_eq!(told, expected);
    for (ip, port, expected) in [
        (None, Some(443), Some(("destination port", "443"))),
        (
            Some([192, 0, 2, 1].into()),
            None,
            Some(("destination", "192.0.2.1")),
        ),
        (None, None, None),
    ] {
        let facts = Facts {
            destination: Some(Box::new(Destination { ip, port })),
            ..Facts::default()
        };
        let told = facts.described();
        let told = told.first().map(|(label, text)| (*label, &**text));
        assert_eq!(told, expected);
    }
}

#[test]
fn records_show_the_first_of_each_name() {
    let facts = all();
    let expected = [
        Value::Text("server.example"),
        Value::Texts(&facts.tls.as_ref().unwrap().alpn),
        Value::Text("ja4"),
        Value::Text("quic"),
        Value::Text("query.example"),
        Value::Offered,
    ];
    assert_eq!(facts.recorded(), expected.map(Some));
    assert_eq!(Facts::default().recorded(), [None; RECORDED.len()]);
}

#[test]
fn what_is_too_long_is_found() {
    let mut facts = all();
    assert_eq!(facts.beyond_bounds(), None);
    facts.http.as_mut().unwrap().referer = Some("a".repeat(256).into());
    assert_eq!(facts.beyond_bounds(), Some("referer"));
    let mut facts = all();
    facts.stun.as_mut().unwrap().types = vec![0; 17];
    assert_eq!(facts.beyond_bounds(), Some("types"));
    let mut facts = all();
    facts.http.as_mut().unwrap().headers = vec![("a".into(), "b".repeat(257).into())];
    assert_eq!(facts.beyond_bounds(), Some("headers"));
}
