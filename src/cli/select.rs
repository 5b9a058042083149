//! Which flows are asked for, by their ends and by their names.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::bail;

use crate::config::{closest, did_you_mean};
use crate::record::{FlowRecord, FlowView, Only};
use crate::signature::SignatureSet;

/// What a flow must be.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    /// One of these; any, where there are none.
    pub(super) ends: Vec<Ends>,
    /// Of one of these applications or protocols; of any, where there are none.
    pub(super) names: Vec<String>,
    /// And such that its record leaves.
    pub(super) only: Option<Arc<Only>>,
}

/// The name that asks for flows without one.
pub(super) const UNKNOWN: &str = "unknown";

impl Selection {
    /// Whether there is anything of the names that are asked for.
    ///
    /// # Errors
    ///
    /// Which name there is not, and what may be meant.
    pub(super) fn check_names(&self, set: &SignatureSet) -> anyhow::Result<()> {
        let catalog = set.catalog();
        for name in &self.names {
            let known = name == UNKNOWN
                || catalog.app_named(name).is_some()
                || catalog.protocol_named(name).is_some();
            if !known {
                let apps = catalog.apps();
                let apps = apps.map(|(_, app)| (&*app.name, &*app.title));
                let protocols = catalog.protocols().map(|slug| (slug, ""));
                bail!(unknown_name(name, apps.chain(protocols)));
            }
        }
        Ok(())
    }

    /// Whether the flow of `record` is asked for.
    pub(super) fn takes(&self, record: &FlowRecord, set: &SignatureSet) -> bool {
        let by_ends = self.ends.is_empty() || self.ends.iter().any(|ends| ends.fits(record));
        let by_name =
            self.names.is_empty() || self.names.iter().any(|name| is_called(record, set, name));
        let leaves = |only: &Arc<Only>| only.takes_flow(&FlowView::new(record, set));
        by_ends && by_name && self.only.as_ref().is_none_or(leaves)
    }
}

/// Whether there are the applications and protocols that `only` names.
///
/// # Errors
///
/// Which name there is not, and what may be meant.
pub(super) fn check_names(only: &Only, set: &SignatureSet) -> anyhow::Result<()> {
    let catalog = set.catalog();
    for field in ["app", "app_proto", "inner_proto"] {
        for name in only.texts_of(field) {
            let lower = name.to_lowercase();
            let is_known = match field {
                "app" => catalog.app_named(&lower).is_some(),
                _ => catalog.protocol_named(&lower).is_some(),
            };
            if !is_known {
                let apps = catalog.apps().filter(|_| field == "app");
                let apps = apps.map(|(_, app)| (&*app.name, &*app.title));
                let protocols = catalog.protocols().filter(|_| field != "app");
                let known = apps.chain(protocols.map(|slug| (slug, "")));
                bail!("--only: {}", unknown_name(name, known));
            }
        }
    }
    Ok(())
}

/// What is said of a `name` that is none of `known`, slugs and titles.
pub(super) fn unknown_name<'a>(
    name: &str,
    known: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) -> String {
    let text = name.to_lowercase();
    // `WeChat`, `微信`: a title, or a word of one.
    let is_title = |title: &str| {
        let title = title.to_lowercase();
        title == text || title.split_whitespace().any(|word| word == text)
    };
    let titled = known.clone().find(|(_, title)| is_title(title));
    let titled = titled.map(|(slug, _)| slug);
    let meant = titled.or_else(|| closest(name, known.map(|(slug, _)| slug)));
    format!(
        "no application or protocol is called `{name}`{} (`ottometer signatures list --search \
         TEXT` tells their names)",
        did_you_mean(meant)
    )
}

/// Which flows are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// The flow with this `flow_id`.
    Id(u64),
    /// One or both of its endpoints.
    Between(Vec<Endpoint>),
}

/// An endpoint as far as it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    ip: Option<IpAddr>,
    port: Option<u16>,
}

impl FromStr for Ends {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let ends: Vec<Endpoint> = text.split(',').map(str::parse).collect::<Result<_, _>>()?;
        if ends.len() > 2 {
            return Err("a flow has two endpoints".to_owned());
        }
        Ok(Self::Between(ends))
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

impl Ends {
    fn fits(&self, record: &FlowRecord) -> bool {
        let ends = [
            (record.client_ip, record.client_port),
            (record.server_ip, record.server_port),
        ];
        let [client, server] = ends;
        match self {
            Self::Id(id) => record.flow_id == *id,
            Self::Between(wanted) => match wanted.as_slice() {
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

fn is_called(record: &FlowRecord, set: &SignatureSet, name: &str) -> bool {
    let app = record.named.app.map(|app| set.catalog().app_name(app));
    let proto = record
        .named
        .proto
        .map(|proto| set.catalog().protocol_name(proto));
    if name == UNKNOWN {
        return app.is_none() && proto.is_none();
    }
    app == Some(name) || proto == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_wanted() {
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let cases: &[(&str, Option<Ends>)] = &[
            ("17", Some(Ends::Id(17))),
            (
                "10.0.0.1",
                Some(Ends::Between(vec![Endpoint {
                    ip: ip("10.0.0.1"),
                    port: None,
                }])),
            ),
            (
                ":53",
                Some(Ends::Between(vec![Endpoint {
                    ip: None,
                    port: Some(53),
                }])),
            ),
            (
                "[::1]:80",
                Some(Ends::Between(vec![Endpoint {
                    ip: ip("::1"),
                    port: Some(80),
                }])),
            ),
            (
                "::1",
                Some(Ends::Between(vec![Endpoint {
                    ip: ip("::1"),
                    port: None,
                }])),
            ),
            (
                "10.0.0.1:5,10.0.0.2",
                Some(Ends::Between(vec![
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
