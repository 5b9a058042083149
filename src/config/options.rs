//! Options of the command line, made from the rows of the settings file.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::file::{Key, TABLES};
use super::out::Out;
use super::value::{
    Compress, Every, Level, Listen, LogFormat, Period, Scope, Size, Steer, TimeZone,
};

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
        let argument = key.argument().help(key.read?);
        // Flags and lists have none to show.
        Some(match key.default {
            "true" | "false" => argument,
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
            .help(self.help)
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

/// What options can give.
pub(super) trait Given: Sized {
    /// Has `argument` take values of this type.
    fn takes(argument: Arg) -> Arg;

    /// What was given. A flag says the opposite of the `default`.
    fn given(matches: &ArgMatches, id: &str, default: &str) -> Option<Self>;
}

macro_rules! values {
    ($($type:ty),*) => {
        $(
            impl Given for $type {
                fn takes(argument: Arg) -> Arg {
                    argument.value_parser(value_parser!($type))
                }

                fn given(matches: &ArgMatches, id: &str, _: &str) -> Option<Self> {
                    matches.try_get_one::<Self>(id).ok()?.cloned()
                }
            }
        )*
    };
}

values!(
    String, PathBuf, usize, u16, u8, Size, Period, Every, TimeZone, Listen, Steer, Scope, Compress,
    Level, LogFormat
);

impl Given for NonZeroUsize {
    fn takes(argument: Arg) -> Arg {
        argument.value_parser(|text: &str| match text.replace('_', "").parse() {
            Ok(0) => Err("must be at least 1".to_owned()),
            Ok(number) => Self::new(number).ok_or_else(String::new),
            Err(error) => Err(std::num::ParseIntError::to_string(&error)),
        })
    }

    fn given(matches: &ArgMatches, id: &str, _: &str) -> Option<Self> {
        matches.try_get_one::<Self>(id).ok()?.copied()
    }
}

impl Given for bool {
    fn takes(argument: Arg) -> Arg {
        argument.action(ArgAction::SetTrue)
    }

    fn given(matches: &ArgMatches, id: &str, default: &str) -> Option<Self> {
        let is_given = matches.try_get_one::<Self>(id).ok()??;
        is_given.then_some(default != "true")
    }
}

macro_rules! lists {
    ($($type:ty),*) => {
        $(
            impl Given for Vec<$type> {
                fn takes(argument: Arg) -> Arg {
                    let argument = argument.action(ArgAction::Append);
                    argument.value_parser(value_parser!($type))
                }

                fn given(matches: &ArgMatches, id: &str, _: &str) -> Option<Self> {
                    let values = matches.try_get_many::<$type>(id).ok()??;
                    Some(values.cloned().collect())
                }
            }
        )*
    };
}

lists!(String, Out);
