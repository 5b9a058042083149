//! The set as a whole: facts, certificates, flows, ports, hashes, checks and tests of files.
#![allow(clippy::indexing_slicing)]

use std::sync::Arc;

use super::*;
use crate::app::{Proto, Service};
use crate::dissect::{DISSECTORS, Facts, Http, Names, Over, Sip, Stun, Tls};
use crate::flow::opening::Script;
use crate::flow::{Side, Transport};
use crate::verdict::{Evidence, RuleId};

const APP: &str =
    "[app]\nid = 1\nname = 'acme'\ntitle = 'Acme'\ncategory = 'chat'\nowner = 'Acme'\n";

fn acme(rules: &str) -> SourceFile {
    SourceFile::new("signatures/chat/acme.toml", format!("{APP}{rules}"))
}

fn other(rules: &str) -> SourceFile {
    let head = APP.replace("acme", "other").replace("id = 1", "id = 2");
    SourceFile::new("signatures/chat/other.toml", format!("{head}{rules}"))
}

fn set(files: &[SourceFile]) -> SignatureSet {
    SignatureSet::compile(files).unwrap_or_else(|found| panic!("{found:?}"))
}

/// The rules that `facts` make true, as `name evidence`.
fn by_facts(set: &SignatureSet, facts: &Facts) -> Vec<String> {
    let mut found = Vec::new();
    set.by_facts(&Script::tcp(5223).client(b"x").opening(), facts, &mut found);
    found
        .iter()
        .map(|tag| format!("{} {}", set.rule_name(tag.rule), tag.evidence))
        .collect()
}

fn text(text: &str) -> Option<Box<str>> {
    Some(text.into())
}

#[test]
fn facts_rules_need_every_key_and_any_entry() {
    let stun = |stun: Stun| Facts {
        stun: Some(Box::new(stun)),
        proto: Some(Proto::STUN),
        ..Facts::default()
    };
    let http = Facts {
        proto: Some(Proto::HTTP),
        server_name: text("cdn7.acme.test"),
        http: Some(Box::new(Http {
            user_agent: text("Acme/1.2 (X)"),
            path: text("/mmtls/abc"),
            method: text("POST"),
            headers: vec![("yx-pn".into(), "yxmc-1".into())],
            ..Http::default()
        })),
        ..Facts::default()
    };
    let tls = Facts {
        proto: Some(Proto::TLS),
        tls: Some(Box::new(Tls {
            alpn: vec!["h2".into(), "acme-push-v3".into()],
            ja4: Some("t13d1516h2_8daaf6152771_02713d6af862".into()),
            certificate: Names {
                organisation: text("Acme Inc."),
                ..Names::default()
            },
            ..Tls::default()
        })),
        ..Facts::default()
    };
    let sip = Facts {
        proto: Some(Proto::SIP),
        sip: Some(Box::new(Sip {
            user_agent: text("Acme client_7"),
            to_host: text("sip.acme.test"),
            ..Sip::default()
        })),
        ..Facts::default()
    };
    let cases: &[(&str, &Facts, &[&str])] = &[
        (
            "[[http]]\nuser_agent = ['x*', 'acme/*']",
            &http,
            &["acme/http:user_agent=x* payload"],
        ),
        (
            "[[http]]\nuser_agent = ['acme/*']\npath = ['/mmtls/*']\nmethod = ['post']\nname = 'n'",
            &http,
            &["acme/http:n payload"],
        ),
        (
            "[[http]]\nuser_agent = ['acme/*']\npath = ['/other/*']",
            &http,
            &[],
        ),
        (
            "[[http]]\nheader = [{ name = 'YX-PN', value = 'yxmc*' }]",
            &http,
            &["acme/http:header=YX-PN payload"],
        ),
        (
            "[[http]]\nheader = [{ name = 'YX-PN' }]",
            &http,
            &["acme/http:header=YX-PN payload"],
        ),
        (
            "[[http]]\nheader = [{ name = 'X-PN', value = 'yxmc*' }]",
            &http,
            &[],
        ),
        (
            "[[http]]\nhost = ['cdn*.acme.test']",
            &http,
            &["acme/http:host=cdn*.acme.test server-name"],
        ),
        ("[[http]]\nuser_agent = ['*acme*']", &sip, &[]),
        (
            "[[http]]\nuser_agent = ['*']",
            &http,
            &["acme/http:user_agent=* payload"],
        ),
        (
            "[[sip]]\nuser_agent = ['*client_*']\nto_host = ['*.acme.test']",
            &sip,
            &["acme/sip:to_host=*.acme.test payload"],
        ),
        ("[[sip]]\nuser_agent = ['*acme*']", &http, &[]),
        (
            "[[tls]]\nalpn = ['acme-push-*']",
            &tls,
            &["acme/tls:alpn=acme-push-* payload"],
        ),
        (
            "[[tls]]\nalpn = ['acme-push-*']\nport = [5223]",
            &tls,
            &["acme/tls:alpn=acme-push-* payload"],
        ),
        ("[[tls]]\nalpn = ['acme-push-*']\nport = [443]", &tls, &[]),
        (
            "[[tls]]\nalpn = ['acme-push-*']\naddress_excluded = ['203.0.113.0/24']",
            &tls,
            &[],
        ),
        (
            "[[tls]]\nja4 = ['t13d1516h2_8daaf6152771_*']\nalpn = ['h2']",
            &tls,
            &["acme/tls:alpn=h2 fingerprint"],
        ),
        (
            "[[tls]]\norganisation = ['acme inc.']",
            &tls,
            &["acme/tls:organisation=acme inc. server-name"],
        ),
        ("[[tls]]\nissuer = ['acme inc.']", &tls, &[]),
        (
            "[[tls]]\nport = [5223]\naddress_required = true",
            &tls,
            &["acme/tls:port=5223 payload"],
        ),
        (
            "[[tls]]\nport = [5223]\naddress_required = true",
            &http,
            &[],
        ),
        (
            "[[stun]]\nattribute = [0x4000, 0x4001]",
            &stun(Stun {
                attributes: vec![6, 0x4001],
                ..Stun::default()
            }),
            &["acme/stun:attribute=0x4000 payload"],
        ),
        (
            "[[stun]]\nattribute = [0x4000]\ntype = [0x0800]",
            &stun(Stun {
                attributes: vec![0x4000],
                ..Stun::default()
            }),
            &[],
        ),
        (
            "[[stun]]\nrealm = ['*.acme.test']\nattribute = [20]",
            &stun(Stun {
                realm: text("turn.acme.test"),
                attributes: vec![20],
                ..Stun::default()
            }),
            &["acme/stun:realm=*.acme.test payload"],
        ),
        ("[[stun]]\nrealm = ['*']", &http, &[]),
    ];
    for (keys, facts, expected) in cases {
        let address = "[[address]]\nprefix = ['203.0.113.0/24']\nshared = true\n";
        let set = set(&[acme(&format!("{address}{keys}\nsource = 's'\n"))]);
        assert_eq!(by_facts(&set, facts), *expected, "{keys}");
    }
}

