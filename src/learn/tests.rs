use proptest::prelude::*;

use super::draft::Beginning;
use super::propose::{Proposal, Proposer};
use super::*;
use crate::classify::explain::Sent;
use crate::decode::IpProtocol;
use crate::flow::PerSide;
use crate::record::samples;
use crate::signature::{Ids, Severity, SourceFile, check};

fn beginning(messages: &[&[u8]]) -> Beginning {
    let mut sent = Sent::default();
    for message in messages {
        sent.bytes.extend_from_slice(message);
        sent.ends.push(sent.bytes.len() as u32);
    }
    Beginning::of(&sent)
}

fn bytes(port: u16, client: &[&[u8]]) -> Unnamed {
    Unnamed {
        client: Some([10, 0, 0, 1].into()),
        server: Some([192, 0, 2, (port & 0xff) as u8].into()),
        port,
        transport: IpProtocol::TCP,
        bytes: 100,
        messages: PerSide {
            client: beginning(client),
            server: Beginning::default(),
        },
        ..Unnamed::default()
    }
}

fn host(host: &str) -> Unnamed {
    Unnamed {
        host: Some(host.to_owned()),
        protocol: Some("tls".to_owned()),
        port: 443,
        ..bytes(443, &[])
    }
}

fn learn(flows: &[Unnamed]) -> Learned {
    let mut learner = Learner::default();
    for flow in flows {
        learner.add_told(flow.bytes, Some(flow));
    }
    learner.finish()
}

fn kinds(learned: &Learned) -> Vec<(&'static str, u64)> {
    let clusters = learned.clusters.iter();
    clusters
        .map(|(key, cluster)| (key.kind(), cluster.volume.flows))
        .collect()
}

#[test]
fn flows_are_in_the_cluster_of_the_strongest_thing_they_show() {
    let party = |name: &str| Party::Organisation(name.to_owned());
    let certificate = Unnamed {
        subject: Some(party("Acme")),
        issuer: Some(party("Acme CA")),
        ja4: Some("t13d".to_owned()),
        ..bytes(8443, &[])
    };
    let hello = Unnamed {
        ja4: Some("t13d".to_owned()),
        alpn: Some("acme/1".to_owned()),
        ..bytes(8443, &[])
    };
    let learned = learn(&[
        host("a.example.com"),
        host("b.example.com"),
        host("example.com"),
        certificate,
        hello,
        bytes(1000, &[b"MAGI1"]),
        bytes(2000, &[b"MAGI2"]),
        bytes(3000, &[b"other"]),
        bytes(3000, &[b"else."]),
    ]);
    let expected = [
        ("host", 3),
        ("bytes", 2),
        ("port", 2),
        ("certificate", 1),
        ("hello", 1),
    ];
    assert_eq!(kinds(&learned), expected);
    assert_eq!(learned.unnamed, learned.all);
    assert_eq!((learned.all.flows, learned.all.bytes), (9, 900));
    let (_, hosts) = &learned.clusters[0];
    assert_eq!(hosts.hosts.sorted().len(), 3);
    assert_eq!((hosts.clients.count(), hosts.servers.count()), (1, 1));
    let (_, magic) = &learned.clusters[1];
    assert_eq!(magic.leading(crate::flow::Side::Client), b"MAGI");
    assert_eq!(magic.ports, [(6, 1000), (6, 2000)]);
}

#[test]
fn flows_with_a_name_are_none_of_it() {
    let set = SignatureSet::builtin();
    let mut learner = Learner::default();
    let named = samples::full(&set, "text");
    learner.add(&named, &set);
    // OSPF without a name.
    learner.add(&samples::sparse(), &set);
    let learned = learner.finish();
    assert_eq!(kinds(&learned), [("port", 1)]);
    assert_eq!((learned.all.flows, learned.unnamed.flows), (2, 1));
}

#[test]
fn there_is_an_end_to_clusters() {
    let mut learner = Learner::default();
    for number in 0..MOST_CLUSTERS + 10 {
        let flow = host(&format!("n{number}.com"));
        learner.add_told(flow.bytes, Some(&flow));
    }
    let learned = learner.finish();
    assert_eq!(learned.clusters.len(), MOST_CLUSTERS + 1);
    let rest = learned.clusters.iter().find(|(key, _)| *key == Key::Rest);
    assert_eq!(rest.unwrap().1.volume.flows, 10);
    assert_eq!(learned.unnamed.flows, learned.all.flows);
}

