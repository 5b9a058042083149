//! Record files by their names, as `read` and `live` take them.

use std::path::Path;
use std::sync::Arc;

use crate::encode::Encoder;
use crate::export::Exporter;
use crate::export::lines::Lines;
use crate::export::records::Records;
use crate::record::{Intervals, Only};

/// Flow records into `lines`, in the encoding that `path` asks for.
pub(super) fn flow_exporter(
    path: &Path,
    lines: Box<dyn Lines>,
    only: Option<Arc<Only>>,
) -> Box<dyn Exporter> {
    Box::new(Records::flows(Encoder::of(path), lines).only(only))
}

/// Usage records into `lines`, in the encoding that `path` asks for.
pub(super) fn usage_exporter(
    path: &Path,
    lines: Box<dyn Lines>,
    intervals: Intervals,
    only: Option<Arc<Only>>,
) -> Box<dyn Exporter> {
    Box::new(Records::usage(Encoder::of(path), lines, intervals).only(only))
}

/// Whether `path` stands for standard output.
pub(super) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}