/// What the dissector that is sure of `script` reads in it.
fn dissected(script: &Script) -> Facts {
    let opening = script.opening();
    let mut read = DISSECTORS
        .iter()
        .filter(|row| match row.over {
            Over::Tcp => opening.transport == Transport::Tcp,
            Over::Udp => opening.transport == Transport::Udp,
            Over::TcpAndUdp => true,
        })
        .filter_map(|row| {
            let mut facts = Facts::default();
            (row.dissect)(&opening, &mut facts)
                .is_sure()
                .then_some(facts)
        });
    read.next().expect("a dissector that is sure")
}

#[test]
fn a_rule_table_tests_the_facts_of_its_own_protocols() {
    let hello = crate::dissect::tls::tests::client_hello_record();
    let stun = b"\0\x01\0\x08\x21\x12\xa4\x42abcdefghijkl\x80\x22\0\x04Acme";
    // What both tables could mean by one key: fields of all these protocols are called the same.
    let rules = "[[http]]\nname = 'h1'\nmethod = ['get', 'describe', 'm-search', 'options']\nsource = 's'\n\
        [[http]]\nname = 'h2'\nuser_agent = ['acme*']\nsource = 's'\n\
        [[http]]\nname = 'h3'\nserver = ['acme*']\nsource = 's'\n\
        [[http]]\nname = 'h4'\nhost = ['*.*']\nsource = 's'\n\
        [[http]]\nname = 'h5'\nheader = [{ name = 'st' }]\nsource = 's'\n\
        [[tls]]\nname = 't1'\nserver_name = ['*.*']\nsource = 's'\n\
        [[sip]]\nname = 's1'\nmethod = ['get', 'describe', 'm-search', 'options']\nsource = 's'\n\
        [[sip]]\nname = 's2'\nuser_agent = ['acme*']\nsource = 's'\n\
        [[sip]]\nname = 's3'\nserver = ['acme*']\nsource = 's'\n\
        [[stun]]\nname = 'u1'\nsoftware = ['acme*']\nsource = 's'\n";
    let set = set(&[acme(rules)]);
    let text = |text: &str| text.replace('\n', "\r\n").into_bytes();
    let of_client = "User-Agent: Acme/1\nHost: www.example.com\nST: all\n\n";
    let of_server = "Server: Acme/1\n\n";
    let rows = [
        (
            "http",
            Script::tcp(80)
                .client(&text(&format!("GET / HTTP/1.1\n{of_client}")))
                .server(&text(&format!("HTTP/1.1 200 OK\n{of_server}"))),
            &["h1", "h2", "h3", "h4", "h5"][..],
        ),
        (
            "rtsp",
            Script::tcp(554)
                .client(&text(&format!(
                    "DESCRIBE rtsp://www.example.com/a RTSP/1.0\n{of_client}"
                )))
                .server(&text(&format!("RTSP/1.0 200 OK\n{of_server}"))),
            &[],
        ),
        (
            "ssdp",
            Script::udp(1900).client(&text(&format!(
                "M-SEARCH * HTTP/1.1\nServer: Acme/1\n{of_client}"
            ))),
            &[],
        ),
        (
            "sip",
            Script::udp(5060).client(&text(&format!(
                "OPTIONS sip:www.example.com SIP/2.0\nServer: Acme/1\n{of_client}"
            ))),
            &["s1", "s2", "s3"],
        ),
        ("tls", Script::tcp(443).client(&hello), &["t1"]),
        ("stun", Script::udp(3478).client(stun), &["u1"]),
        (
            "smtp",
            Script::tcp(25)
                .server(b"220 Acme ESMTP ready\r\n")
                .client(b"EHLO www.example.com\r\n"),
            &[],
        ),
        (
            "mqtt",
            Script::tcp(1883).client(b"\x10\x16\0\x04MQTT\x04\x80\0\x3c\0\x02id\0\x06acme/1"),
            &[],
        ),
    ];
    for (proto, script, expected) in rows {
        let facts = dissected(&script);
        let catalog = set.catalog();
        let spoken = facts.proto.map(|proto| catalog.protocol_name(proto));
        assert_eq!(spoken, Some(proto));
        let mut found: Vec<_> = by_facts(&set, &facts)
            .iter()
            .filter_map(|found| Some(found.split_once(':')?.1.split(' ').next()?.to_owned()))
            .collect();
        found.sort_unstable();
        assert_eq!(found, *expected, "{proto}");
    }
}

