//! `ottometer interfaces`: what can be captured.
//!
//! Names, flags and addresses come from `pnet_datalink`; what it does not know (MTU, speed, the kind of
//! link) from `/sys/class/net`, where there is one.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use pnet_datalink::NetworkInterface;
use serde::Serialize;

use super::screen;
use crate::view::table::{Column, draw};

const OTHERS: &str = "\
`live -i` takes frames from sockets, too: vxlan://ADDRESS:PORT and geneve://ADDRESS:PORT that a mirror
sends to, pcap://HOST:PORT and pcap-listen://ADDRESS:PORT for a capture over TCP.";

#[derive(Debug, Args)]
#[command(after_help = OTHERS)]
pub(super) struct Arguments {
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON array.
    Json,
}

/// Whether frames can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Up,
    NoCarrier,
    Down,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed_mbit: Option<u32>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut rows: Vec<Row> = pnet_datalink::interfaces()
        .iter()
        .map(|interface| row(interface, Path::new("/sys/class/net")))
        .collect();
    rows.push(Row {
        name: "any".to_owned(),
        state: State::Up,
        link: Some("all of them, cooked".to_owned()),
        mac: None,
        addresses: Vec::new(),
        mtu: None,
        speed_mbit: None,
    });
    let mut out = io::stdout().lock();
    match arguments.format {
        Format::Table => writeln!(out, "{}", table(&rows, screen::width(&io::stdout())))?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &rows)?;
            writeln!(out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(interface: &NetworkInterface, system: &Path) -> Row {
    let about = |what: &str| {
        let text = fs::read_to_string(system.join(&interface.name).join(what)).ok()?;
        text.trim().parse::<u32>().ok()
    };
    Row {
        name: interface.name.clone(),
        state: match (interface.is_up(), interface.is_running()) {
            (false, _) => State::Down,
            (true, false) => State::NoCarrier,
            (true, true) => State::Up,
        },
        link: about("type").map(link_name),
        mac: interface
            .mac
            .filter(|mac| *mac != pnet_datalink::MacAddr::zero())
            .map(|mac| mac.to_string()),
        addresses: interface.ips.iter().map(ToString::to_string).collect(),
        mtu: about("mtu"),
        // Not a number, or -1, where the driver cannot tell.
        speed_mbit: about("speed"),
    }
}

/// The kind of link by its ARP hardware type, as `linux/if_arp.h` numbers them.
fn link_name(hardware: u32) -> String {
    match hardware {
        1 => "ethernet",
        32 => "infiniband",
        280 => "can",
        512 => "ppp",
        768 => "ip-in-ip",
        769 => "ip6-in-ip6",
        772 => "loopback",
        776 => "6in4",
        778 => "gre",
        801 => "802.11",
        802 => "802.11 prism",
        803 => "802.11 radiotap",
        823 => "gre over ip6",
        65534 => "raw ip",
        other => return format!("type {other}"),
    }
    .to_owned()
}

const COLUMNS: [Column; 7] = [
    Column::text("interface"),
    Column::text("state"),
    Column::text("link").dropped(1),
    Column::text("mac").dropped(2),
    Column::number("mtu").dropped(1),
    Column::number("speed").dropped(0),
    Column::text("addresses").shortened(15),
];

fn table(rows: &[Row], width: Option<usize>) -> String {
    let cells = |row: &Row| {
        vec![
            row.name.clone(),
            match row.state {
                State::Up => "up",
                State::NoCarrier => "no carrier",
                State::Down => "down",
            }
            .to_owned(),
            row.link.clone().unwrap_or_default(),
            row.mac.clone().unwrap_or_default(),
            row.mtu.map(|mtu| mtu.to_string()).unwrap_or_default(),
            row.speed_mbit.map(speed).unwrap_or_default(),
            // One a line: an interface can have many.
            row.addresses.join("\n"),
        ]
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    draw(&COLUMNS, &cells, width)
}

/// `10 Gbit/s`, `2500 Mbit/s`.
fn speed(mbit: u32) -> String {
    if mbit >= 1000 && mbit.is_multiple_of(1000) {
        format!("{} Gbit/s", mbit / 1000)
    } else {
        format!("{mbit} Mbit/s")
    }
}

#[cfg(test)]
mod tests {
    use pnet_datalink::MacAddr;

    use super::*;

    const UP: u32 = 0x1;
    const RUNNING: u32 = 0x40;

    fn interface(flags: u32, mac: MacAddr) -> NetworkInterface {
        NetworkInterface {
            name: "eth9".to_owned(),
            description: String::new(),
            index: 9,
            mac: Some(mac),
            ips: vec![
                "192.0.2.7/24".parse().unwrap(),
                "fe80::7/64".parse().unwrap(),
            ],
            flags,
        }
    }

    #[test]
    fn tells_up_from_no_carrier_from_down() {
        let none = Path::new("/nonexistent");
        for (flags, state, word) in [
            (UP | RUNNING, State::Up, "up"),
            (UP, State::NoCarrier, "no carrier"),
            (0, State::Down, "down"),
            (RUNNING, State::Down, "down"),
        ] {
            let row = row(&interface(flags, MacAddr::zero()), none);
            assert_eq!((row.state, &row.mac, row.mtu), (state, &None, None));
            assert!(table(&[row], None).contains(word), "{word}");
        }
    }

    #[test]
    fn takes_the_rest_from_sys() {
        let system = tempfile::tempdir().unwrap();
        let folder = system.path().join("eth9");
        fs::create_dir(&folder).unwrap();
        let interface = interface(UP | RUNNING, MacAddr::new(2, 0, 0, 0, 0, 9));
        for (kind, link, speed, mbit) in [
            ("1", "ethernet", "25000", Some(25_000)),
            ("65534", "raw ip", "-1", None),
            ("4242", "type 4242", "", None),
        ] {
            for (file, text) in [("type", kind), ("speed", speed), ("mtu", "1500")] {
                fs::write(folder.join(file), format!("{text}\n")).unwrap();
            }
            let row = row(&interface, system.path());
            assert_eq!(row.link.as_deref(), Some(link));
            assert_eq!((row.speed_mbit, row.mtu), (mbit, Some(1500)));
            assert_eq!(row.addresses, ["192.0.2.7/24", "fe80::7/64"]);
            assert_eq!(row.mac.as_deref(), Some("02:00:00:00:00:09"));
        }
    }

    #[test]
    fn says_speeds_as_people_do() {
        for (mbit, text) in [
            (100, "100 Mbit/s"),
            (2500, "2500 Mbit/s"),
            (10_000, "10 Gbit/s"),
        ] {
            assert_eq!(speed(mbit), text);
        }
    }
}
