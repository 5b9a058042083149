//! The fields of a flow, as it leaves the program.

use super::Kind::{Address, Code, Flag, Numbers, Text, Texts, Time, Unsigned, WideNumbers};
use super::community_id::community_id;
use super::flow_record::FlowRecord;
use super::{Column, Element, Field, Record, Value, decider_name, transport_name};
use crate::app::{App, Proto, Service};
use crate::classify::UnknownReason;
use crate::decode::{IpProtocol, Tunnel};
use crate::dissect::{self, Facts, RECORDED};
use crate::flow::{EndReason, Side};
use crate::signature::SignatureSet;
use crate::verdict::Evidence;

/// A flow record with what names it: what its fields are read from.
#[derive(Debug)]
pub struct FlowView<'r> {
    record: &'r FlowRecord,
    set: &'r SignatureSet,
    app: Option<&'r App>,
    facts: [Option<dissect::Value<'r>>; RECORDED.len()],
}

/// Reads a field of a flow record.
pub type Get = for<'r> fn(&FlowView<'r>) -> Option<Value<'r>>;

/// The fields of a flow record, in their order. Their names are those of Suricata's EVE where EVE
/// has them.
pub static FIELDS: &[Field<Get>] = &[
    Column::new(
        "timestamp",
        Time,
        "time of the first frame, RFC 3339, UTC, nanoseconds",
    )
    .required()
    .read(|view| Some(Value::Time(view.record.first))),
    Column::new("event_type", Text, "`flow`")
        .required()
        .read(|_| Some(Value::text("flow"))),
    Column::new(
        "flow_id",
        Unsigned(64),
        "number of the flow's first frame in the stream: unique in a run, the same in \
         every run",
    )
    .required()
    .ipfix(148)
    .read(|view| Some(Value::Number(view.record.flow_id))),
    Column::new(
        "community_id",
        Text,
        "Community ID v1, to find the same flow in other tools",
    )
    .required()
    .read(|view| Some(view.community_id())),
    Column::new(
        "src_ip",
        Address,
        "the client: who sent the SYN, the request, the first packet; corrected when the \
         payload shows otherwise",
    )
    .required()
    .element(Element::ByFamily { v4: 8, v6: 27 })
    .read(|view| Some(Value::Address(view.record.client_ip))),
    Column::new("src_port", Unsigned(16), "the client's port")
        .ipfix(7)
        .read(|view| view.port(view.record.client_port)),
    Column::new("dest_ip", Address, "the server")
        .required()
        .element(Element::ByFamily { v4: 12, v6: 28 })
        .read(|view| Some(Value::Address(view.record.server_ip))),
    Column::new("dest_port", Unsigned(16), "the server's port")
        .ipfix(11)
        .read(|view| view.port(view.record.server_port)),
    Column::new(
        "proto",
        Code,
        "transport protocol; its number where it has no name here",
    )
    .required()
    .ipfix(4)
    .read(|view| Some(view.transport())),
    Column::new("icmp_type", Unsigned(8), "of the first packet")
        .element(Element::ByFamily { v4: 176, v6: 178 })
        .read(|view| view.icmp(view.record.icmp.0)),
    Column::new("icmp_code", Unsigned(8), "of the first packet")
        .element(Element::ByFamily { v4: 177, v6: 179 })
        .read(|view| view.icmp(view.record.icmp.1)),
    Column::new(
        "interface",
        Text,
        "the interface by which the first frame came in, where it is known: of captures as a pcapng file \
         names it",
    )
    .ipfix(82)
    .read(|view| view.record.interface.as_deref().map(Value::text)),
    Column::new(
        "reverse_interface",
        Text,
        "the interface by which the other direction came in, where that is another",
    )
    .element(Element::Reverse(82))
    .read(|view| view.record.reverse_interface.as_deref().map(Value::text)),
    Column::new(
        "vlan",
        Numbers,
        "VLAN identifiers of the first frame, outermost first",
    )
    .read(|view| list(view.record.vlans.as_slice()).map(Value::Numbers)),
    Column::new(
        "tunnel",
        Text,
        "outermost tunnel the flow came in: `ah`, `ayiya`, `capwap`, `eoip`, `erspan`, \
         `etherip`, `fou`, `geneve`, `gre`, `gtp-u`, `gue`, `ipip`, `4in6`, `6in4`, \
         `l2tp`, `lisp`, `mpls`, `pptp`, `srv6`, `teredo`, `tzsp`, `vxlan`. A frame in \
         which no packet of IP is found belongs to the tunnel's own flow, whose \
         `app_proto` says what it is",
    )
    .read(|view| view.record.tunnel.map(Tunnel::slug).map(Value::text)),
    Column::new(
        "subject",
        Text,
        "whose traffic it is, where subjects are kept apart: the address or the prefix that \
         its volume is counted for",
    )
    .ipfix(371)
    .read(|view| {
        let subject = view.record.subject;
        subject.map(|subject| Value::text(subject.to_string()))
    }),
    Column::new(
        "app_proto",
        Text,
        "what is spoken: `tls`, `quic`, `http`, `dns`, `mmtls`, ...; where ICE opened the \
         way, what followed it (`dtls` with all that it keys, `rtp`); `ftp-data` is what \
         an FTP control connection announced (evidence `call-family`), whatever the file \
         looks like",
    )
    .read(|view| view.protocol(view.record.named.proto)),
    Column::new(
        "inner_proto",
        Text,
        "what is spoken inside that, if it carries another protocol: TLS behind STARTTLS, \
         HTTP behind SOCKS, IPP in HTTP, ...; of several in one another, the innermost that is known",
    )
    .read(|view| view.protocol(view.record.named.inner)),
    Column::new("app", Text, "whose service it is")
        .ipfix(96)
        .read(|view| view.app.map(|app| Value::text(&*app.name))),
    Column::new("app_id", Unsigned(32), "the application's stable number")
        .ipfix(95)
        .read(|view| view.app.map(|app| Value::Number(app.id.into()))),
    Column::new(
        "service",
        Text,
        "what is done inside it: `chat`, `voice`, `video`, `file`, ...",
    )
    .read(|view| {
        view.record
            .named
            .service
            .map(Service::slug)
            .map(Value::text)
    }),
    Column::new("category", Text, "what kind of application it is")
        .ipfix(372)
        .read(|view| view.app.map(|app| Value::text(&*app.category))),
    Column::new(
        "evidence",
        Text,
        "how the name was established: `payload-proof`, `server-name`, `fingerprint`, \
         `payload`, `flow`, `call-family`, `dns`, `same-server` (the client showed it to this server on \
         another flow), `behaviour` (a model of what named flows of the site do, with `--behaviour`; not for \
         bills), `outer-name` (the public name of an \
         encrypted ClientHello stands for one that is not known), `address` (the \
         server's), `port`",
    )
    .read(|view| {
        view.record
            .named
            .evidence
            .map(Evidence::slug)
            .map(Value::text)
    }),
    Column::new(
        "signature",
        Text,
        "the rule that decided, or `dissector:NAME`",
    )
    .read(|view| view.decider()),
    Column::new(
        "unknown",
        Text,
        "why there is no name: `no-payload`, `no-match`, `mid-stream`, `overload`, `vpn-like` (no match, \
         and both sides of a stream are like random bytes from the first on); \
         `unsettled` in an interim record whose flow may still get one",
    )
    .read(|view| view.unknown()),
    Column::new(
        "server_name",
        Text,
        "the host that the client asked for: of TLS and QUIC the server name, of \
         HTTP the Host",
    )
    .read(|view| view.fact("server_name")),
    Column::new("alpn", Texts, "protocols that the client offers in TLS")
        .read(|view| view.fact("alpn")),
    Column::new("ja4", Text, "JA4 fingerprint of the ClientHello").read(|view| view.fact("ja4")),
    Column::new("user_agent", Text, "the client's software, as it says")
        .ipfix(468)
        .read(|view| view.fact("user_agent")),
    Column::new("query_name", Text, "the name that was asked for in DNS")
        .read(|view| view.fact("query_name")),
    Column::new("ech", Flag, "the ClientHello is encrypted, or looks so")
        .read(|view| view.fact("ech")),
    Column::new(
        "settled_at_packet",
        Unsigned(32),
        "the flow's packet that decided, from 1; 0 in an interim record before that",
    )
    .required()
    .read(|view| Some(Value::Number(view.record.settled_at_packet.into()))),
    Column::new(
        "remembered",
        Flag,
        "the flow goes on between the sockets of one before that was idle, or had to \
         leave a full table, within the last hour; name, `evidence` and `signature` are \
         of that one. A flow that begins with a SYN or a QUIC Initial is never called so",
    )
    .read(|view| view.record.named.remembered.then_some(Value::Flag)),
    Column::new(
        "ended",
        Code,
        "why the record was written: `active-timeout` (an interim record: the flow goes on), or \
         why the flow ended, as in `flow.reason`",
    )
    .required()
    .ipfix(136)
    .read(|view| Some(view.ended())),
    Column::new(
        "part",
        Unsigned(32),
        "number of the record among those of its flow, from 1",
    )
    .required()
    .read(|view| Some(Value::Number(view.record.part.number.into()))),
    Column::new(
        "first_directions",
        Text,
        "with `--first-packets`: who sent each of the flow's first packets with a payload, 30 at most, in \
         the order they came, with those that were sent again: `c` the client, `s` the server",
    )
    .read(|view| view.first_directions()),
    Column::new(
        "first_lengths",
        Numbers,
        "how long the payload of each of these packets was",
    )
    .unit("octets")
    .read(|view| {
        let sequence = view.record.first_packets.as_deref()?;
        list(sequence.lengths()).map(Value::Numbers)
    }),
    Column::new(
        "first_times",
        WideNumbers,
        "how long after the flow's first frame each of these packets came, 4,294,967,295 for longer",
    )
    .unit("microseconds")
    .read(|view| {
        let sequence = view.record.first_packets.as_deref()?;
        list(sequence.times()).map(Value::WideNumbers)
    }),
    Column::new(
        "pkts_toserver",
        Unsigned(64),
        "captured frames from the client since the flow began",
    )
    .required()
    .object("flow")
    .unit("packets")
    .ipfix(86)
    .read(|view| Some(Value::Number(view.record.counters.client.packets))),
    Column::new(
        "pkts_toclient",
        Unsigned(64),
        "captured frames from the server since the flow began",
    )
    .required()
    .object("flow")
    .unit("packets")
    .element(Element::Reverse(86))
    .read(|view| Some(Value::Number(view.record.counters.server.packets))),
    Column::new(
        "bytes_toserver",
        Unsigned(64),
        "bytes of whole frames from the client since the flow began, as on the wire. A frame \
         in a tunnel counts wholly for its innermost flow",
    )
    .required()
    .object("flow")
    .unit("octets")
    .ipfix(353)
    .read(|view| Some(Value::Number(view.record.counters.client.bytes))),
    Column::new(
        "bytes_toclient",
        Unsigned(64),
        "bytes of whole frames from the server since the flow began, as on the wire. A frame \
         in a tunnel counts wholly for its innermost flow",
    )
    .required()
    .object("flow")
    .unit("octets")
    .element(Element::Reverse(353))
    .read(|view| Some(Value::Number(view.record.counters.server.bytes))),
    Column::new(
        "ip_bytes_toserver",
        Unsigned(64),
        "bytes of the innermost IP packets from the client since the flow began: what is rated",
    )
    .required()
    .object("flow")
    .unit("octets")
    .ipfix(85)
    .read(|view| Some(Value::Number(view.record.counters.client.ip_bytes))),
    Column::new(
        "ip_bytes_toclient",
        Unsigned(64),
        "bytes of the innermost IP packets from the server since the flow began: what is rated",
    )
    .required()
    .object("flow")
    .unit("octets")
    .element(Element::Reverse(85))
    .read(|view| Some(Value::Number(view.record.counters.server.ip_bytes))),
    Column::new("start", Time, "time of the flow's first frame")
        .required()
        .object("flow")
        .read(|view| Some(Value::Time(view.record.first))),
    Column::new("end", Time, "time of the last frame up to the record")
        .required()
        .object("flow")
        .ipfix(157)
        .read(|view| Some(Value::Time(view.record.last))),
    Column::new("state", Text, "`new`, `established` or `closed`")
        .required()
        .object("flow")
        .read(|view| Some(Value::text(view.record.state))),
    Column::new(
        "reason",
        Code,
        "why the flow ended: `fin`, `rst`, `idle`, `reused`, `evicted`, `clock-set-back`, \
         `end-of-input`; an interim record has none",
    )
    .object("flow")
    .read(|view| view.reason()),
    // Behind the totals of the flow: collectors that have one place for both counts (nfdump) keep the last.
    Column::new(
        "part_start",
        Time,
        "from when on the record tells what those before it have not: `flow.start`, or \
         `flow.end` of the record before",
    )
    .required()
    .object("flow")
    .ipfix(156)
    .read(|view| Some(Value::Time(view.record.part.start))),
    Column::new(
        "part_pkts_toserver",
        Unsigned(64),
        "of `pkts_toserver`, what the records before have not told",
    )
    .required()
    .object("flow")
    .unit("packets")
    .ipfix(2)
    .read(|view| Some(Value::Number(view.record.part.counters.client.packets))),
    Column::new(
        "part_pkts_toclient",
        Unsigned(64),
        "of `pkts_toclient`, what the records before have not told",
    )
    .required()
    .object("flow")
    .unit("packets")
    .element(Element::Reverse(2))
    .read(|view| Some(Value::Number(view.record.part.counters.server.packets))),
    Column::new(
        "part_bytes_toserver",
        Unsigned(64),
        "of `bytes_toserver`, what the records before have not told",
    )
    .required()
    .object("flow")
    .unit("octets")
    .ipfix(352)
    .read(|view| Some(Value::Number(view.record.part.counters.client.bytes))),
    Column::new(
        "part_bytes_toclient",
        Unsigned(64),
        "of `bytes_toclient`, what the records before have not told",
    )
    .required()
    .object("flow")
    .unit("octets")
    .element(Element::Reverse(352))
    .read(|view| Some(Value::Number(view.record.part.counters.server.bytes))),
    Column::new(
        "part_ip_bytes_toserver",
        Unsigned(64),
        "of `ip_bytes_toserver`, what the records before have not told",
    )
    .required()
    .object("flow")
    .unit("octets")
    .ipfix(1)
    .read(|view| Some(Value::Number(view.record.part.counters.client.ip_bytes))),
    Column::new(
        "part_ip_bytes_toclient",
        Unsigned(64),
        "of `ip_bytes_toclient`, what the records before have not told",
    )
    .required()
    .object("flow")
    .unit("octets")
    .element(Element::Reverse(1))
    .read(|view| Some(Value::Number(view.record.part.counters.server.ip_bytes))),
];

