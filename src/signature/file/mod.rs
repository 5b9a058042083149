//! A signature file as it is written: one struct for each table of `docs/signatures.md`.
//!
//! [`parse`] reads one file and reports everything in it that is not of the language's shape;
//! what the texts inside mean (hex, conditions, names) is `compile`'s subject. Every struct
//! refuses keys it does not know, so that a misspelt key is not a rule that matches everything.

mod tables;
mod values;

pub use tables::{
    AddressTable, AppTable, AtTable, CallTable, ContainsTable, DirectionName, DomainTable,
    EntropyTable, ExpectTable, FlowTable, HeaderTable, HttpTable, MessageName, PayloadTable,
    PortTable, ProtoTable, ProtocolTable, ReplyTable, SipTable, StunTable, TestTable, TlsTable,
    TransportName,
};
pub use values::{OneOrMany, Ports};

use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::diagnostic::{Diagnostic, Findings};

/// One file: an application or a plain protocol, and its rules.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "ottometer signature file")]
#[allow(missing_docs)]
pub struct SignatureFile {
    /// The application the rules name.
    #[schemars(with = "Option<AppTable>")]
    pub app: Option<Spanned<AppTable>>,
    /// The plain protocol the rules name, in a file without `[app]`.
    #[schemars(with = "Option<ProtocolTable>")]
    pub protocol: Option<Spanned<ProtocolTable>>,
    #[schemars(with = "Vec<DomainTable>", default)]
    pub domain: Vec<Spanned<DomainTable>>,
    #[schemars(with = "Vec<PayloadTable>", default)]
    pub payload: Vec<Spanned<PayloadTable>>,
    #[schemars(with = "Vec<StunTable>", default)]
    pub stun: Vec<Spanned<StunTable>>,
    #[schemars(with = "Vec<HttpTable>", default)]
    pub http: Vec<Spanned<HttpTable>>,
    #[schemars(with = "Vec<TlsTable>", default)]
    pub tls: Vec<Spanned<TlsTable>>,
    #[schemars(with = "Vec<SipTable>", default)]
    pub sip: Vec<Spanned<SipTable>>,
    #[schemars(with = "Vec<ProtoTable>", default)]
    pub proto: Vec<Spanned<ProtoTable>>,
    #[schemars(with = "Vec<FlowTable>", default)]
    pub flow: Vec<Spanned<FlowTable>>,
    #[schemars(with = "Vec<AddressTable>", default)]
    pub address: Vec<Spanned<AddressTable>>,
    #[schemars(with = "Vec<CallTable>", default)]
    pub call: Vec<Spanned<CallTable>>,
    #[schemars(with = "Vec<PortTable>", default)]
    pub port: Vec<Spanned<PortTable>>,
    #[schemars(with = "Vec<TestTable>", default)]
    pub test: Vec<Spanned<TestTable>>,
}

/// Reads one file. What is not of the language's shape is reported and left out; the rest is
/// returned, so that one bad rule does not hide the findings in the others.
pub(super) fn parse(path: &str, text: &str, found: &mut Vec<Diagnostic>) -> SignatureFile {
    let mut findings = Findings::new(path, text, found);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        findings.error(error.span().unwrap_or(0..0), error.message());
    }
    let mut file = SignatureFile::default();
    for (key, value) in table.into_inner() {
        let at = key.span();
        let findings = &mut findings;
        match key.get_ref().as_ref() {
            "app" => file.app = read_one(value, findings),
            "protocol" => file.protocol = read_one(value, findings),
            "domain" => read_all(value, &mut file.domain, findings),
            "payload" => read_all(value, &mut file.payload, findings),
            "stun" => read_all(value, &mut file.stun, findings),
            "http" => read_all(value, &mut file.http, findings),
            "tls" => read_all(value, &mut file.tls, findings),
            "sip" => read_all(value, &mut file.sip, findings),
            "proto" => read_all(value, &mut file.proto, findings),
            "flow" => read_all(value, &mut file.flow, findings),
            "address" => read_all(value, &mut file.address, findings),
            "call" => read_all(value, &mut file.call, findings),
            "port" => read_all(value, &mut file.port, findings),
            "test" => read_all(value, &mut file.test, findings),
            unknown => findings.error(at, format!("unknown table `{unknown}`, expected {TABLES}")),
        }
    }
    match (&file.app, &file.protocol) {
        (Some(app), Some(_)) => findings
            .error(app.span(), "a file is about an application or a protocol: `[app]` and `[protocol]` exclude one another"),
        (None, None) => findings.error(0..0, "expected `[app]` or `[protocol]`"),
        _ => {}
    }
    file
}

const TABLES: &str = "one of `[app]`, `[protocol]`, `[[domain]]`, `[[payload]]`, `[[stun]]`, `[[http]]`, \
     `[[tls]]`, `[[sip]]`, `[[proto]]`, `[[flow]]`, `[[address]]`, `[[call]]`, `[[port]]`, `[[test]]`";

fn read_one<'de, T: Deserialize<'de>>(
    value: Spanned<DeValue<'de>>,
    findings: &mut Findings<'_>,
) -> Option<Spanned<T>> {
    let at = value.span();
    match Spanned::deserialize(ValueDeserializer::from(value)) {
        Ok(table) => Some(table),
        Err(error) => {
            findings.error(narrow(error.span(), at), error.message());
            None
        }
    }
}

fn read_all<'de, T: Deserialize<'de>>(
    value: Spanned<DeValue<'de>>,
    tables: &mut Vec<Spanned<T>>,
    findings: &mut Findings<'_>,
) {
    let at = value.span();
    let DeValue::Array(list) = value.into_inner() else {
        findings.error(
            at,
            "expected a list of tables: two brackets, as in `[[domain]]`",
        );
        return;
    };
    tables.reserve(list.len());
    for table in list {
        tables.extend(read_one(table, findings));
    }
}

/// An error without a place of its own stands where its table does.
fn narrow(span: Option<Range<usize>>, table: Range<usize>) -> Range<usize> {
    span.filter(|span| *span != (0..0)).unwrap_or(table)
}
