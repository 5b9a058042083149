//! The settings file of a live run, `ottometer.toml`: made of each stage's own settings.
//!
//! [`File`] is what is written, every key of it optional; the command line is another [`File`] on
//! top of it. [`Settings`] is what a run goes by: checked, with defaults. [`load`] makes one of the
//! other and says of everything wrong where it stands, see [`Problem`]. The keys are documented
//! where they are declared, in `file`; the commented file and the JSON schema come from there.

mod check;
mod closest;
mod file;
mod given;
mod only;
mod options;
mod out;
mod problem;
mod settings;
mod template;
mod value;

pub use check::outs;
pub use closest::{closest, did_you_mean};
pub use file::{
    CaptureTable, File, FlowsTable, LogTable, MetricsTable, NetworksTable, PrivilegeTable,
    RecordsTable, SignaturesTable,
};
pub use only::{Kinds, only};
pub use options::{AccountOptions, FlowOptions, RecordOptions, option_of};
pub use out::Out;
pub use problem::{Problem, line_and_column};
pub use settings::{Capture, Log, Metrics, Privilege, Records, Settings, Signatures, Tls};
pub use template::{schema, template};
pub use value::{Compress, Every, Level, Listen, LogFormat, Period, Scope, Size, Steer, TimeZone};

use std::path::Path;

/// The settings file as it is kept in the project: each key with its description and default.
pub const DEFAULT_FILE: &str = include_str!("../../ottometer.toml");

/// The settings of `command_line` on top of those of the file at `path`, if there is one.
///
/// # Errors
///
/// All that is wrong, by place.
pub fn load(path: Option<&Path>, command_line: File) -> Result<Settings, Vec<Problem>> {
    let Some(path) = path else {
        return Settings::check(command_line);
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![Problem::of_file(&name, format!("cannot be read: {error}"))])?;
    load_text(&name, &text, command_line)
}

/// As [`load`], of a file's `text`; `name` is what problems call it.
///
/// # Errors
///
/// All that is wrong, by place.
pub fn load_text(name: &str, text: &str, command_line: File) -> Result<Settings, Vec<Problem>> {
    let file = File::parse(name, text)?;
    Settings::check(command_line.or(file)).map_err(|problems| {
        let located = problems.into_iter();
        located.map(|problem| problem.located(name, text)).collect()
    })
}

#[cfg(test)]
mod tests;
