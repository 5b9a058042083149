//! Mirrors that show traffic twice, by half, or cut.

use pnet::packet::ethernet::EtherTypes;
use pnet::packet::ipv4::{self, MutableIpv4Packet};

use crate::Capture;
use crate::dns;
use crate::net::{Trace, ethernet_frame, vlan};
use crate::secure::{client_hello, server_hello, tls_data};

pub const CAPTURES: &[Capture] = &[
    (
        "mirror-twice",
        "A mirror of both ports of a router: each packet twice, the second with a VLAN tag and a TTL one less",
        twice,
    ),
    (
        "mirror-there",
        "A mirror that shows what clients send, and nothing else",
        there,
    ),
    (
        "mirror-back",
        "The other half: what servers send to them",
        back,
    ),
    ("mirror-cut", "Frames cut at 96 octets", cut),
    (
        "mirror-answers",
        "Answers of DNS, the questions of a few only",
        answers,
    ),
];

/// Flows of a capture: as many as it takes to say something of the mirror.
const FLOWS: u16 = 24;

fn twice(trace: &mut Trace) {
    trace.see_again(|packet| {
        let mut routed = packet.to_vec();
        if let Some(mut ip) = MutableIpv4Packet::new(&mut routed) {
            ip.set_ttl(ip.get_ttl() - 1);
            ip.set_checksum(ipv4::checksum(&ip.to_immutable()));
        }
        ethernet_frame(EtherTypes::Vlan, &vlan(7, EtherTypes::Ipv4, &routed))
    });
    pages(trace, Some("youtube"));
}

fn there(trace: &mut Trace) {
    trace.show_only(is_from_client);
    pages(trace, Some("youtube"));
}

fn back(trace: &mut Trace) {
    trace.show_only(|packet| !is_from_client(packet));
    pages(trace, None);
}

fn cut(trace: &mut Trace) {
    trace.cut(96);
    for number in 0..FLOWS {
        let hello = client_hello(trace, Some("www.youtube.com"), &["h2"]);
        let (reply, data) = (server_hello(trace), tls_data(trace, 200));
        trace
            .tcp(&client(number), "192.0.2.81:443")
            .open()
            .client(hello)
            .server(reply)
            .client(data)
            .close()
            .is("tls", "-", "-");
    }
}

fn answers(trace: &mut Trace) {
    for number in 0..120_u16 {
        let name = format!("host{number}.example");
        let answer = dns::answer(number, &name, &["192.0.2.82"], 300);
        let mut udp = trace.udp(&client(number), "192.0.2.53:53");
        if number % 20 == 0 {
            udp = udp.client(dns::query(number, &name, 1));
        }
        udp.server(answer).is("dns", "-", "-");
    }
}

/// Pages over HTTP; `app` is whose the client's requests show them to be.
fn pages(trace: &mut Trace, app: Option<&str>) {
    for number in 0..FLOWS {
        trace
            .tcp(&client(number), "192.0.2.80:80")
            .open()
            .client("GET / HTTP/1.1\r\nHost: www.youtube.com\r\n\r\n")
            .server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .close()
            .is("http", app.unwrap_or("-"), "-");
    }
}

fn client(number: u16) -> String {
    format!("10.61.0.5:{}", 46_000 + number)
}

fn is_from_client(packet: &[u8]) -> bool {
    packet.get(12) == Some(&10)
}
