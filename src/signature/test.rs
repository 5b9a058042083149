//! `[[test]]`: what must and must not match.
//!
//! Who runs them is a [`Runner`]: what a flow is called is decided by stages after this one, and a
//! rule that another one outranks there must not pass its test here.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;

use super::compile::{Parsed, parse_all};
use super::diagnostic::{Findings, line_and_column};
use super::file::{MessageName, Ports, SignatureFile, TestTable, TransportName};
use super::source::SourceFile;
use super::{Diagnostic, Severity, SignatureSet};
use crate::app::Service;
use crate::flow::{Side, Transport};
use crate::verdict::RuleId;

/// A message longer than this belongs into a capture.
const MAX_MESSAGE: usize = 16 << 10;

/// What a flow of a capture was found to be, by slugs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The application.
    pub app: Option<String>,
    /// The service.
    pub service: Option<Service>,
    /// The protocol.
    pub proto: Option<String>,
}

/// A conversation of literal messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// What carries it.
    pub transport: Transport,
    /// The client; its port is zero where there are none.
    pub client: SocketAddr,
    /// The server.
    pub server: SocketAddr,
    /// Who says what, in order.
    pub messages: Vec<(Side, Vec<u8>)>,
    /// Its beginning was not seen.
    pub is_joined: bool,
}

/// What became of a rule in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It did not hold at any message.
    Missed,
    /// It held, and the flow is called otherwise.
    Outranked(Observed),
    /// It held, and the flow is called what it says.
    Named,
}

/// What runs tests as captures are read.
pub trait Runner {
    /// What each flow of a capture is.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    fn capture(&mut self, set: &Arc<SignatureSet>, path: &Path) -> Result<Vec<Observed>, String>;

    /// What becomes of `rules`, any of which will do, in `conversation`.
    fn converse(
        &mut self,
        set: &Arc<SignatureSet>,
        conversation: &Conversation,
        rules: &[RuleId],
    ) -> Fate;
}

/// How one test went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// The file.
    pub path: String,
    /// The line its table begins at.
    pub line: u32,
    /// What was tested: a rule or a capture.
    pub subject: String,
    /// What went wrong, if anything.
    pub failure: Option<String>,
}

/// Runs all tests of `files` by `runner`. Captures are looked for under `captures`.
///
/// # Errors
///
/// What is wrong in the files themselves; nothing is run then.
pub fn test(
    files: &[SourceFile],
    captures: &Path,
    runner: &mut dyn Runner,
) -> Result<Vec<TestResult>, Vec<Diagnostic>> {
    let (set, mut found) = SignatureSet::compile_leniently(files);
    let parsed = parse_all(files, &mut Vec::new());
    for one in &parsed {
        check_tests(
            one,
            &mut Findings::new(&one.source.path, &one.source.text, &mut found),
        );
    }
    if found
        .iter()
        .any(|finding| finding.severity == Severity::Error)
    {
        return Err(found);
    }
    let set = Arc::new(set);
    let mut results = Vec::new();
    for one in &parsed {
        for table in &one.file.test {
            let test = table.get_ref();
            let (subject, failure) = match (&test.capture, &test.rule) {
                (Some(capture), _) => (
                    capture.clone(),
                    run_capture(test, &set, &captures.join(capture), runner),
                ),
                (None, rule) => {
                    let rule = rule.as_ref().map_or("", |rule| rule.get_ref());
                    (rule.to_owned(), run_messages(test, rule, one, &set, runner))
                }
            };
            let path = one.source.path.to_string();
            let (line, _) = line_and_column(&one.source.text, table.span().start);
            results.push(TestResult {
                path,
                line,
                subject,
                failure,
            });
        }
    }
    Ok(results)
}

/// Reports tests that cannot be run.
pub(super) fn check_tests(parsed: &Parsed<'_>, findings: &mut Findings<'_>) {
    for table in &parsed.file.test {
        let at = table.span();
        let test = table.get_ref();
        for text in test.client.iter().chain(&test.server) {
            if let Err(fault) = parse_message(text.get_ref()) {
                findings.error(text.span(), fault);
            }
        }
        let messages = !test.client.is_empty() || !test.server.is_empty();
        match (&test.capture, &test.rule) {
            (Some(_), None) if messages => findings.error(at, "a capture test has no messages"),
            (Some(_), None) if test.expect.is_none() => findings.error(at, "expected `expect`"),
            (None, Some(_)) if !messages => findings.error(at, "expected `client` or `server`"),
            (None, Some(rule)) if !has_rule(&parsed.file, rule.get_ref()) => {
                findings.error(
                    rule.span(),
                    format!("there is no rule `{}` in this file", rule.get_ref()),
                );
            }
            (Some(_), Some(_)) | (None, None) => {
                findings.error(at, "expected one of `rule` and `capture`");
            }
            _ => {}
        }
    }
}

