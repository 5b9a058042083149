//! Any capture through the whole pipeline, with one worker and with two: the ledger closes, and
//! both write the same.
//!
//! The first byte holds the settings; the rest is the file.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use ottometer::capture::file::Options;
use ottometer::capture::inputs::Inputs;
use ottometer::encode::{self, ENCODERS, Encoder};
use ottometer::pipeline::{Config, run};
use ottometer::record::{FlowRecord, Intervals};
use ottometer::signature::SignatureSet;
use ottometer::sink::Exporter;
use ottometer::sink::encoded::Encoded;
use ottometer::sink::stream::Stream;
use ottometer::usage::{Closed, Subjects, Summary};

static SET: LazyLock<Arc<SignatureSet>> = LazyLock::new(|| Arc::new(SignatureSet::builtin()));

/// The file a run reads.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let name = format!("ottometer-fuzz-{}.pcap", std::process::id());
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    folder.join(name)
});

fuzz_target!(
    init: {
        LazyLock::force(&SET);
    },
    |input: &[u8]| {
        let Some((&settings, file)) = input.split_first() else {
            return;
        };
        // A few compressed bytes can stand for gigabytes; `capture_file` looks at those.
        if file.starts_with(b"\x1f\x8b") || file.starts_with(b"\x28\xb5\x2f\xfd") {
            return;
        }
        fs::write(&*FILE, file).expect("the folder of temporary files is writable");
        let (one, two) = (go(settings, 1), go(settings, 2));
        fs::remove_file(&*FILE).expect("the file is there");
        let (Some((one, one_wrote)), Some((two, two_wrote))) = (one, two) else {
            return;
        };
        assert!(one.ledger.closes(), "{}", one.ledger);
        assert_eq!(one.ledger, two.ledger);
        assert_eq!(one.cells, two.cells);
        assert_eq!(one.flows, two.flows);
        assert_eq!(one.span, two.span);
        assert_eq!(text(&one_wrote.json), text(&two_wrote.json));
        assert_eq!(text(&one_wrote.csv), text(&two_wrote.csv));
        for line in text(&one_wrote.json).lines() {
            serde_json::from_str::<serde_json::Value>(line).expect("a line of JSON");
        }
    }
);

/// What was written.
#[derive(Default)]
struct Written {
    json: Vec<u8>,
    csv: Vec<u8>,
}

impl Exporter for Written {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> std::io::Result<()> {
        let mut json = Encoded::flows(encoder("json"), &AS_IS, stream("json", &mut self.json));
        json.flow(record, set)?;
        json.finish()?;
        let mut csv = Encoded::flows(encoder("csv"), &AS_IS, stream("csv", &mut self.csv));
        csv.flow(record, set)?;
        csv.finish()
    }

    fn interval(
        &mut self,
        closed: &Closed,
        sequence: u64,
        set: &SignatureSet,
    ) -> std::io::Result<()> {
        let intervals = Intervals {
            length: Duration::from_secs(1).into(),
            run: None,
            interfaces: std::sync::Arc::default(),
        };
        let mut json = Encoded::usage(
            encoder("json"),
            &AS_IS,
            stream("json", &mut self.json),
            intervals.clone(),
        );
        json.interval(closed, sequence, set)?;
        json.finish()?;
        let mut csv = Encoded::usage(
            encoder("csv"),
            &AS_IS,
            stream("csv", &mut self.csv),
            intervals,
        );
        csv.interval(closed, sequence, set)?;
        csv.finish()
    }

    fn finish(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What nothing is said about.
static AS_IS: LazyLock<encode::Options> = LazyLock::new(encode::Options::default);

/// Into `out`, as files with this ending are written.
fn stream<'a>(ending: &str, out: &'a mut Vec<u8>) -> Stream<&'a mut Vec<u8>> {
    Stream::new(out, encoder(ending).framing)
}

/// The one that writes files with this ending.
fn encoder(ending: &str) -> &'static Encoder {
    let mut all = ENCODERS.iter();
    all.find(|it| it.endings.contains(&ending))
        .expect("there is one")
}

/// A run over the file; `None` when it is no capture.
fn go(settings: u8, workers: usize) -> Option<(Summary, Written)> {
    let options = Options {
        filter: (settings & 0x80 != 0).then(|| "udp or vlan".to_owned()),
        block_size: 64 << (settings >> 3 & 15),
        ..Options::default()
    };
    let mut inputs = Inputs::open(&[&*FILE], &options).ok()?;
    let mut config = Config {
        workers,
        records: true,
        steps: settings & 1 != 0,
        stats: settings & 2 != 0,
        ..Config::default()
    };
    config.usage.subjects = Some(Arc::new(Subjects::default()));
    config.usage.interval = (settings & 4 != 0).then_some(Duration::from_secs(60).into());
    let mut written = Written::default();
    let summary = run(&mut inputs, &SET, &config, &mut written, &mut |_| {}).ok()?;
    Some((summary, written))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("records are text")
}
