//! FTP's control connection (RFC 959, RFC 2228, RFC 7151), and TLS begun inside (RFC 4217).

use super::dialogue::{self, Dialogue};
use super::{Facts, Outcome, starttls};
use crate::app::Proto;
use crate::flow::Opening;

/// Commands with which a client may begin; SMTP has none of them but `AUTH` and `HELP`.
const FIRST: &[&str] = &[
    "USER", "FEAT", "AUTH", "SYST", "OPTS", "HOST", "CLNT", "HELP", "NOOP", "LANG", "PBSZ", "QUIT",
];
/// Commands of a session, seen where the capture began late.
const LATER: &[&str] = &[
    "PASV", "EPSV", "PORT", "EPRT", "RETR", "STOR", "LIST", "NLST", "MLSD", "MLST", "TYPE", "CWD",
    "CDUP", "PWD", "SIZE", "MDTM", "PASS", "REST", "DELE", "MKD", "RMD", "RNFR", "RNTO", "APPE",
    "PROT", "PBSZ", "FEAT", "SYST",
];

pub(super) fn dissect(opening: &Opening<'_>, facts: &mut Facts) -> Outcome {
    let dialogue = Dialogue::new(opening, dialogue::may_be_reply);
    let (client, server) = (dialogue.client, dialogue.server);
    let mid_stream = client.mid_stream || server.mid_stream;
    match judge(client.bytes, server.bytes, mid_stream) {
        Outcome::Partial => {}
        other => return other,
    }
    facts.proto = Some(Proto::FTP);
    facts.swapped = dialogue.swapped;
    let banner = facts.banner.get_or_insert_default();
    if let Some((line, _)) = dialogue::split_line(server.bytes)
        && line.starts_with(b"220")
    {
        banner.server = dialogue::text(line.get(4..).unwrap_or_default());
    }
    for line in dialogue::lines(client.bytes) {
        let verb = dialogue::word(line);
        if dialogue::is_one_of(verb, &["HOST"]) {
            facts.server_name = dialogue::host(dialogue::after_word(line));
        } else if dialogue::is_one_of(verb, &["CLNT"]) {
            banner.software = dialogue::text(dialogue::after_word(line));
        }
    }
    let logged_in = dialogue::lines(client.bytes)
        .any(|line| dialogue::is_one_of(dialogue::word(line), &["PASS", "PASV", "EPSV", "PORT"]));
    starttls::outcome(
        client,
        server,
        |line| dialogue::is_one_of(line, &["AUTH TLS", "AUTH SSL", "AUTH TLS-C"]),
        logged_in || server.ended,
    )
}