fn drafts(learned: &Learned, set: &SignatureSet) -> Vec<Option<Proposal>> {
    let ids = Ids::of_folder(std::path::Path::new("/nonexistent")).unwrap();
    let mut proposer = Proposer::new(set, &[], &ids, learned.clusters.len());
    let clusters = learned.clusters.iter();
    clusters
        .map(|(key, cluster)| proposer.propose(key, cluster))
        .collect()
}

#[test]
fn drafts_say_what_flows_have_in_common() {
    let own = |port: u16, alpn: &str| Unnamed {
        ja4: Some("t13d1516h2_8daaf6152771_02713d6af862".to_owned()),
        alpn: Some(alpn.to_owned()),
        ..bytes(port, &[])
    };
    let learned = learn(&[
        host("x.wechat.com"),
        host("www.acme.example"),
        Unnamed {
            subject: Some(Party::Common("ACME router".to_owned())),
            issuer: Some(Party::Organisation("ACME \"CA\"".to_owned())),
            ..bytes(8443, &[])
        },
        own(8443, "acme/1"),
        own(9443, "h2,http/1.1"),
        own(443, "h2"),
        bytes(1000, &[b"MAGIC-1"]),
        bytes(2000, &[b"MAGIC-2"]),
    ]);
    let drafts = drafts(&learned, &SignatureSet::builtin());
    for part in [
        "suffix = [\"acme.example\"]",
        "common_name = [\"ACME router\"]\nissuer_organisation = ['ACME \"CA\"']",
        "alpn = [\"acme/1\"]",
        "ja4 = [\"t13d1516h2_8daaf6152771_02713d6af862\"]\nport = [9443]",
        "hex = \"4d 41 47 49 43 2d\"",
    ] {
        let mut all = drafts.iter().flatten();
        assert!(
            all.any(|one| one.text.contains(part)),
            "{part}: {drafts:#?}"
        );
    }
    // A fingerprint at 443 is any client's.
    let without = drafts.iter().filter(|draft| draft.is_none()).count();
    assert_eq!(without, 1, "{drafts:#?}");
    // All of them are one set.
    let files: Vec<SourceFile> = drafts
        .into_iter()
        .flatten()
        .map(|draft| SourceFile::new(draft.path, draft.text))
        .collect();
    let faults = check(&files);
    assert!(
        faults.iter().all(|one| one.severity != Severity::Error),
        "{faults:#?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever strangers send, drafts are files that can be used together, with names that are none
    /// but of files in their folder.
    #[test]
    fn hostile_texts_make_no_hostile_drafts(
        texts in prop::collection::vec(".{0,30}|[a-z.\"\\\\\n*/-]{0,20}|\\.\\./.{0,9}", 1..6),
        sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..4),
    ) {
        let mut flows = Vec::new();
        for text in texts {
            flows.push(host(&text));
            flows.push(Unnamed { certified: Some(text.clone()), ..bytes(1, &[]) });
            flows.push(Unnamed { ja4: Some(text.clone()), alpn: Some(text.clone()), ..bytes(2, &[]) });
            flows.push(Unnamed {
                subject: Some(Party::Organisation(text.clone())),
                issuer: Some(Party::Common(text)),
                ..bytes(3, &[])
            });
        }
        flows.extend(sent.iter().map(|one| bytes(4, &[one])));
        let learned = learn(&flows);
        let set = SignatureSet::default();
        let files: Vec<SourceFile> = drafts(&learned, &set)
            .into_iter()
            .flatten()
            .map(|draft| SourceFile::new(draft.path, draft.text))
            .collect();
        for file in &files {
            let path = file.path.to_string();
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-/.".contains(&byte);
            prop_assert!(path.bytes().all(allowed) && !path.contains(".."), "{path}");
        }
        let faults: Vec<String> = check(&files)
            .into_iter()
            .filter(|one| one.severity == Severity::Error)
            .map(|one| one.to_string())
            .collect();
        prop_assert!(faults.is_empty(), "{faults:?}");
    }
}