/// The names rules of a file were given, with their places.
pub(super) fn all_names(file: &SignatureFile) -> Vec<&Spanned<String>> {
    let mut names: Vec<&Spanned<String>> = Vec::new();
    names.extend(file.payload.iter().map(|table| &table.get_ref().name));
    names.extend(file.flow.iter().map(|table| &table.get_ref().name));
    names.extend(file.call.iter().map(|table| &table.get_ref().name));
    names.extend(
        file.domain
            .iter()
            .filter_map(|table| table.get_ref().name.as_ref()),
    );
    names.extend(
        file.stun
            .iter()
            .filter_map(|table| table.get_ref().name.as_ref()),
    );
    names.extend(
        file.http
            .iter()
            .filter_map(|table| table.get_ref().name.as_ref()),
    );
    names.extend(
        file.tls
            .iter()
            .filter_map(|table| table.get_ref().name.as_ref()),
    );
    names.extend(
        file.sip
            .iter()
            .filter_map(|table| table.get_ref().name.as_ref()),
    );
    names.extend(
        file.address
            .iter()
            .filter_map(|table| table.get_ref().name.as_ref()),
    );
    names.extend(
        file.port
            .iter()
            .filter_map(|table| table.get_ref().name.as_ref()),
    );
    names
}

fn has_rule(file: &SignatureFile, name: &str) -> bool {
    let proto = |table: &Spanned<super::file::ProtoTable>| table.get_ref().name.get_ref() == name;
    all_names(file).iter().any(|one| one.get_ref() == name) || file.proto.iter().any(proto)
}

fn run_capture(
    test: &TestTable,
    set: &Arc<SignatureSet>,
    path: &Path,
    runner: &mut dyn Runner,
) -> Option<String> {
    let expect = test.expect.clone().unwrap_or_default();
    let observed = match runner.capture(set, path) {
        Ok(observed) => observed,
        Err(error) => return Some(format!("{}: {error}", path.display())),
    };
    let text = |expected: &Option<String>, found: &Option<String>| match expected.as_deref() {
        None => true,
        Some("none") => found.is_none(),
        expected => expected == found.as_deref(),
    };
    let as_expected = observed.iter().any(|flow| {
        text(&expect.app, &flow.app)
            && text(&expect.proto, &flow.proto)
            && (expect.service.is_none() || expect.service == flow.service)
    });
    if as_expected == test.matches {
        return None;
    }
    let mut seen: Vec<String> = observed.iter().map(shown).collect();
    seen.sort();
    seen.dedup();
    let wanted = shown(&Observed {
        app: expect.app,
        service: expect.service,
        proto: expect.proto,
    });
    let not = if test.matches { "no" } else { "a" };
    Some(format!(
        "{not} flow is {wanted}; there are: {}",
        seen.join(", ")
    ))
}

fn shown(flow: &Observed) -> String {
    let part = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let service = flow.service.map(Service::slug);
    [
        part(flow.app.as_deref()),
        part(service),
        part(flow.proto.as_deref()),
    ]
    .join("/")
}

fn run_messages(
    test: &TestTable,
    rule: &str,
    parsed: &Parsed<'_>,
    set: &Arc<SignatureSet>,
    runner: &mut dyn Runner,
) -> Option<String> {
    let rules = rules_named(set, parsed.source.stem(), rule);
    let fate = runner.converse(set, &conversation(test, rule, &parsed.file), &rules);
    match (fate, test.matches) {
        (Fate::Named, true) | (Fate::Missed, false) => None,
        (Fate::Missed, true) => Some("does not match, but must".to_owned()),
        (Fate::Outranked(flow), true) => {
            Some(format!("matches, but the flow is called {}", shown(&flow)))
        }
        (_, false) => Some("matches, but must not".to_owned()),
    }
}

/// What the test says, with the sides taking turns.
fn conversation(test: &TestTable, rule: &str, file: &SignatureFile) -> Conversation {
    let (transport, port) = where_to(test, rule, file);
    let client_port = if matches!(transport, Transport::Other(_)) {
        0
    } else {
        50_000
    };
    let server_ip = match &test.server_ip {
        Some(address) => *address.get_ref(),
        None => IpAddr::from([203, 0, 113, 9]),
    };
    let client_ip = match server_ip {
        IpAddr::V4(_) => IpAddr::from([10, 0, 0, 1]),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
    };
    let mut messages = Vec::new();
    for turn in 0..test.client.len().max(test.server.len()) {
        for (side, texts) in [(Side::Client, &test.client), (Side::Server, &test.server)] {
            let text = texts.get(turn).map(Spanned::get_ref);
            let message = text.and_then(|text| parse_message(text).ok());
            messages.extend(message.map(|message| (side, message)));
        }
    }
    Conversation {
        transport,
        client: SocketAddr::new(client_ip, client_port),
        server: SocketAddr::new(server_ip, port),
        messages,
        is_joined: test.middle.unwrap_or_else(|| is_about_middle(rule, file)),
    }
}

