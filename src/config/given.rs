//! What types of values options of the command line can give.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::out::Out;
use super::value::{
    Compress, Every, Level, Listen, LogFormat, Period, Scope, Size, Steer, TimeZone,
};

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