#[test]
fn proto_rules_name_what_a_dissector_recognised() {
    let files = [acme(
        "[[proto]]\nname = 'mtproto'\nevidence = 'payload-proof'\nservice = 'chat'\n\
         [[proto]]\nname = 'xmpp'\nport = [5222]\n",
    )];
    let set = set(&files);
    let of = |proto| Facts {
        proto: Some(proto),
        ..Facts::default()
    };
    assert_eq!(
        by_facts(&set, &of(Proto::MTPROTO)),
        ["acme/proto:mtproto payload-proof"]
    );
    assert!(
        by_facts(&set, &of(Proto::XMPP)).is_empty(),
        "the port is another"
    );
    assert!(by_facts(&set, &of(Proto::SSH)).is_empty());
    let mut found = Vec::new();
    set.by_facts(
        &Script::tcp(5222).client(b"x").opening(),
        &of(Proto::XMPP),
        &mut found,
    );
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].proto, found[0].app),
        (Some(Proto::XMPP), set.catalog().app_named("acme"))
    );
}

#[test]
fn a_certificate_speaks_only_where_the_client_named_no_server_we_know() {
    let set = set(&[
        acme("[[domain]]\nsuffix = ['acme.test', 'acme.example']\nservice = 'chat'\n"),
        other("[[domain]]\nsuffix = ['other.test']\n"),
    ]);
    let facts = |name: Option<&str>, common: Option<&str>, alternative: &[&str]| Facts {
        server_name: name.map(Into::into),
        tls: Some(Box::new(Tls {
            certificate: Names {
                common_name: common.map(Into::into),
                alternative: alternative.iter().map(|&name| name.into()).collect(),
                ..Names::default()
            },
            ..Tls::default()
        })),
        ..Facts::default()
    };
    let acme = "acme/domain:acme.test server-name";
    let other = "other/domain:other.test server-name";
    for (name, common, alternative, expected) in [
        (Some("www.acme.test"), None, &[][..], Some(acme)),
        (
            Some("www.acme.test"),
            Some("*.other.test"),
            &["other.test"],
            Some(acme),
        ),
        (Some("unknown.test"), Some("*.other.test"), &[], Some(other)),
        (None, Some("*.other.test"), &["acme.test"], Some(other)),
        (None, None, &["*.acme.test"], Some(acme)),
        (
            None,
            Some("cdn.test"),
            &["x.test", "*.acme.test", "acme.example"],
            Some(acme),
        ),
        (None, Some("cdn.test"), &["*.acme.test", "other.test"], None),
        (None, Some("Acme Inc."), &[], None),
        (None, None, &[], None),
    ] {
        let found = by_facts(&set, &facts(name, common, alternative));
        assert_eq!(
            found,
            expected.into_iter().collect::<Vec<_>>(),
            "{name:?} {common:?} {alternative:?}"
        );
    }
    let referred = Facts {
        http: Some(Box::new(Http {
            referer: text("www.acme.test"),
            ..Http::default()
        })),
        ..Facts::default()
    };
    assert!(
        by_facts(&set, &referred).is_empty(),
        "who asked is not whose traffic it is"
    );
}

#[test]
fn cookies_speak_where_the_question_is_not_there() {
    let set = set(&[
        acme("[[domain]]\nsuffix = ['acme.test', 'acme.example']\n"),
        other("[[domain]]\nsuffix = ['other.test']\n"),
    ]);
    let acme = Some("acme/domain:acme.test server-name");
    let rows: [(Option<&str>, &[&str], Option<&str>); 7] = [
        (None, &["acme.test"], acme),
        (None, &["www.acme.test", "acme.example"], acme),
        (None, &["acme.test", "other.test"], None),
        (None, &["acme.test", "unheard.test"], None),
        (None, &[], None),
        (Some("unheard.test"), &["acme.test"], None),
        (Some("acme.test"), &["other.test"], acme),
    ];
    for (name, domains, expected) in rows {
        let facts = Facts {
            server_name: name.map(Into::into),
            http: Some(Box::new(Http {
                cookie_domains: domains.iter().map(|&name| name.into()).collect(),
                ..Http::default()
            })),
            ..Facts::default()
        };
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(by_facts(&set, &facts), expected, "{name:?} {domains:?}");
    }
}

