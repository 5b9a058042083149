//! Leaving frames out by a filter in libpcap's language, as tcpdump has it.
//!
//! libpcap compiles the filter, once for each link type; `bpf` runs the result. The neighbours are
//! the walks over pcap and pcapng files, which ask for the program of their link type.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pcap::{Capture, Linktype};

use crate::capture::LinkType;
use crate::capture::bpf::Program;
use crate::capture::error::Error;

/// A filter for the frames of one file.
#[derive(Debug)]
pub(super) struct Filter {
    path: PathBuf,
    text: String,
    programs: Vec<(LinkType, Arc<Program>)>,
}

impl Filter {
    /// A filter that has not been compiled for any link type. `path` is for error messages.
    pub(super) fn new(path: &Path, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            programs: Vec::new(),
        }
    }

    /// The program for frames of `link`.
    pub(super) fn program(&mut self, link: LinkType) -> Result<Arc<Program>, Error> {
        if let Some((_, program)) = self.programs.iter().find(|(known, _)| *known == link) {
            return Ok(Arc::clone(program));
        }
        let program = compile(&self.text, link).map_err(|message| Error::Filter {
            path: self.path.clone(),
            filter: self.text.clone(),
            link,
            message,
        })?;
        let program = Arc::new(program);
        self.programs.push((link, Arc::clone(&program)));
        Ok(program)
    }
}

/// Compiles `text` for frames of `link`; the error is libpcap's.
fn compile(text: &str, link: LinkType) -> Result<Program, String> {
    let capture = Capture::dead(Linktype(data_link_type(link))).map_err(|error| reason(&error))?;
    let compiled = capture
        .compile(text, true)
        .map_err(|error| reason(&error))?;
    Program::new(compiled.get_instructions())
        .ok_or_else(|| "the compiled filter holds an unknown instruction".to_owned())
}

/// What libpcap says, without the wrapping's "libpcap error: ".
fn reason(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(message) => message.clone(),
        error => error.to_string(),
    }
}

/// libpcap's internal number (DLT) for a link type: a few differ between systems, so files hold
/// another (LINKTYPE).
fn data_link_type(link: LinkType) -> i32 {
    const DLT_ATM_RFC1483: i32 = 11;
    const DLT_RAW: i32 = if cfg!(target_os = "openbsd") { 14 } else { 12 };

    match link {
        LinkType(100) => DLT_ATM_RFC1483,
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => DLT_RAW,
        LinkType(other) => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compiles_once_for_each_link_type() {
        let mut filter = Filter::new(Path::new("a.pcap"), "udp port 53");
        let ethernet = filter.program(LinkType::ETHERNET).unwrap();
        let raw = filter.program(LinkType::RAW).unwrap();
        assert!(Arc::ptr_eq(
            &ethernet,
            &filter.program(LinkType::ETHERNET).unwrap()
        ));
        assert!(!Arc::ptr_eq(&ethernet, &raw));
        for link in [12, 14, 101, 113, 127, 228, 276] {
            assert!(filter.program(LinkType(link)).is_ok(), "link type {link}");
        }
    }

    #[test]
    fn says_what_libpcap_says() {
        // filter, link type, part of the message
        let rows = [
            ("udp prot 53", 1, "syntax error"),
            ("udp port 53", 65_000, "65000"),
            ("vlan 7", 101, "no VLAN support"),
            ("ip\0", 1, ""),
        ];
        for (text, link, part) in rows {
            let mut filter = Filter::new(Path::new("a.pcap"), text);
            let error = filter.program(LinkType(link)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
            assert!(error.starts_with("a.pcap: filter '"), "{error}");
        }
    }
}
