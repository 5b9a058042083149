//! Outputs as a user says them: `flows=FILE`, `usage=ipfix+udp://collector:4739`.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::closest::{closest, did_you_mean};
use crate::record::Records;
use crate::sink::Target;

/// What goes where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Out {
    /// The kind of records.
    pub records: Records,
    /// Where they go.
    pub target: Target,
    /// As it was said, with the option it was said with where that is a short form.
    said: String,
}

const OUT: &str =
    "what, an equals sign and where: flows=FILE, usage=FILE, flows=ipfix+udp://HOST:PORT";

impl Out {
    /// These records to what a user calls `place`; `option` is the short form that he used.
    ///
    /// # Errors
    ///
    /// When ending or scheme are not known, with what was likely meant.
    pub fn short(option: &str, records: Records, place: &Path) -> Result<Self, String> {
        let said = format!("{option} {}", place.display());
        Self::new(said, records, place)
    }

    fn new(said: String, records: Records, place: &Path) -> Result<Self, String> {
        let target = Target::parse(place).map_err(|refused| {
            let known = refused.known.iter().map(String::as_str);
            format!("{refused}{}", did_you_mean(closest(&refused.said, known)))
        })?;
        Ok(Self {
            records,
            target,
            said,
        })
    }
}

impl FromStr for Out {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((kind, place)) = text.split_once('=') else {
            return Err(format!("`{text}` is not {OUT}"));
        };
        let Some(records) = Records::ALL.into_iter().find(|one| one.slug() == kind) else {
            let meant = closest(kind, Records::ALL.map(Records::slug));
            let meant = did_you_mean(meant);
            return Err(format!(
                "`{text}`: there are no records `{kind}`, expected flows, usage{meant}"
            ));
        };
        if place.is_empty() {
            return Err(format!("`{text}` says no place: it is not {OUT}"));
        }
        Self::new(format!("--out {text}"), records, Path::new(place))
    }
}

/// The option that asks for it.
impl fmt::Display for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

impl<'de> Deserialize<'de> for Out {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Out {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Out".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": OUT,
            "type": "string",
            "pattern": "^(flows|usage)=.+",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_said() {
        for (text, expected) in [
            ("flows=a.csv", Ok((Records::Flows, "a.csv"))),
            ("usage=a=b.jsonl", Ok((Records::Usage, "a=b.jsonl"))),
            ("usage=-", Ok((Records::Usage, "standard output"))),
            ("a.csv", Err("flows=FILE")),
            ("flows=", Err("says no place")),
            ("flow=a.csv", Err("did you mean `flows`?")),
            ("flows=a.cvs", Err("did you mean `.csv`?")),
            ("flows=a.jsonl.zst", Err("expected .jsonl, ")),
            (
                "flows=a.parquet",
                match cfg!(feature = "parquet") {
                    true => Ok((Records::Flows, "a.parquet")),
                    false => Err("cargo build --features parquet"),
                },
            ),
        ] {
            let out = text.parse::<Out>();
            match (out, expected) {
                (Ok(out), Ok(expected)) => {
                    assert_eq!((out.records, &*out.target.to_string()), expected);
                    assert_eq!(out.to_string(), format!("--out {text}"));
                }
                (Err(reason), Err(expected)) => assert!(reason.contains(expected), "{reason}"),
                (out, _) => panic!("{text}: {out:?}"),
            }
        }
    }
}