/// Whether the rule is one about flows whose beginning was not captured.
fn is_about_middle(rule: &str, file: &SignatureFile) -> bool {
    file.payload.iter().any(|table| {
        let table = table.get_ref();
        table.name.get_ref() == rule && table.message == Some(MessageName::Middle)
    })
}

/// The rules of the file called `stem` that go by `name`: one, or all of one table.
fn rules_named(set: &SignatureSet, stem: &str, name: &str) -> Vec<RuleId> {
    let rules = set.rules.iter().map(|rule| rule.tag.rule);
    let of_file = rules.filter(|&rule| {
        set.rule_name(rule)
            .split_once('/')
            .is_some_and(|(file, _)| file == stem)
    });
    of_file
        .filter(|&rule| set.rules.short_name(rule) == name)
        .collect()
}

/// What carries the test's messages, and to which port: as the test says, else as its rule does.
fn where_to(test: &TestTable, rule: &str, file: &SignatureFile) -> (Transport, u16) {
    let payload = file
        .payload
        .iter()
        .map(|table| table.get_ref())
        .find(|table| table.name.get_ref() == rule);
    let flow = file
        .flow
        .iter()
        .map(|table| table.get_ref())
        .find(|table| table.name.get_ref() == rule);
    let (transports, protocol, ports): (_, _, &[Ports]) = match (payload, flow) {
        (Some(rule), _) => (rule.transport.as_ref(), rule.ip_protocol, &rule.port),
        (_, Some(rule)) => (rule.transport.as_ref(), rule.ip_protocol, &rule.port),
        _ => (None, None, &[]),
    };
    let first = transports.and_then(|names| names.0.first().copied());
    let default = if protocol.is_some() {
        TransportName::Ip
    } else {
        TransportName::Tcp
    };
    let transport = match test.transport.or(first).unwrap_or(default) {
        TransportName::Tcp => Transport::Tcp,
        TransportName::Udp => Transport::Udp,
        TransportName::Sctp => Transport::Other(132),
        // 253 is for experiments (RFC 3692).
        TransportName::Ip => Transport::Other(protocol.unwrap_or(253)),
    };
    let fallback = match transport {
        Transport::Tcp => 443,
        Transport::Udp => 9999,
        Transport::Other(_) => 0,
    };
    let port = test
        .port
        .or_else(|| ports.first().map(|ports| ports.first))
        .unwrap_or(fallback);
    (transport, port)
}

/// Reads a message: hex in which `00*20` is a byte repeated, or `t:` and text with the escapes
/// `\r \n \t \0 \\ \xNN`.
pub(super) fn parse_message(text: &str) -> Result<Vec<u8>, String> {
    let mut message = Vec::new();
    match text.strip_prefix("t:") {
        Some(text) => parse_text(text, &mut message)?,
        None => {
            for word in text.split_ascii_whitespace() {
                parse_word(word, &mut message)?;
                if message.len() > MAX_MESSAGE {
                    break;
                }
            }
        }
    }
    match message.len() {
        0 => Err("expected bytes in hex, or `t:` and a text".to_owned()),
        1..=MAX_MESSAGE => Ok(message),
        _ => Err(format!("expected at most {MAX_MESSAGE} bytes")),
    }
}

fn parse_word(word: &str, message: &mut Vec<u8>) -> Result<(), String> {
    let fault =
        || format!("`{word}`: expected pairs of hex digits, the last one repeated by `*20`");
    let (hex, times) = match word.split_once('*') {
        Some((hex, times)) => (hex, times.parse::<usize>().map_err(|_| fault())?),
        None => (word, 1),
    };
    let digits = hex.as_bytes();
    if digits.is_empty()
        || !digits.len().is_multiple_of(2)
        || !hex.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Err(fault());
    }
    let mut bytes = digits
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    let last = bytes.next_back();
    message.extend(bytes);
    message.extend(
        last.into_iter()
            .flat_map(|byte| std::iter::repeat_n(byte, times.min(MAX_MESSAGE + 1))),
    );
    Ok(())
}

fn parse_text(text: &str, message: &mut Vec<u8>) -> Result<(), String> {
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            message.push(*byte);
            continue;
        }
        let fault = "expected `\\r`, `\\n`, `\\t`, `\\0`, `\\\\` or `\\xNN`";
        let [escape, after @ ..] = rest else {
            return Err(fault.to_owned());
        };
        rest = after;
        message.push(match escape {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let (pair, after) = rest.split_at_checked(2).ok_or(fault)?;
                rest = after;
                let pair = std::str::from_utf8(pair).map_err(|_| fault)?;
                u8::from_str_radix(pair, 16).map_err(|_| fault)?
            }
            _ => return Err(fault.to_owned()),
        });
    }
    Ok(())
}
