//! Record files by their names, as `read` and `live` take them.

use std::path::Path;

use crate::export::csv::Csv;
use crate::export::json::Json;
use crate::export::lines::Lines;
use crate::export::{Exporter, Intervals};

/// Flow records into `lines`, in the format that `path` asks for.
pub(super) fn flow_exporter(path: &Path, lines: Box<dyn Lines>) -> Box<dyn Exporter> {
    if is_csv(path) {
        Box::new(Csv::flows(lines))
    } else {
        Box::new(Json::flows(lines))
    }
}

/// Usage records into `lines`, in the format that `path` asks for.
pub(super) fn usage_exporter(
    path: &Path,
    lines: Box<dyn Lines>,
    intervals: Intervals,
) -> Box<dyn Exporter> {
    if is_csv(path) {
        Box::new(Csv::usage(lines, intervals))
    } else {
        Box::new(Json::usage(lines, intervals))
    }
}

/// Whether `path` stands for standard output.
pub(super) fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn is_csv(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}
