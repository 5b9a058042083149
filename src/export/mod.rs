//! Stage 9, records out: flow records, usage intervals and the summary, in public formats.
//!
//! An [`Exporter`] is driven by the pipeline's collector, in the order the capture decides. A new
//! format is a file here.

pub mod csv;
pub mod json;
pub mod prometheus;
pub mod snapshot;
pub mod status;
pub mod summary;

mod community_id;
pub(crate) mod number;
pub(crate) mod reason;
pub(crate) mod text;

use std::io;

use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::{Cells, FlowRecord};

/// Where records go.
pub trait Exporter: Send {
    /// A flow has ended.
    ///
    /// # Errors
    ///
    /// When the record cannot be written.
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()>;

    /// An interval has closed; `sequence` counts them from zero.
    ///
    /// # Errors
    ///
    /// When the record cannot be written.
    fn interval(
        &mut self,
        start: Timestamp,
        sequence: u64,
        cells: &Cells,
        set: &SignatureSet,
    ) -> io::Result<()>;

    /// About a second has passed; it is `at`.
    ///
    /// # Errors
    ///
    /// When what is buffered cannot be written.
    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        let _ = at;
        Ok(())
    }

    /// Nothing more will come.
    ///
    /// # Errors
    ///
    /// When what is buffered cannot be written.
    fn finish(&mut self) -> io::Result<()>;
}

/// Several exporters as one, or none.
impl Exporter for Vec<Box<dyn Exporter>> {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        self.iter_mut()
            .try_for_each(|exporter| exporter.flow(record, set))
    }

    fn interval(
        &mut self,
        start: Timestamp,
        sequence: u64,
        cells: &Cells,
        set: &SignatureSet,
    ) -> io::Result<()> {
        self.iter_mut()
            .try_for_each(|exporter| exporter.interval(start, sequence, cells, set))
    }

    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        self.iter_mut().try_for_each(|exporter| exporter.tick(at))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.iter_mut().try_for_each(|exporter| exporter.finish())
    }
}

/// The name of a transport protocol as EVE writes it.
pub(crate) fn transport_name(
    protocol: crate::decode::IpProtocol,
) -> std::borrow::Cow<'static, str> {
    use crate::decode::IpProtocol;
    let name = match protocol {
        IpProtocol::TCP => "TCP",
        IpProtocol::UDP => "UDP",
        IpProtocol::UDPLITE => "UDPLITE",
        IpProtocol::ICMP => "ICMP",
        IpProtocol::ICMPV6 => "IPV6-ICMP",
        IpProtocol::SCTP => "SCTP",
        IpProtocol::DCCP => "DCCP",
        IpProtocol::IGMP => "IGMP",
        IpProtocol::GRE => "GRE",
        IpProtocol::ESP => "ESP",
        IpProtocol::AH => "AH",
        IpProtocol::IPV4 => "IPIP",
        IpProtocol::IPV6 => "IPV6",
        IpProtocol(89) => "OSPF",
        IpProtocol(103) => "PIM",
        IpProtocol(112) => "VRRP",
        IpProtocol(113) => "PGM",
        IpProtocol(other) => return other.to_string().into(),
    };
    name.into()
}

/// What decided, as records and `explain` name it: a rule, or `dissector:NAME`.
pub(crate) fn decider_name(
    decider: crate::classify::Decider,
    set: &SignatureSet,
) -> std::borrow::Cow<'_, str> {
    use crate::classify::Decider;
    match decider {
        Decider::Rule(rule) => set.rule_name(rule).into(),
        Decider::Dissector(place) => {
            let name = crate::dissect::DISSECTORS
                .get(usize::from(place))
                .map_or("", |row| row.name);
            format!("dissector:{name}").into()
        }
        Decider::ProtocolNumber => "ip-protocol".into(),
    }
}