/// Whether this is FTP: [`Outcome::Partial`] if so.
fn judge(client: &[u8], server: &[u8], mid_stream: bool) -> Outcome {
    if !dialogue::may_be_reply(server) {
        return Outcome::NotMine;
    }
    let Some(code) = dialogue::reply_code(server) else {
        let plausible =
            dialogue::may_begin(client, FIRST) || mid_stream && dialogue::may_begin(client, LATER);
        return match plausible {
            true => Outcome::NeedMore,
            false => Outcome::NotMine,
        };
    };
    let banner = dialogue::split_line(server).map(|(line, _)| line);
    let line = dialogue::split_line(client).map(|(line, _)| line);
    match code {
        220 | 120 | 421 => {
            let named = banner.is_some_and(|banner| {
                dialogue::mentions(banner, "ftp") && !dialogue::mentions(banner, "smtp")
            });
            if named && code == 220 {
                return Outcome::Partial;
            }
            let Some(line) = line else {
                return match dialogue::may_begin(client, FIRST) {
                    true => Outcome::NeedMore,
                    false => Outcome::NotMine,
                };
            };
            let verb = dialogue::word(line);
            if dialogue::is_one_of(verb, &["AUTH"]) {
                // SMTP has `AUTH` as well, with other mechanisms.
                let mechanism = dialogue::after_word(line);
                let own = [
                    "TLS",
                    "SSL",
                    "TLS-C",
                    "TLS-P",
                    "GSSAPI",
                    "KERBEROS_V4",
                    "KERBEROS_V5",
                ];
                return match dialogue::is_one_of(mechanism, &own) {
                    true => Outcome::Partial,
                    false => Outcome::NotMine,
                };
            }
            let shared = dialogue::is_one_of(verb, &["HELP", "NOOP", "QUIT"]);
            match dialogue::is_one_of(verb, FIRST) {
                true if !shared => Outcome::Partial,
                true if dialogue::lines(client).count() == 1 => Outcome::NeedMore,
                _ => Outcome::NotMine,
            }
        }
        // A capture that began late: passive mode says its address, other replies need their
        // command.
        227 | 229 if mid_stream => match banner {
            Some(line) if dialogue::mentions(line, "passive mode") => Outcome::Partial,
            Some(_) => Outcome::NotMine,
            None => Outcome::NeedMore,
        },
        125 | 150 | 200 | 211 | 212 | 213 | 215 | 226 | 230 | 250 | 257 | 331 | 332 | 350 | 530
        | 550
            if mid_stream =>
        {
            match line {
                Some(line) if dialogue::is_one_of(dialogue::word(line), LATER) => Outcome::Partial,
                Some(_) => Outcome::NotMine,
                None if dialogue::may_begin(client, LATER) => Outcome::NeedMore,
                None => Outcome::NotMine,
            }
        }
        _ => Outcome::NotMine,
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Trial, withstands};
    use super::*;

    fn typical() -> Trial {
        Trial::tcp(21)
            .server("220 (vsFTPd 3.0.5)\r\n")
            .client("HOST ftp.Example.com\r\n")
            .server("220 ok\r\n")
            .client("USER anonymous\r\n")
            .server("331 password\r\n")
            .client("PASS x\r\n")
    }

    #[test]
    fn greeting_and_commands_are_read() {
        let trial = typical();
        trial.same_by_octets(dissect);
        for (trial, swapped) in [(trial.clone(), false), (trial.turned(), true)] {
            assert_eq!(trial.ask(dissect).0, Outcome::Done);
            let facts = trial.facts(dissect);
            assert_eq!(facts.proto, Some(Proto::FTP));
            assert_eq!(
                facts.banner.as_ref().unwrap().server.as_deref(),
                Some("(vsFTPd 3.0.5)")
            );
            assert_eq!(facts.server_name.as_deref(), Some("ftp.example.com"));
            assert_eq!(facts.swapped, swapped);
        }
    }

    #[test]
    fn one_sign_of_its_own_is_enough() {
        for trial in [
            Trial::tcp(21).server("220 ProFTPD ready\r\n"),
            Trial::tcp(2121)
                .server("220-hello\r\n220 you\r\n")
                .client("AUTH TLS\r\n"),
            Trial::tcp(21).server("220 hi\r\n").client("USER a\r\n"),
            Trial::tcp(21)
                .mid_stream()
                .server("227 Entering Passive Mode (1,2,3,4,5,6)\r\n"),
            Trial::tcp(21)
                .mid_stream()
                .client("RETR a.bin\r\n")
                .server("150 ok\r\n"),
        ] {
            assert_eq!(trial.facts(dissect).proto, Some(Proto::FTP), "{trial:?}");
        }
    }

    #[test]
    fn other_dialogues_are_not() {
        for (what, trial) in [
            (
                "SMTP",
                Trial::tcp(25).server("220 x\r\n").client("EHLO x\r\n"),
            ),
            (
                "SMTP AUTH",
                Trial::tcp(25)
                    .server("220 x\r\n")
                    .client("AUTH PLAIN AGEA\r\n"),
            ),
            (
                "SMTP QUIT",
                Trial::tcp(25)
                    .server("220 x\r\n")
                    .client("QUIT\r\nDATA\r\n"),
            ),
            (
                "passive mode first of all",
                Trial::tcp(21).server("227 Entering Passive Mode (\r\n"),
            ),
            (
                "IRC",
                Trial::tcp(6667)
                    .client("USER a b c :d\r\n")
                    .server(":x 001 a\r\n"),
            ),
        ] {
            assert_eq!(trial.ask(dissect).0, Outcome::NotMine, "{what}");
        }
        Trial::tcp(25)
            .server("220 ESMTP at ftp.example.org\r\n")
            .refused(dissect);
    }

    #[test]
    fn withstands_mutations() {
        let late = Trial::tcp(21)
            .mid_stream()
            .client("RETR a.bin\r\n")
            .server("150 ok\r\n");
        withstands(dissect, &[typical(), late]);
    }
}