/// Fields whose texts may be long, the least useful first: what is left out where a record has to
/// be short.
pub const EXPENDABLE: [&str; 3] = ["alpn", "user_agent", "query_name"];

impl<'r> FlowView<'r> {
    /// The record, named by `set`.
    pub fn new(record: &'r FlowRecord, set: &'r SignatureSet) -> Self {
        let app = record.named.app.and_then(|id| set.catalog().app(id));
        let facts = record.facts.as_deref().map(Facts::recorded);
        Self {
            record,
            set,
            app,
            facts: facts.unwrap_or_default(),
        }
    }

    /// The record.
    pub const fn record(&self) -> &'r FlowRecord {
        self.record
    }

    fn community_id(&self) -> Value<'r> {
        let record = self.record;
        Value::text(community_id(
            record.protocol,
            (record.client_ip, record.client_port),
            (record.server_ip, record.server_port),
            record.icmp,
        ))
    }

    fn transport(&self) -> Value<'r> {
        let protocol = self.record.protocol;
        Value::Code {
            name: transport_name(protocol),
            number: protocol.0,
        }
    }

    fn unknown(&self) -> Option<Value<'r>> {
        let reason = self.record.named.unknown.map(UnknownReason::slug);
        let is_unsettled = self.record.settled_at_packet == 0;
        let reason = reason.or_else(|| is_unsettled.then_some("unsettled"));
        reason.map(Value::text)
    }

    /// Why the flow ended, if it has.
    fn reason(&self) -> Option<Value<'r>> {
        let goes_on = matches!(
            self.record.reason,
            EndReason::ActiveTimeout | EndReason::Ongoing
        );
        (!goes_on).then(|| self.ended())
    }

    fn ended(&self) -> Value<'r> {
        let reason = self.record.reason;
        // flowEndReason of RFC 5102, section 5.11.3.
        let number = match reason {
            EndReason::Idle => 1,
            EndReason::ActiveTimeout | EndReason::Ongoing => 2,
            EndReason::Fin | EndReason::Reset | EndReason::Reused => 3,
            EndReason::ClockSetBack | EndReason::EndOfInput => 4,
            EndReason::Evicted => 5,
        };
        Value::Code {
            name: reason.slug().into(),
            number,
        }
    }

    fn port(&self, port: u16) -> Option<Value<'r>> {
        let has_ports = self.record.client_port != 0 || self.record.server_port != 0;
        has_ports.then_some(Value::Number(port.into()))
    }

    fn icmp(&self, number: u8) -> Option<Value<'r>> {
        let is_icmp = matches!(self.record.protocol, IpProtocol::ICMP | IpProtocol::ICMPV6);
        is_icmp.then_some(Value::Number(number.into()))
    }

    fn protocol(&self, proto: Option<Proto>) -> Option<Value<'r>> {
        proto.map(|proto| Value::text(self.set.catalog().protocol_name(proto)))
    }

    fn decider(&self) -> Option<Value<'r>> {
        let decider = self.record.named.decider?;
        Some(Value::Text(decider_name(decider, self.set)))
    }

    fn first_directions(&self) -> Option<Value<'r>> {
        let sequence = self.record.first_packets.as_deref()?;
        let senders = sequence.sides(self.record.client_is_low).senders();
        let text: String = senders
            .map(|side| match side {
                Side::Client => 'c',
                Side::Server => 's',
            })
            .collect();
        (!text.is_empty()).then(|| Value::text(text))
    }

    fn fact(&self, name: &str) -> Option<Value<'r>> {
        let mut named = RECORDED.iter().zip(&self.facts);
        let (_, &fact) = named.find(|&(&of, _)| of == name)?;
        match fact? {
            dissect::Value::Text(text) => Some(Value::text(text)),
            dissect::Value::Texts(texts) => Some(Value::Texts(texts)),
            dissect::Value::Offered => Some(Value::Flag),
            // A test holds the recorded facts to these types.
            _ => None,
        }
    }
}

impl Record for FlowView<'_> {
    fn columns() -> impl Iterator<Item = &'static Column> {
        FIELDS.iter().map(|field| &field.column)
    }

    fn value(&self, place: usize) -> Option<Value<'_>> {
        (FIELDS.get(place)?.get)(self)
    }

    fn app(&self) -> Option<&App> {
        self.app
    }
}

/// A list that has entries.
fn list<T>(entries: &[T]) -> Option<&[T]> {
    (!entries.is_empty()).then_some(entries)
}
