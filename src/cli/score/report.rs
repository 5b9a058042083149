//! `--report FILE`: what became of each label, a line each.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use anyhow::Context;

use super::super::outputs::is_standard_output;
use crate::score::Judged;
use crate::score::harder::Harder;
use crate::verdict::Evidence;

const COLUMNS: [&str; 19] = [
    "input",
    "capture",
    "proto",
    "ip_a",
    "port_a",
    "ip_b",
    "port_b",
    "bytes",
    "label_app",
    "label_service",
    "label_app_proto",
    "group",
    "app",
    "service",
    "app_proto",
    "evidence",
    "outcome",
    "settled_payload_packets",
    "settled_bytes",
];

/// The report that is written.
pub(super) struct Report {
    out: Box<dyn Write>,
    pub(super) is_standard_output: bool,
}

impl Report {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let is_standard_output = is_standard_output(path);
        let mut out: Box<dyn Write> = if is_standard_output {
            Box::new(BufWriter::new(io::stdout()))
        } else {
            let file = File::create(path);
            let file = file.with_context(|| format!("cannot create {}", path.display()))?;
            Box::new(BufWriter::new(file))
        };
        writeln!(out, "{}", COLUMNS.join("\t"))?;
        Ok(Self {
            out,
            is_standard_output,
        })
    }

    pub(super) fn add(
        &mut self,
        harder: Option<Harder>,
        capture: &str,
        judged: &Judged<'_>,
    ) -> io::Result<()> {
        let names = |names: &[String]| match names {
            [] => "-".to_owned(),
            names => names.join("|"),
        };
        let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let label = judged.label;
        let answer = &judged.answer;
        // Of several flows with the same five-tuple, that which took longest.
        let packets = judged.settled.iter().map(|&(packets, _)| packets).max();
        let bytes = judged.settled.iter().map(|&(_, bytes)| bytes).max();
        let fields = [
            harder.map_or("plain", Harder::slug).to_owned(),
            or_dash(Some(capture).filter(|name| !name.is_empty())),
            judged.flow.replace(' ', "\t"),
            judged.bytes.to_string(),
            names(&label.apps),
            names(&label.services),
            names(&label.protocols),
            judged.group.slug().to_owned(),
            or_dash(answer.app.as_deref()),
            or_dash(answer.service.map(|service| service.slug())),
            or_dash(answer.protocol.as_deref()),
            or_dash(answer.evidence.map(Evidence::slug)),
            judged.outcome.slug().to_owned(),
            packets.map_or_else(|| "-".to_owned(), |packets| packets.to_string()),
            bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
        ];
        writeln!(self.out, "{}", fields.join("\t"))
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}
