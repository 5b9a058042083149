//! Options of the command line, made from the rows of the settings file.

use clap::builder::StyledStr;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::file::{File, Key, TABLES};
use crate::sink;

/// What stands in a row for the places that records may go to, which depend on the build.
const PLACES: &str = "{places}";

/// Headings of the help, in their order.
const HEADINGS: &[&str] = &[
    "Capture",
    "Records",
    "Accounts",
    "Metrics",
    "Output",
    "Signatures",
    "Flows",
    "Privileges",
];

/// Adds the options of all keys.
pub(super) fn augment(command: Command) -> Command {
    let mut keys: Vec<&Key> = TABLES.iter().flat_map(|table| table.keys).collect();
    keys.sort_by_key(|key| HEADINGS.iter().position(|&heading| heading == key.heading));
    command.args(keys.into_iter().map(Key::argument))
}

/// Adds the options of keys under a heading that `read` has, with their defaults.
pub(super) fn augment_read(command: Command, heading: &str) -> Command {
    let keys = TABLES.iter().flat_map(|table| table.keys);
    let keys = keys.filter(|key| key.heading == heading);
    let arguments = keys.filter_map(|key| {
        let argument = key.argument().help(whole(key.read?));
        // Flags, lists and empty texts have none to show.
        Some(match key.default {
            "true" | "false" | "\"\"" => argument,
            default if default.starts_with('[') => argument,
            default => argument.default_value(default.trim_matches('"')),
        })
    });
    command.args(arguments)
}

/// The option of the key `table.key`.
pub fn option_of(key: &str) -> Option<&'static str> {
    let mut keys = TABLES.iter().flat_map(|table| table.keys);
    keys.find(|one| one.id == key).map(Key::long)
}

impl Key {
    /// The long name of the option.
    pub(super) fn long(&self) -> &'static str {
        let words = self.option.split([' ', ',']);
        let mut long = words.filter_map(|word| word.strip_prefix("--"));
        long.next().unwrap_or_default()
    }

    fn argument(&self) -> Arg {
        let mut argument = Arg::new(self.id)
            .long(self.long())
            .help(whole(self.help))
            .help_heading(self.heading);
        if let Some((short, _)) = self.option.split_once(", --") {
            argument = argument.short(short.chars().nth(1));
        }
        argument = (self.takes)(argument);
        match self.option.rsplit_once(' ') {
            Some((_, value)) if !value.starts_with("--") => match value.strip_suffix(",...") {
                Some(value) => argument.value_name(value).value_delimiter(','),
                None => argument.value_name(value),
            },
            _ => argument,
        }
    }
}

/// What an option says of itself, with the places that records may go to.
fn whole(help: &'static str) -> StyledStr {
    match help.contains(PLACES) {
        true => help.replace(PLACES, &sink::places()).into(),
        false => help.into(),
    }
}

macro_rules! arguments {
    ($type:ident, $augment:expr, $make:expr) => {
        impl Args for $type {
            fn augment_args(command: Command) -> Command {
                $augment(command)
            }

            fn augment_args_for_update(command: Command) -> Command {
                $augment(command)
            }
        }

        impl FromArgMatches for $type {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                let mut file = File::default();
                file.given(matches);
                Ok($make(file))
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }
    };
}

/// What the options of flows say that `read` and `explain` have.
#[derive(Clone, Debug)]
pub struct FlowOptions(pub File);

/// What the options of accounts say that `read` has.
#[derive(Clone, Debug)]
pub struct AccountOptions(pub File);

/// What the options of records say that `read` has.
#[derive(Clone, Debug)]
pub struct RecordOptions(pub File);

arguments!(File, augment, |file| file);
arguments!(
    FlowOptions,
    |command| augment_read(command, "Flows"),
    FlowOptions
);
arguments!(
    AccountOptions,
    |command| augment_read(command, "Accounts"),
    AccountOptions
);
arguments!(
    RecordOptions,
    |command| augment_read(command, "Records"),
    RecordOptions
);