#[test]
fn tags_say_what_the_file_says() {
    let set = set(&[
        acme(
            "[[domain]]\nsuffix = ['acme.test']\nexact = ['acme.test']\nservice = 'voice'\nsource = 'seen'\n\
             [[address]]\nprefix = ['198.51.100.0/24']\nservice = 'video'\n\
             [[address]]\nprefix = ['198.51.100.0/25']\nshared = true\n",
        ),
        SourceFile::new(
            "signatures/protocol/bacnet.toml",
            "[protocol]\nname = 'bacnet'\ntitle = 'BACnet/IP'\n\
             [[payload]]\nname = 'bvlc'\ntransport = 'udp'\nat = [{ offset = 0, hex = '81 0a 00 0c' }]\nsource = 's'\n\
             [[port]]\ntransport = ['udp', 'tcp']\nport = [47808, '47810-47812']\n",
        ),
    ]);
    let tag = set.by_name("acme.test").unwrap();
    assert_eq!(set.rule_name(tag.rule), "acme/domain:=acme.test");
    assert_eq!(tag.app, set.catalog().app_named("acme"));
    assert_eq!(
        (tag.service, tag.evidence, tag.proto),
        (Some(Service::Voice), Evidence::ServerName, None)
    );
    assert_eq!(
        (set.rule_weight(tag.rule), set.rule_source(tag.rule)),
        (3, "seen")
    );
    assert_eq!(
        set.rule_weight(set.by_name("www.acme.test").unwrap().rule),
        2
    );

    let tag = set.by_address([198, 51, 100, 1].into()).unwrap();
    assert_eq!(set.rule_name(tag.rule), "acme/address:198.51.100.0/24");
    assert_eq!(
        (tag.evidence, set.rule_weight(tag.rule)),
        (Evidence::Address, 24)
    );
    assert_eq!(set.by_address([198, 51, 101, 1].into()), None);

    let bacnet = set.catalog().protocol_named("bacnet");
    let tag = set.by_port(Transport::Udp, 47811).unwrap();
    assert_eq!(
        (tag.app, tag.proto, tag.evidence),
        (None, bacnet, Evidence::Port)
    );
    assert_eq!(set.rule_name(tag.rule), "bacnet/port:udp/47810-47812");
    assert_eq!(set.by_port(Transport::Udp, 47809), None);
    assert!(set.by_port(Transport::Tcp, 47808).is_some());
    assert_eq!(set.by_port(Transport::Other(132), 47808), None);

    let mut found = Vec::new();
    set.by_payload(
        &Script::udp(1).client(&[0x81, 0x0a, 0, 0x0c]).opening(),
        &mut found,
    );
    assert_eq!((found[0].app, found[0].proto), (None, bacnet));
    assert_eq!(set.rule_weight(found[0].rule), 32);
    assert_eq!(set.rule_tag(found[0].rule), Some(found[0]));
}

/// Keys of the rule, the flow's messages, and whether the rule holds after the last.
type Case<'a> = (&'a str, &'a [(Side, Vec<u8>)], bool);

#[test]
fn flow_rules_look_at_the_first_messages() {
    let random: Vec<u8> = (0..=255_u8)
        .map(|n| n.wrapping_mul(167).wrapping_add(13))
        .collect();
    let (client, server) = (Side::Client, Side::Server);
    let message = |side, len: usize| (side, random[..len].to_vec());
    let packets = "packets = ['c 48', 's 80', 'c 100-200']";
    let cases: &[Case<'_>] = &[
        (
            packets,
            &[
                message(client, 48),
                message(server, 80),
                message(client, 150),
            ],
            true,
        ),
        (packets, &[message(client, 48), message(server, 80)], false),
        (
            packets,
            &[
                message(client, 48),
                message(server, 81),
                message(client, 150),
            ],
            false,
        ),
        (
            packets,
            &[
                message(client, 48),
                message(server, 80),
                message(client, 99),
            ],
            false,
        ),
        (
            packets,
            &[
                message(client, 48),
                message(server, 80),
                message(client, 150),
                message(server, 9),
            ],
            true,
        ),
        (
            "packets = ['c *']\nminimum = 3",
            &[message(client, 1), message(client, 1)],
            false,
        ),
        (
            "packets = ['c *']\nminimum = 3",
            &[message(client, 1), message(client, 1), message(client, 1)],
            true,
        ),
        (
            "packets = ['c *']\nsymmetric = true",
            &[message(client, 1)],
            false,
        ),
        (
            "packets = ['c *']\nsymmetric = true",
            &[message(client, 1), message(server, 1)],
            true,
        ),
        ("entropy = { client = 7.0 }", &[message(client, 200)], true),
        ("entropy = { client = 7.0 }", &[message(client, 63)], false),
        (
            "entropy = { client = 7.0 }",
            &[(client, vec![7; 200])],
            false,
        ),
        ("entropy = { server = 7.0 }", &[message(client, 200)], false),
        (
            "where = ['len == 5']",
            &[message(client, 5), message(client, 6)],
            true,
        ),
        (
            "where = ['len == 5']",
            &[message(client, 6), message(client, 5)],
            false,
        ),
        (
            "where = ['peer_len == 5']",
            &[message(client, 6), message(server, 5)],
            true,
        ),
        (
            "packets = ['c 5']\nport = [5222]\nport_required = true",
            &[message(client, 5)],
            true,
        ),
        (
            "packets = ['c 5']\nport = [5223]\nport_required = true",
            &[message(client, 5)],
            false,
        ),
        (
            "packets = ['c 5']\ntransport = 'udp'",
            &[message(client, 5)],
            false,
        ),
    ];
    for (keys, messages, expected) in cases {
        let set = set(&[acme(&format!(
            "[[flow]]\nname = 'f'\nsource = 's'\n{keys}\n"
        ))]);
        let mut script = Script::tcp(5222);
        let mut found = Vec::new();
        for (side, message) in *messages {
            script = script.message(*side, message);
            found.clear();
            set.by_flow(&script.opening(), &mut found);
        }
        assert_eq!(
            found.len(),
            usize::from(*expected),
            "{keys} with {} messages",
            messages.len()
        );
        assert!(found.iter().all(|tag| tag.evidence == Evidence::Flow));
    }
}

