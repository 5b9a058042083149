//! Outputs of records, as `read` and `live` open them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::config::Out;
use crate::record::{Intervals, Only, Records};
use crate::sink::Exporter;
use crate::sink::Sink;
use crate::sink::encoded::Encoded;

/// What `out` asks for into `sink`, those records that `only` takes; `intervals` are those of usage records.
pub(super) fn exporter(
    out: &Out,
    sink: Box<dyn Sink>,
    intervals: Intervals,
    only: Option<Arc<Only>>,
) -> Box<dyn Exporter> {
    let encoder = out.target.encoder();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let options = out.target.options().clone().of_host(host.trim());
    let encoded = match out.records {
        Records::Flows => Encoded::flows(encoder, &options, sink),
        Records::Usage => Encoded::usage(encoder, &options, sink, intervals),
    };
    Box::new(encoded.only(only))
}

/// Whether `path` stands for standard output.
pub(super) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}
