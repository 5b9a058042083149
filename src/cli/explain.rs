//! `ottometer explain FILE --flow ...`: why each flow has its name.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;

use super::settings::{Flows, Input, Signatures};
use crate::export::{Exporter, reason};
use crate::pipeline::{self, Config, Failure};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::{Cells, FlowRecord};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    input: Input,

    /// Only flows with this endpoint (ADDRESS, ADDRESS:PORT, [V6]:PORT or :PORT), between two endpoints (A,B), or with this flow_id. May be given several times.
    #[arg(long = "flow", value_name = "FLOW")]
    flows: Vec<Wanted>,

    /// Only flows of this application or protocol; `unknown`: those without a name.
    #[arg(long, value_name = "NAME")]
    app: Option<String>,

    #[command(flatten)]
    signatures: Signatures,

    #[command(flatten)]
    flow_table: Flows,
}

/// Which flows are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Id(u64),
    Ends(Vec<Endpoint>),
}

/// An endpoint as far as it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Endpoint {
    ip: Option<IpAddr>,
    port: Option<u16>,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let ends: Vec<Endpoint> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        if ends.len() > 2 {
            return Err("a flow has two endpoints".to_owned());
        }
        Ok(Self::Ends(ends))
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no ADDRESS, ADDRESS:PORT, [V6]:PORT or :PORT");
        if let Ok(ip) = text.trim_matches(['[', ']']).parse() {
            return Ok(Self {
                ip: Some(ip),
                port: None,
            });
        }
        let (ip, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = Some(port.parse().map_err(|_| wrong())?);
        let ip = match ip {
            "" | "*" => None,
            ip => Some(ip.trim_matches(['[', ']']).parse().map_err(|_| wrong())?),
        };
        Ok(Self { ip, port })
    }
}

impl Endpoint {
    fn is(&self, ip: IpAddr, port: u16) -> bool {
        self.ip.is_none_or(|wanted| wanted == ip) && self.port.is_none_or(|wanted| wanted == port)
    }
}

impl Wanted {
    fn fits(&self, record: &FlowRecord) -> bool {
        let ends = [
            (record.client_ip, record.client_port),
            (record.server_ip, record.server_port),
        ];
        let [client, server] = ends;
        match self {
            Self::Id(id) => record.flow_id == *id,
            Self::Ends(wanted) => match wanted.as_slice() {
                [one] => ends.iter().any(|&(ip, port)| one.is(ip, port)),
                [a, b] => {
                    (a.is(client.0, client.1) && b.is(server.0, server.1))
                        || (b.is(client.0, client.1) && a.is(server.0, server.1))
                }
                _ => false,
            },
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let set = arguments.signatures.load()?;
    let mut inputs = arguments.input.open()?;
    let config = Config {
        workers: 1,
        duplicates: arguments.input.duplicates(),
        decode: arguments.flow_table.decode(),
        flow: arguments.flow_table.flow(),
        records: true,
        steps: true,
        ..Config::default()
    };
    let mut explainer = Explainer {
        out: Box::new(io::BufWriter::new(io::stdout())),
        wanted: arguments.flows.clone(),
        app: arguments.app.clone(),
        shown: 0,
        seen: 0,
    };
    let outcome = pipeline::run(&mut inputs, &set, &config, &mut explainer, &mut |_| {});
    let damaged = arguments.input.report_damage(&inputs);
    outcome.map_err(|failure| match failure {
        Failure::Read(error) => anyhow::Error::from(error),
        Failure::Write(error) => anyhow::Error::from(error),
    })?;
    anyhow::ensure!(
        explainer.shown > 0,
        "none of the {} flows fits what was asked for",
        explainer.seen
    );
    Ok(if damaged {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Prints the steps of the flows that are wanted.
struct Explainer {
    out: Box<dyn Write + Send>,
    wanted: Vec<Wanted>,
    app: Option<String>,
    shown: u64,
    seen: u64,
}

impl Exporter for Explainer {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        self.seen += 1;
        let by_endpoint =
            self.wanted.is_empty() || self.wanted.iter().any(|wanted| wanted.fits(record));
        let by_name = self
            .app
            .as_deref()
            .is_none_or(|name| is_called(record, set, name));
        if !by_endpoint || !by_name {
            return Ok(());
        }
        self.shown += 1;
        explain(&mut self.out, record, set)
    }

    fn interval(&mut self, _: Timestamp, _: u64, _: &Cells, _: &SignatureSet) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn is_called(record: &FlowRecord, set: &SignatureSet, name: &str) -> bool {
    let app = record.named.app.map(|app| set.catalog().app_name(app));
    let proto = record
        .named
        .proto
        .map(|proto| set.catalog().protocol_name(proto));
    if name == "unknown" {
        return app.is_none() && proto.is_none();
    }
    app == Some(name) || proto == Some(name)
}

fn explain(out: &mut dyn Write, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
    writeln!(out, "{}", reason::headline(record))?;
    for line in reason::lines(record, set) {
        writeln!(out, "  {line}")?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_wanted() {
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let cases: &[(&str, Option<Wanted>)] = &[
            ("17", Some(Wanted::Id(17))),
            (
                "10.0.0.1",
                Some(Wanted::Ends(vec![Endpoint {
                    ip: ip("10.0.0.1"),
                    port: None,
                }])),
            ),
            (
                ":53",
                Some(Wanted::Ends(vec![Endpoint {
                    ip: None,
                    port: Some(53),
                }])),
            ),
            (
                "[::1]:80",
                Some(Wanted::Ends(vec![Endpoint {
                    ip: ip("::1"),
                    port: Some(80),
                }])),
            ),
            (
                "::1",
                Some(Wanted::Ends(vec![Endpoint {
                    ip: ip("::1"),
                    port: None,
                }])),
            ),
            (
                "10.0.0.1:5,10.0.0.2",
                Some(Wanted::Ends(vec![
                    Endpoint {
                        ip: ip("10.0.0.1"),
                        port: Some(5),
                    },
                    Endpoint {
                        ip: ip("10.0.0.2"),
                        port: None,
                    },
                ])),
            ),
            ("nonsense", None),
            ("10.0.0.1:99999", None),
            (":1,:2,:3", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(text.parse().ok(), *wanted, "{text}");
        }
    }
}