#[test]
fn the_hash_follows_content_and_not_order_or_place() {
    let (a, b) = (acme(""), other(""));
    let moved = SourceFile::new("/elsewhere/chat/acme.toml", a.text.clone());
    let changed = SourceFile::new(a.path.clone(), format!("{} ", a.text));
    let hash = |files: &[SourceFile]| set(files).hash().to_owned();
    let first = hash(&[a.clone(), b.clone()]);
    assert_eq!(first.len(), 64);
    assert_eq!(first, hash(&[b.clone(), a.clone()]));
    assert_eq!(first, hash(&[moved, b.clone()]));
    assert_ne!(first, hash(&[changed, b]));
    assert_ne!(first, hash(&[a]));
}

#[test]
fn a_file_on_disk_takes_the_place_of_the_built_in_one() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("chat")).unwrap();
    std::fs::write(dir.path().join("README.md"), "not a folder").unwrap();
    std::fs::write(dir.path().join("chat/README.md"), "not a signature").unwrap();
    std::fs::write(
        dir.path().join("chat/acme.toml"),
        &*acme("[[domain]]\nsuffix = ['acme.test']\n").text,
    )
    .unwrap();
    let set = SignatureSet::from_dir(dir.path(), true).unwrap();
    assert!(set.by_name("acme.test").is_some());
    assert_eq!(set.catalog().app_count(), 1);

    std::fs::write(dir.path().join("chat/bad.toml"), "[app]\nid = 'x'\n").unwrap();
    std::fs::write(dir.path().join("chat/worse.toml"), "= 1\n").unwrap();
    let found = SignatureSet::from_dir(dir.path(), true).unwrap_err();
    let in_file = |name: &str| found.iter().any(|one| one.path.ends_with(name));
    assert!(in_file("bad.toml") && in_file("worse.toml"), "{found:?}");
    assert!(SignatureSet::from_dir(&dir.path().join("missing"), true).is_err());
}

