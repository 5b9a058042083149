//! Why a flow has its name, in lines for people: what `explain` prints and the view shows.

use std::net::IpAddr;

use super::text::harmless;
use crate::app::Service;
use crate::classify::explain::{Event, Step};
use crate::dissect::{DISSECTORS, Inside, Outcome};
use crate::flow::Side;
use crate::record::{FlowRecord, decider_name, transport_name};
use crate::signature::SignatureSet;
use crate::verdict::{Evidence, Tag};

/// The line that says which flow it is.
pub(crate) fn headline(record: &FlowRecord) -> String {
    format!(
        "flow {} {} {} -> {}",
        record.flow_id,
        transport_name(record.protocol),
        endpoint(record.client_ip, record.client_port),
        endpoint(record.server_ip, record.server_port),
    )
}

/// Address and port as people write them; only the address where there are no ports.
pub(crate) fn endpoint(ip: IpAddr, port: u16) -> String {
    match (ip, port) {
        (ip, 0) => ip.to_string(),
        (IpAddr::V6(ip), port) => format!("[{ip}]:{port}"),
        (ip, port) => format!("{ip}:{port}"),
    }
}

/// What led to the name and what it is, a line each. Texts from traffic are harmless.
pub(crate) fn lines(record: &FlowRecord, set: &SignatureSet) -> Vec<String> {
    let counters = &record.counters;
    let mut lines = vec![format!(
        "volume     {} packets, {} bytes to server; {} packets, {} bytes to client; ended: {}",
        counters.client.packets,
        counters.client.bytes,
        counters.server.packets,
        counters.server.bytes,
        record.reason.slug(),
    )];
    if let Some(facts) = &record.facts {
        let seen = facts.described().into_iter();
        lines.extend(seen.map(|(name, value)| format!("seen       {name}: {}", harmless(&value))));
    }
    let steps = record.steps.as_deref().map(|trace| trace.steps.as_slice());
    lines.extend(
        steps
            .unwrap_or_default()
            .iter()
            .map(|step| describe(step, set)),
    );
    lines.push(format!("verdict    {}", verdict(record, set)));
    if let Some(decider) = record.named.decider {
        let evidence = record.named.evidence.map_or("-", Evidence::slug);
        let when = match record.named.remembered {
            true => "before this flow, which goes on between the same sockets".to_owned(),
            false => format!("at packet {}", record.settled_at_packet),
        };
        lines.push(format!(
            "decided    by {} ({evidence}) {when}",
            decider_name(decider, set),
        ));
    }
    if let Some(tag) = runner_up(record, set) {
        let app = tag.app.map_or("-", |app| set.catalog().app_name(app));
        lines.push(format!(
            "runner-up  {app} by {} ({})",
            set.rule_name(tag.rule),
            tag.evidence
        ));
    }
    lines
}

fn verdict(record: &FlowRecord, set: &SignatureSet) -> String {
    let (named, catalog) = (&record.named, set.catalog());
    let proto = named
        .proto
        .map_or("-", |proto| catalog.protocol_name(proto));
    let proto = match named.inner {
        Some(inner) => format!("{proto} with {} inside", catalog.protocol_name(inner)),
        None => proto.to_owned(),
    };
    match (named.app, named.unknown) {
        (Some(app), _) => {
            let service = named.service.map_or("-", Service::slug);
            format!("{} / {service} over {proto}", catalog.app_name(app))
        }
        (None, Some(reason)) => format!("unknown: {}", reason.slug()),
        (None, None) => format!("protocol {proto}, no application"),
    }
}

fn describe(step: &Step, set: &SignatureSet) -> String {
    let message = match step.message {
        Some((Side::Client, length)) => format!("client, {length} bytes"),
        Some((Side::Server, length)) => format!("server, {length} bytes"),
        None => "from other flows".to_owned(),
    };
    let what = match step.event {
        Event::Dissected(place, outcome) => {
            let name = DISSECTORS
                .get(usize::from(place))
                .map_or("", |row| row.name);
            match outcome {
                Outcome::Done => format!("dissector {name}: recognised, done"),
                Outcome::Wraps(inside) if inside != Inside::default() => {
                    format!("dissector {name}: recognised, looks inside")
                }
                _ => format!("dissector {name}: recognised, reads on"),
            }
        }
        Event::Matched(tag) | Event::Inferred(tag) => {
            let app = tag.app.map_or("-", |app| set.catalog().app_name(app));
            let proto = tag
                .proto
                .map_or("-", |proto| set.catalog().protocol_name(proto));
            format!(
                "{} ({}): {app} over {proto}",
                set.rule_name(tag.rule),
                tag.evidence
            )
        }
    };
    format!("packet {:<4} {message}: {what}", step.packet)
}

/// The strongest rule that spoke for another application than the one that won.
fn runner_up(record: &FlowRecord, set: &SignatureSet) -> Option<Tag> {
    let tags = record
        .steps
        .as_ref()?
        .steps
        .iter()
        .filter_map(|step| match step.event {
            Event::Matched(tag) | Event::Inferred(tag) => Some(tag),
            Event::Dissected(..) => None,
        });
    tags.filter(|tag| tag.app.is_some() && tag.app != record.named.app)
        .min_by_key(|tag| (tag.evidence, std::cmp::Reverse(set.rule_weight(tag.rule))))
}
