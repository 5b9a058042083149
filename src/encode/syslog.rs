//! syslog messages (RFC 5424), one record each: what a record says is the message, as an object of
//! JSON.

use std::io::{self, Write};

use super::json::Json;
use super::{Encode, Options, Setting};
use crate::record::{FlowView, Records, RunRecord, UsageRecord};
use crate::time::Timestamp;

/// Severity "informational" (RFC 5424, section 6.2.1).
const INFORMATIONAL: u8 = 6;

/// Facilities by their keywords, as syslog.conf(5) has them, in the order of their numbers.
pub const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// The one that is used where none is named: local use 0.
const DEFAULT_FACILITY: u8 = 16;

/// `facility=local4`
pub(super) const FACILITY: Setting = Setting {
    name: "facility",
    check: |said| facility(said).map(drop),
};

/// The number of a facility.
fn facility(said: &str) -> Result<u8, String> {
    let number = (0..).zip(FACILITIES).find(|(_, keyword)| *keyword == said);
    let (number, _) =
        number.ok_or_else(|| format!("`{said}` is none of {}", FACILITIES.join(", ")))?;
    Ok(number)
}

/// Writes one message a record.
#[derive(Clone, Debug)]
pub struct Syslog {
    priority: u8,
    /// HOSTNAME, APP-NAME, PROCID and MSGID of the header, and no structured data.
    header: Box<str>,
}

impl Syslog {
    /// For records of this kind.
    pub fn new(records: Records, options: &Options) -> Self {
        let kind = match records {
            Records::Flows => "flow",
            Records::Usage => "usage",
        };
        let process = std::process::id();
        let said = options.said(FACILITY.name);
        let facility = said.and_then(|said| facility(said).ok());
        let facility = facility.unwrap_or(DEFAULT_FACILITY);
        Self {
            priority: facility * 8 + INFORMATIONAL,
            header: format!("{} ottometer {process} {kind} -", host(&options.host)).into(),
        }
    }

    fn message(
        &self,
        at: Timestamp,
        out: &mut Vec<u8>,
        record: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let start = out.len();
        // Six digits of a second at most (RFC 5424, section 6.2.3).
        let time = Timestamp(at.0 / 1000 * 1000).to_string();
        let time = time.strip_suffix("000Z").unwrap_or(&time);
        write!(out, "<{}>1 {time}Z {} ", self.priority, self.header)?;
        if let Err(error) = record(out) {
            out.truncate(start);
            return Err(error);
        }
        if out.last() == Some(&b'\n') {
            out.pop();
        }
        Ok(())
    }
}

impl Encode for Syslog {
    fn flow(&mut self, record: &FlowView<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        self.message(record.record().last, out, |out| Json.flow(record, out))
    }

    fn usage(&mut self, record: &UsageRecord<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        self.message(record.interval.end, out, |out| Json.usage(record, out))
    }

    fn run(&mut self, record: &RunRecord, out: &mut Vec<u8>) -> io::Result<()> {
        let at = record.end.map_or(record.run, |end| end.at);
        self.message(at, out, |out| Json.run(record, out))
    }
}

/// What can stand as HOSTNAME (RFC 5424, section 6): visible ASCII characters, or `-` for none.
fn host(name: &str) -> String {
    let visible = name.chars().filter(char::is_ascii_graphic).take(255);
    let name: String = visible.collect();
    if name.is_empty() {
        "-".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::samples;
    use crate::signature::SignatureSet;

    #[test]
    fn a_message_has_the_header_of_rfc_5424_and_a_record() {
        let set = SignatureSet::builtin();
        let record = samples::full(&set, "text\n");
        let view = FlowView::new(&record, &set);
        for (facility, name, priority, host) in [
            (None, "probe.example", 134, "probe.example"),
            (Some("kern"), "", 6, "-"),
            (Some("local7"), "a b\n", 190, "ab"),
        ] {
            let mut options = Options::default().of_host(name);
            if let Some(facility) = facility {
                options.set(&FACILITY, facility);
            }
            let mut out = Vec::new();
            let mut syslog = Syslog::new(Records::Flows, &options);
            syslog.flow(&view, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            let process = std::process::id();
            let time = record.last.to_string();
            let time = &time[.."2026-01-02T03:04:05.000000".len()];
            let header = format!("<{priority}>1 {time}Z {host} ottometer {process} flow - ");
            let message = text
                .strip_prefix(&*header)
                .unwrap_or_else(|| panic!("{text}"));
            assert!(!message.contains('\n'));
            let mut json = Vec::new();
            Json.flow(&view, &mut json).unwrap();
            assert_eq!(message.as_bytes(), json.trim_ascii_end());
        }
    }
}