#[test]
fn the_built_in_set_has_no_fault() {
    let errors: Vec<_> = check(&builtin_files())
        .into_iter()
        .filter(|found| found.severity == Severity::Error)
        .map(|found| found.to_string())
        .collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn faults_are_reported_where_they_stand() {
    let payload = |keys: &str| format!("[[payload]]\nname = 'p'\nsource = 's'\n{keys}\n");
    // Six lines stand before the rules.
    let cases: &[(String, &str)] = &[
        (
            "[[domain]]\nsuffix = ['acme.test',\n '*.x.test']".into(),
            "9:2: `*.x.test`: a suffix covers",
        ),
        ("[[domain]]".into(), "7:1: expected `suffix` or `exact`"),
        (
            "[[domain]]\nsuffix = ['a.test', 'a.test']".into(),
            "8:21: `a.test` stands here twice",
        ),
        (
            "[domain]\nsuffix = ['a.test']".into(),
            "7:1: expected a list of tables",
        ),
        (
            "[[address]]\nprefix = ['1.2.3.4/24']".into(),
            "8:11: `1.2.3.4/24`: bits are set",
        ),
        (
            "[[address]]\nprefix = ['0.0.0.0/0']".into(),
            "8:11: expected a prefix of at least 8 bits",
        ),
        (
            "[[port]]\ntransport = 'ip'\nport = [1]".into(),
            "9:8: expected a transport that has ports",
        ),
        (
            "[[port]]\ntransport = 'udp'\nport = ['1-2000']".into(),
            "9:8: expected 1 to 1024 ports",
        ),
        (
            "[[port]]\ntransport = 'udp'\nport = [70000]".into(),
            "9:9: invalid value: integer `70000`",
        ),
        (payload(""), "7:1: expected `at`, `contains` or `where`"),
        (
            payload("at = [{ offset = 0, hex = '16 0x' }]"),
            "10:32: expected a hex digit",
        ),
        (
            payload("at = [{ offset = 0 }]"),
            "10:7: expected one of `hex` and `text`",
        ),
        (
            payload("at = [{ offset = -1, hex = '01 02' }]"),
            "10:7: the pattern runs over",
        ),
        (
            payload("at = [{ offset = 4000, hex = '01 02' }]"),
            "10:7: expected bytes within",
        ),
        (
            payload("contains = [{ hex = '01 ??' }]"),
            "10:13: expected whole bytes",
        ),
        (
            payload("contains = [{ hex = '01 02', within = 9000 }]"),
            "10:39: expected 2 to 2048",
        ),
        (
            payload("where = ['len == 5', 'len = 6']"),
            "10:27: expected an operator",
        ),
        (
            payload("where = ['len == 5', 'len == 6']"),
            "7:1: no message can satisfy",
        ),
        (
            payload("at = [{ offset = 0, hex = '01' }]\nwhere = ['u8(0) == 2']"),
            "7:1: no message can satisfy",
        ),
        (
            payload(
                "at = [{ offset = 0, hex = '01 02 03 0?' }, { offset = 9, hex = '01' }]\nport_required = true",
            ),
            "8:8: `port_required` without `port`",
        ),
        (
            payload("at = [{ offset = 0, hex = '01 02 03' }]"),
            "8:8: too weak to stand alone: 24",
        ),
        (
            payload("at = [{ offset = 0, hex = '01 02 03 0?' }]\nevidence = 'payload-proof'"),
            "11:12: a proof fixes 32 bits",
        ),
        (
            payload("at = [{ offset = 0, hex = '01 02 03 04' }]\nevidence = 'dns'"),
            "11:12: expected one of payload, payload-proof",
        ),
        (
            payload("at = [{ offset = 0, hex = '01 02 03 04' }]\nrepeat = 40"),
            "11:10: expected 1 to 32",
        ),
        (
            payload(
                "at = [{ offset = 0, hex = '01 02 03 04' }]\ntransport = ['tcp', 'sctp']\nip_protocol = 50",
            ),
            "8:8: `ip_protocol` goes with",
        ),
        (
            payload("at = [{ offset = 0, hex = '01 02 03 04' }]\naddress_required = true"),
            "7:1: `address_required`, but there is no",
        ),
        (
            payload("at = [{ offset = 0, hex = '01 02 03 04' }]\nproto = 'X Y'"),
            "7:1: `X Y`: expected the slug",
        ),
        (
            payload("at = [{ offset = 0, hex = '01 02 03 04' }]").replace("'s'", "' '"),
            "9:10: `source` is empty",
        ),
        (
            payload("at = [{ offset = 0, hex = '01 02 03 04' }]"),
            "8:8: warning: `p` lacks tests",
        ),
        (
            format!(
                "{}{}",
                payload("at = [{ offset = 0, text = 'ABCD' }]"),
                payload("at = [{ offset = 1, text = 'ABCD' }]")
            ),
            "12:8: there is a rule `p` in this file already",
        ),
        (
            format!(
                "{}{}",
                payload("at = [{ offset = 0, text = 'ABCD' }]"),
                payload("at = [{ offset = 0, text = 'ABCD' }]")
            ),
            "12:8: can never win: the same pattern as `p`",
        ),
        (
            "[[tls]]\nja4 = ['t13*']\nsource = 's'".into(),
            "7:1: `ja4` needs another key",
        ),
        (
            "[[tls]]\nsource = 's'".into(),
            "7:1: expected one of `alpn`",
        ),
        (
            "[[http]]\nuser_agent = ['']\nsource = 's'".into(),
            "8:16: expected a text",
        ),
        (
            "[[http]]\nuser_agent = ['x']".into(),
            "7:1: missing field `source`",
        ),
        (
            "[[http]]\nuser_agnt = ['x']\nsource = 's'".into(),
            "8:1: unknown field `user_agnt`",
        ),
        (
            "[[flow]]\nname = 'f'\nsource = 's'".into(),
            "7:1: expected `packets`, `entropy` or `where`",
        ),
        (
            "[[flow]]\nname = 'f'\nsource = 's'\npackets = ['c 1', 'x 2']".into(),
            "10:19: expected a side and a length",
        ),
        (
            "[[flow]]\nname = 'f'\nsource = 's'\nentropy = { client = 9.0 }".into(),
            "10:11: expected 0.0 to 8.0",
        ),
        (
            "[[proto]]\nname = 'unheard-of'".into(),
            "8:8: warning: nothing recognises",
        ),
        (
            "[[test]]\nrule = 'x'\nclient = ['00']".into(),
            "8:8: there is no rule `x`",
        ),
        (
            "[[test]]\nclient = ['0']".into(),
            "8:11: `0`: expected pairs of hex digits",
        ),
        (
            "[[test]]\nclient = ['00']".into(),
            "7:1: expected one of `rule` and `capture`",
        ),
        (
            "[[test]]\ncapture = 'x.pcap'".into(),
            "7:1: expected `expect`",
        ),
        ("[[tset]]\nx = 1".into(), "7:3: unknown table `tset`"),
        (
            "[[domain]]\nservice = 'chatt'\nsuffix = ['a.test']".into(),
            "8:11: unknown variant `chatt`",
        ),
    ];
    for (rules, expected) in cases {
        let found: Vec<String> = check(&[acme(rules)])
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = format!("signatures/chat/acme.toml:{expected}");
        assert!(
            found.iter().any(|one| one.starts_with(&expected)),
            "{rules}\n{expected}\n{found:#?}"
        );
    }
    let fine = acme(
        "[[payload]]\nname = 'p'\nsource = 's'\nat = [{ offset = 0, text = 'ABCD' }]\n\
         [[test]]\nrule = 'p'\nclient = ['t:ABCD']\n[[test]]\nrule = 'p'\nclient = ['t:ABCE']\nmatch = false\n",
    );
    assert_eq!(check(&[fine]), []);
}

#[test]
fn files_are_held_against_their_place_and_one_another() {
    let contains = |files: &[SourceFile], expected: &str| {
        let found: Vec<String> = check(files).iter().map(ToString::to_string).collect();
        assert!(
            found.iter().any(|one| one.contains(expected)),
            "{expected}\n{found:#?}"
        );
    };
    contains(
        &[SourceFile::new("signatures/chat/acne.toml", APP)],
        "acne.toml:3:8: the file is `acne.toml`",
    );
    contains(
        &[SourceFile::new("signatures/games/acme.toml", APP)],
        "5:12: the folder is `games`",
    );
    contains(
        &[SourceFile::new(
            "signatures/chat/b.toml",
            "[protocol]\nname = 'b'\ntitle = 'B'\n",
        )],
        "1:1: a plain protocol's file",
    );
    contains(
        &[acme(""), SourceFile::new("signatures/x/y.toml", APP)],
        "`acme` is the name of signatures/chat/acme.toml already",
    );
    let same_id = other("").text.replace("id = 2", "id = 1");
    contains(
        &[
            acme(""),
            SourceFile::new("signatures/chat/other.toml", same_id),
        ],
        "other.toml:2:6: 1 is the id of `acme` already",
    );
    contains(
        &[SourceFile::new("signatures/chat/x.toml", "")],
        "1:1: expected `[app]` or `[protocol]`",
    );
    contains(
        &[
            acme("[[domain]]\nsuffix = ['a.test']\n"),
            other("[[domain]]\nsuffix = ['a.test']\n"),
        ],
        "other.toml:8:11: `a.test` is claimed by signatures/chat/acme.toml",
    );
    contains(
        &[
            acme("[[address]]\nprefix = ['10.0.0.0/8']\n"),
            other("[[address]]\nprefix = ['10.0.0.0/8']\n"),
        ],
        "other.toml:7:1: `10.0.0.0/8` is claimed by signatures/chat/acme.toml",
    );
    contains(
        &[
            acme("[[port]]\ntransport = 'tcp'\nport = [80]\n"),
            other("[[port]]\ntransport = 'tcp'\nport = ['79-81']\n"),
        ],
        "other.toml:9:8: port 80 is claimed by signatures/chat/acme.toml",
    );
    let shared = "[[address]]\nprefix = ['10.0.0.0/8']\nshared = true\n";
    assert_eq!(check(&[acme(shared), other(shared)]), []);
    assert_eq!(
        check(&[acme(shared), other(&shared.replace("true", "false"))]),
        []
    );
    // One name below the other, and exactly it, are different claims.
    assert_eq!(
        check(&[
            acme("[[domain]]\nsuffix = ['a.test']\n"),
            other("[[domain]]\nsuffix = ['b.a.test']\nexact = ['a.test']\n")
        ]),
        []
    );
}

/// Reads one capture; a conversation's first byte is its fate.
struct Fake;

impl Runner for Fake {
    fn capture(&mut self, _: &Arc<SignatureSet>, path: &Path) -> Result<Vec<Observed>, String> {
        if path != Path::new("dir/a.pcap") {
            return Err("no such file".to_owned());
        }
        let acme = Observed {
            app: Some("acme".into()),
            service: Some(Service::Chat),
            proto: None,
        };
        let tls = Observed {
            proto: Some("tls".into()),
            ..Observed::default()
        };
        Ok(vec![acme, tls])
    }

    fn converse(
        &mut self,
        set: &Arc<SignatureSet>,
        conversation: &Conversation,
        rules: &[RuleId],
    ) -> Fate {
        assert_eq!(rules.len(), 1);
        assert_eq!(set.rule_name(rules[0]), "acme/payload:p");
        assert_eq!(
            (conversation.transport, conversation.server.port()),
            (Transport::Udp, 7000)
        );
        let sides: Vec<_> = conversation
            .messages
            .iter()
            .map(|(side, bytes)| (*side, bytes.len()))
            .collect();
        assert_eq!(
            sides,
            [(Side::Client, 1), (Side::Server, 2), (Side::Client, 3)]
        );
        match conversation.messages[0].1[0] {
            0 => Fate::Missed,
            1 => Fate::Named,
            _ => Fate::Outranked(Observed {
                proto: Some("tls".into()),
                ..Observed::default()
            }),
        }
    }
}

#[test]
fn tests_say_what_must_and_must_not_be() {
    let rules = "[[payload]]\nname = 'p'\nsource = 's'\ntransport = 'udp'\nport = [7000]\nat = [{ offset = 0, text = 'ABCD' }]\n";
    let said = |first: &str, more: &str| {
        format!("rule = 'p'\nclient = ['{first}', '00*3']\nserver = ['00*2']\n{more}")
    };
    let cases = [
        (said("01", ""), None),
        (said("00", ""), Some("does not match")),
        (
            said("02", ""),
            Some("matches, but the flow is called -/-/tls"),
        ),
        (said("00", "match = false"), None),
        (said("01", "match = false"), Some("must not")),
        (said("02", "match = false"), Some("must not")),
        (
            "capture = 'a.pcap'\nexpect = { app = 'acme', service = 'chat' }".into(),
            None,
        ),
        (
            "capture = 'a.pcap'\nexpect = { app = 'acme', service = 'file' }".into(),
            Some("no flow is acme/file/-; there are: -/-/tls, acme/chat/-"),
        ),
        (
            "capture = 'a.pcap'\nexpect = { app = 'none', proto = 'tls' }".into(),
            None,
        ),
        (
            "capture = 'a.pcap'\nexpect = { app = 'acme' }\nmatch = false".into(),
            Some("a flow is acme"),
        ),
        (
            "capture = 'b.pcap'\nexpect = { app = 'acme' }".into(),
            Some("dir/b.pcap: no such file"),
        ),
    ];
    for (keys, expected) in cases {
        let files = [acme(&format!("{rules}[[test]]\n{keys}\n"))];
        let results = test(&files, Path::new("dir"), &mut Fake).unwrap_or_else(|f| panic!("{f:?}"));
        assert_eq!(results.len(), 1);
        match (&results[0].failure, expected) {
            (None, None) => {}
            (Some(failure), Some(expected)) if failure.contains(expected) => {}
            (failure, expected) => panic!("{keys}: {failure:?} instead of {expected:?}"),
        }
    }
    let bad = [acme("[[test]]\nrule = 'x'\nclient = ['00']\n")];
    assert!(test(&bad, Path::new("."), &mut Fake).is_err());
}

#[test]
fn messages_of_tests_are_hex_or_text() {
    let long = "00*20000";
    let cases: &[(&str, Option<&[u8]>)] = &[
        ("16 f1 0304", Some(&[0x16, 0xf1, 3, 4])),
        ("00*3 0102*2", Some(&[0, 0, 0, 1, 2, 2])),
        ("t:GET\\r\\n\\x00\\\\\\0\\t", Some(b"GET\r\n\0\\\0\t")),
        ("t:", None),
        ("", None),
        ("0", None),
        ("zz", None),
        ("+1", None),
        ("00*x", None),
        ("t:\\q", None),
        ("t:\\x4", None),
        ("t:\\", None),
        (long, None),
    ];
    for (text, expected) in cases {
        assert_eq!(
            test::parse_message(text).ok().as_deref(),
            *expected,
            "{text}"
        );
    }
}

proptest::proptest! {
    /// A file is somebody's text: whatever is in it, it is read or reported.
    #[test]
    fn no_file_makes_reading_panic(
        cut in 0..1200_usize,
        place in 0..1200_usize,
        put in proptest::prop_oneof![
            "[\\[\\]{}='\"*|?.,0-9a-z \n-]{0,12}",
            proptest::prelude::any::<String>(),
        ],
    ) {
        let whole = format!(
            "{APP}[[payload]]\nname = 'p'\nsource = 's'\ntransport = ['tcp', 'sctp']\nport = [1, '2-3']\n\
             repeat = 2\nat = [{{ offset = -4, hex = '16 0? 03|04 ??' }}]\ncontains = [{{ text = 'abc', within = 9 }}]\n\
             where = ['be16(3) + 5 <= len && u8(-1) in [1, 5..9]']\nreply = {{ where = ['peer_len == 4'] }}\n\
             [[domain]]\nsuffix = ['a.test']\n[[address]]\nprefix = ['10.0.0.0/8', '2001:db8::/32']\n\
             [[flow]]\nname = 'f'\nsource = 's'\npackets = ['c 1', 's 2-3', 'c *']\nentropy = {{ client = 7.0 }}\n\
             [[tls]]\nalpn = ['h*']\nsource = 's'\n[[stun]]\ntype = [1]\nsource = 's'\n\
             [[port]]\ntransport = 'udp'\nport = [5060]\n[[test]]\nrule = 'p'\nclient = ['00*3 01', 't:x\\\\x00']\n"
        );
        let mut text = whole;
        let at = |text: &str, place: usize| (0..=place.min(text.len())).rev().find(|&n| text.is_char_boundary(n));
        if let Some(place) = at(&text, place) {
            text.insert_str(place, &put);
        }
        if cut % 3 == 0 && let Some(cut) = at(&text, cut) {
            text.truncate(cut);
        }
        let files = [SourceFile::new("signatures/chat/acme.toml", text)];
        let found = check(&files);
        let (set, _) = SignatureSet::compile_leniently(&files);
        let mut tags = Vec::new();
        set.by_payload(&Script::tcp(1).client(b"\x16\x03\x03\x00").server(b"abcd").opening(), &mut tags);
        set.by_flow(&Script::tcp(1).client(b"a").opening(), &mut tags);
        for one in found {
            let _ = one.to_string();
        }
    }
}
