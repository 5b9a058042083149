//! What signatures cost: once at start, and for each message and name of a flow's opening.
//!
//! Workloads: the built-in set; 100,000 names of two to four labels; 600 payload rules of the
//! shapes that occur (bytes at the start, bytes further on, conditions, `contains`).
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use ottometer::dissect::{Facts, Http, Tls};
use ottometer::flow::opening::Script;
use ottometer::signature::{SignatureSet, SourceFile, builtin_files};

const HEAD: &str = "[app]\nid = 1\nname = 'a'\ntitle = 'A'\ncategory = 'x'\nowner = 'O'\n";

/// A small generator (SplitMix64), so that every run has the same workload.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    fn label(&mut self) -> String {
        (0..3 + self.below(8))
            .map(|_| char::from(b'a' + self.below(26) as u8))
            .collect()
    }
}

fn start(c: &mut Criterion) {
    let files = builtin_files();
    let lines: usize = files.iter().map(|file| file.text.lines().count()).sum();
    let mut group = c.benchmark_group("start");
    group.sample_size(20);
    group.bench_function(
        format!("built-in set, {} files, {lines} lines", files.len()),
        |b| {
            b.iter(SignatureSet::builtin);
        },
    );
    group.finish();
}

fn names(c: &mut Criterion) {
    let mut random = Random(1);
    let mut names: Vec<String> = Vec::new();
    while names.len() < 100_000 {
        let labels: Vec<String> = (0..1 + random.below(3)).map(|_| random.label()).collect();
        names.push(format!("{}.com", labels.join(".")));
    }
    let mut text = format!("{HEAD}[[domain]]\nsuffix = [\n");
    for name in &names {
        writeln!(text, "'{name}',").unwrap();
    }
    text.push(']');
    let large = SignatureSet::compile(&[SourceFile::new("x/a.toml", text)]).unwrap();
    let asked: Vec<String> = (0..4096)
        .map(|n| {
            let known = &names[random.below(names.len() as u64) as usize];
            if n % 2 == 0 {
                format!("www.{known}")
            } else {
                format!("{}.{}.net", random.label(), random.label())
            }
        })
        .collect();
    let built_in = SignatureSet::builtin();
    let mut group = c.benchmark_group("names");
    for (name, set) in [("100,000 rules", &large), ("built-in set", &built_in)] {
        let mut turn = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                turn = (turn + 1) % asked.len();
                black_box(set.by_name(&asked[turn]))
            });
        });
    }
    group.finish();
}

fn six_hundred(random: &mut Random) -> SignatureSet {
    let mut text = HEAD.to_owned();
    for number in 0..600 {
        let byte = random.below(256);
        // Protocols crowd at a few first bytes.
        let first = [0, 1, 2, 3, 0x16, 0xff, byte, byte][random.below(8) as usize];
        let second = random.below(256);
        let keys = match number % 12 {
            0 => format!(
                "at = [{{ offset = {}, hex = '{first:02x} {second:02x} 00 01' }}]",
                4 + random.below(12)
            ),
            1 => format!("where = ['be16(2) == len - 4', 'u8(0) == {first}']"),
            2 => "where = ['be16(0) == len - 2', 'be32(2) == 0x01020304']"
                .replace("0x01020304", &random.below(1 << 32).to_string()),
            3 => format!(
                "contains = [{{ text = '{}{}' }}]",
                random.label(),
                random.label()
            ),
            4 => format!(
                "port = [{}]\nport_required = true\nwhere = ['len in [20, 40]']",
                1000 + random.below(9000)
            ),
            _ => format!(
                "at = [{{ offset = 0, hex = '{first:02x} {second:02x}' }}, {{ offset = 6, hex = '00 {byte:02x}' }}]"
            ),
        };
        let transport = ["'tcp'", "'udp'"][random.below(2) as usize];
        write!(
            text,
            "[[payload]]\nname = 'r{number}'\nsource = 's'\ntransport = {transport}\n{keys}\n"
        )
        .unwrap();
    }
    SignatureSet::compile(&[SourceFile::new("x/a.toml", text)]).unwrap()
}

fn payload(c: &mut Criterion) {
    let mut random = Random(2);
    let synthetic = six_hundred(&mut random);
    let built_in = SignatureSet::builtin();
    let mut group = c.benchmark_group("payload");
    for (name, set) in [("600 rules", &synthetic), ("built-in set", &built_in)] {
        for (transport, script) in [("tcp", Script::tcp(4433)), ("udp", Script::udp(4433))] {
            let mut few = vec![
                script
                    .clone()
                    .client(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
            ];
            few.extend((0..64).map(|_| script.clone().client(&random.bytes(400))));
            let openings: Vec<_> = few.iter().map(Script::opening).collect();
            let mut found = Vec::with_capacity(64);
            let mut turn = 0;
            group.bench_function(format!("{name}, unknown {transport} message"), |b| {
                b.iter(|| {
                    turn = (turn + 1) % openings.len();
                    found.clear();
                    set.by_payload(&openings[turn], &mut found);
                    black_box(found.len())
                });
            });
        }
    }
    group.finish();
}

fn facts(c: &mut Criterion) {
    let built_in = SignatureSet::builtin();
    let script = Script::tcp(443).client(b"\x16\x03\x01");
    let opening = script.opening();
    let tls = Facts {
        server_name: Some("www.unheard-of.example".into()),
        tls: Some(Box::new(Tls {
            alpn: vec!["h2".into(), "http/1.1".into()],
            ja4: Some("t13d1516h2_8daaf6152771_02713d6af862".into()),
            ..Tls::default()
        })),
        ..Facts::default()
    };
    let http = Facts {
        server_name: Some("www.unheard-of.example".into()),
        http: Some(Box::new(Http {
            method: Some("GET".into()),
            path: Some("/static/app/main.js?version=12".into()),
            user_agent: Some(
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0".into(),
            ),
            ..Http::default()
        })),
        ..Facts::default()
    };
    let mut found = Vec::with_capacity(64);
    let mut group = c.benchmark_group("facts");
    for (name, facts) in [("unknown tls", &tls), ("unknown http", &http)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                found.clear();
                built_in.by_facts(&opening, facts, &mut found);
                black_box(found.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, start, names, payload, facts);
criterion_main!(benches);
