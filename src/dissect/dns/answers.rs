//! What a DNS response teaches: which addresses the name asked for has, and for how long.
//!
//! Stateless and total, for the name cache that ties later flows to the name a client asked for.
//! CNAMEs (RFC 1034 section 3.6.2) and aliases of HTTPS and SVCB records (RFC 9460 section 2.4.2) are
//! followed from the question; address hints (section 7.3) and what comes along of the addresses of a
//! record's target (section 4.1) count as answers. Whose address a client asks for next says [`targets`].

use std::net::IpAddr;

use super::message::{
    HEADER_LEN, Header, NameText, Question, Record, rr_type, same_name, skip_name,
};
use crate::wire::reader::Reader;

/// One address of the name a response was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameAnswer<'a> {
    /// The name in the question: lower case, without trailing dot, at most 255 bytes.
    pub name: &'a str,
    /// An address it has.
    pub address: IpAddr,
    /// Seconds this holds: the least TTL of the address record and of each CNAME before it.
    pub ttl: u32,
}

/// The most addresses one response gives.
const MAX_ANSWERS: usize = 64;

/// The most records of one response that are read.
const MAX_RECORDS: usize = 96;

/// The longest chain of CNAMEs followed; resolvers stop earlier.
const MAX_CHAIN: usize = 16;

/// Labels compared in one message. Servers point owners at the name they repeat, which costs none.
const MAX_COMPARED: u32 = 1024;

/// Targets of one response that are followed.
const MAX_TARGETS: usize = 4;

const RESPONSE_NOERROR: u8 = 0;
const CLASS_IN: u16 = 1;
const KEY_IPV4HINT: u16 = 4;
const KEY_IPV6HINT: u16 = 6;

/// Calls `each` for every address in a DNS response that belongs to the name it was asked for.
///
/// `message` is a UDP payload. Anything that is not a response with answers gives nothing; a
/// malformed response gives what stands before the fault.
pub fn answers(message: &[u8], each: &mut dyn FnMut(&NameAnswer<'_>)) {
    // Too short, or a query: most messages leave here.
    if message.get(2).is_some_and(|flags| flags & 0x80 != 0) {
        let _ = read(message, each);
    }
}

/// As [`answers`], over DNS messages in TCP, each behind its length (RFC 1035 section 4.2.2).
///
/// A message the run cuts off gives the answers that are in it.
pub fn answers_in_stream(bytes: &[u8], each: &mut dyn FnMut(&NameAnswer<'_>)) {
    let mut reader = Reader::new(bytes);
    let mut left = MAX_ANSWERS;
    while let Some(len) = reader.be16() {
        let rest = reader.rest();
        let message = reader.take(usize::from(len)).unwrap_or(rest);
        answers(message, &mut |answer| {
            if left > 0 {
                left -= 1;
                each(answer);
            }
        });
        if left == 0 || message.len() < usize::from(len) {
            break;
        }
    }
}

/// Another name under which what was asked for is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The name in the question, as in [`NameAnswer`].
    pub name: &'a str,
    /// The name whose addresses a client asks for in its place, in the same form.
    pub target: &'a str,
    /// Seconds this holds.
    pub ttl: u32,
}

/// Calls `each` for every target that the HTTPS and SVCB records in a DNS response give to the name it
/// was asked for.
pub fn targets(message: &[u8], each: &mut dyn FnMut(&Target<'_>)) {
    let is_response = message.get(2).is_some_and(|flags| flags & 0x80 != 0);
    if is_response && asks_for_service(message) {
        let _ = read_targets(message, each);
    }
}

/// Whether the question is for HTTPS or SVCB records.
fn asks_for_service(message: &[u8]) -> bool {
    let rr_type = skip_name(message, HEADER_LEN).and_then(|end| message.get(end..end + 2));
    let Some(&[high, low]) = rr_type else {
        return false;
    };
    matches!(
        u16::from_be_bytes([high, low]),
        rr_type::HTTPS | rr_type::SVCB
    )
}

fn read_targets(message: &[u8], each: &mut dyn FnMut(&Target<'_>)) -> Option<()> {
    let mut name = NameText::new();
    let answer = Answer::read(message, &mut name)?;
    let mut text = NameText::new();
    for (target, ttl) in answer.given.into_iter().flatten() {
        text.read(message, target)?;
        if !text.as_str().is_empty() && text.as_str() != name.as_str() {
            each(&Target {
                name: name.as_str(),
                target: text.as_str(),
                ttl: ttl.min(answer.ttl),
            });
        }
    }
    Some(())
}

/// Which question a DNS message asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction<'a> {
    /// The number that the answer repeats.
    pub id: u16,
    /// It is an answer.
    pub is_response: bool,
    /// The name asked for: lower case, without trailing dot, at most 255 bytes.
    pub name: &'a str,
}

/// What `read` makes of the transaction of `message`: a UDP payload, or what follows the length in
/// TCP, as far as it has come. `None`: it is not a standard query for one name of the Internet, nor an
/// answer to one.
pub fn transaction<T>(message: &[u8], read: impl FnOnce(&Transaction<'_>) -> T) -> Option<T> {
    let header = Header::read(message)?;
    if header.opcode() != 0 || header.questions != 1 || header.has_reserved_bit() {
        return None;
    }
    let mut name = NameText::new();
    let end = name.read(message, HEADER_LEN)?;
    let question = Question::read(message, end)?;
    if question.class != CLASS_IN || name.as_str().is_empty() {
        return None;
    }
    let &id = message.first_chunk()?;
    Some(read(&Transaction {
        id: u16::from_be_bytes(id),
        is_response: header.is_response(),
        name: name.as_str(),
    }))
}

/// What the records of a response are read by.
struct Answer<'a> {
    records: Records<'a>,
    /// The place of the name at the end of all aliases.
    owner: usize,
    /// The least TTL on the way there.
    ttl: u32,
    /// Places of names that stand for it, and for how long.
    given: [Option<(usize, u32)>; MAX_TARGETS],
    budget: u32,
}

impl<'a> Answer<'a> {
    /// Reads the question of `message`, its name into `name`, and what leads to the records asked for.
    fn read(message: &'a [u8], name: &mut NameText) -> Option<Self> {
        let header = Header::read(message)?;
        let plain =
            header.is_response() && header.opcode() == 0 && header.rcode() == RESPONSE_NOERROR;
        if !plain || header.questions != 1 || header.answers == 0 {
            return None;
        }
        let end = name.read(message, HEADER_LEN)?;
        let question = Question::read(message, end)?;
        if question.class != CLASS_IN || name.as_str().is_empty() {
            return None;
        }
        let is_service = matches!(question.rr_type, rr_type::HTTPS | rr_type::SVCB);
        // Addresses of targets come along behind the answers.
        let count = match is_service {
            true => usize::try_from(header.records()).unwrap_or(usize::MAX),
            false => usize::from(header.answers),
        };
        let records = Records {
            message,
            at: question.end,
            left: count.min(MAX_RECORDS),
        };
        let mut budget = MAX_COMPARED;
        let (owner, ttl) = follow(message, records, &mut budget);
        let mut given = [None; MAX_TARGETS];
        if is_service {
            // The last alias is a target as well: the client asks for its addresses.
            let alias = (owner != HEADER_LEN).then_some((owner, ttl));
            let services = records.filter(is_service_record);
            let services = services.filter(|record| {
                priority(message, record).is_some_and(|priority| priority > 0)
                    && message.get(record.data + 2) != Some(&0)
                    && same_name(message, record.owner, owner, &mut budget)
            });
            let targets = services.map(|record| (record.data + 2, record.ttl));
            for (slot, target) in given.iter_mut().zip(alias.into_iter().chain(targets)) {
                *slot = Some(target);
            }
        }
        Some(Self {
            records,
            owner,
            ttl,
            given,
            budget,
        })
    }

    /// For how long the owner of `record` stands for the name asked for, if it does.
    fn holds(&mut self, message: &[u8], record: &Record) -> Option<u32> {
        let budget = &mut self.budget;
        if same_name(message, record.owner, self.owner, budget) {
            return Some(self.ttl);
        }
        let mut given = self.given.into_iter().flatten();
        given.find_map(|(target, ttl)| {
            same_name(message, record.owner, target, budget).then_some(ttl.min(self.ttl))
        })
    }
}

fn read(message: &[u8], each: &mut dyn FnMut(&NameAnswer<'_>)) -> Option<()> {
    let mut name = NameText::new();
    let mut answer = Answer::read(message, &mut name)?;
    let mut left = MAX_ANSWERS;
    for record in answer.records.filter(|record| record.class == CLASS_IN) {
        let wanted = matches!(
            record.rr_type,
            rr_type::A | rr_type::AAAA | rr_type::HTTPS | rr_type::SVCB
        );
        if !wanted {
            continue;
        }
        let Some(ttl) = answer.holds(message, &record) else {
            continue;
        };
        addresses(message, &record, &mut |address| {
            if left > 0 {
                left -= 1;
                each(&NameAnswer {
                    name: name.as_str(),
                    address,
                    ttl: record.ttl.min(ttl),
                });
            }
        });
        if left == 0 {
            break;
        }
    }
    Some(())
}

const fn is_service_record(record: &Record) -> bool {
    matches!(record.rr_type, rr_type::HTTPS | rr_type::SVCB) && record.class == CLASS_IN
}

/// SvcPriority: zero is an alias.
fn priority(message: &[u8], record: &Record) -> Option<u16> {
    let data = message.get(record.data..record.end)?;
    Reader::new(data).be16()
}

/// Where the name is that `record` makes another name for its owner.
fn alias(message: &[u8], record: &Record) -> Option<usize> {
    match record.rr_type {
        rr_type::CNAME if record.class == CLASS_IN => Some(record.data),
        // The root as a target: there is no such service.
        _ if is_service_record(record) && priority(message, record) == Some(0) => {
            (message.get(record.data + 2) != Some(&0)).then_some(record.data + 2)
        }
        _ => None,
    }
}

/// The name at the end of the aliases from the question, by its place, and the least TTL on the way.
fn follow(message: &[u8], records: Records<'_>, budget: &mut u32) -> (usize, u32) {
    let (mut tail, mut ttl) = (HEADER_LEN, u32::MAX);
    let mut links = 0;
    // Servers write the chain in order; the second round is for those that shuffle answers.
    for _ in 0..2 {
        let mut aside = false;
        for record in records {
            let Some(target) = alias(message, &record) else {
                continue;
            };
            if links < MAX_CHAIN && same_name(message, record.owner, tail, budget) {
                tail = target;
                ttl = ttl.min(record.ttl);
                links += 1;
            } else {
                aside = true;
            }
        }
        if !aside {
            break;
        }
    }
    (tail, ttl)
}

/// The addresses in one record's data.
fn addresses(message: &[u8], record: &Record, each: &mut dyn FnMut(IpAddr)) -> Option<()> {
    let data = message.get(record.data..record.end)?;
    match record.rr_type {
        rr_type::A => each(IpAddr::from(<[u8; 4]>::try_from(data).ok()?)),
        rr_type::AAAA => each(IpAddr::from(<[u8; 16]>::try_from(data).ok()?)),
        _ => {
            // SvcPriority, TargetName (never compressed), then keys in rising order.
            let keys = skip_name(data, 2)?;
            let mut reader = Reader::new(data.get(keys..)?);
            while let (Some(key), Some(len)) = (reader.be16(), reader.be16()) {
                let value = reader.take(usize::from(len))?;
                match key {
                    KEY_IPV4HINT => value
                        .as_chunks::<4>()
                        .0
                        .iter()
                        .for_each(|&a| each(a.into())),
                    KEY_IPV6HINT => value
                        .as_chunks::<16>()
                        .0
                        .iter()
                        .for_each(|&a| each(a.into())),
                    _ => {}
                }
            }
        }
    }
    Some(())
}

/// The answer section, up to the first malformed record.
#[derive(Clone, Copy, Debug)]
struct Records<'a> {
    message: &'a [u8],
    at: usize,
    left: usize,
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        self.left = self.left.checked_sub(1)?;
        let record = Record::read(self.message, self.at)?;
        self.at = record.end;
        Some(record)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;
    use simple_dns::rdata::{A, AAAA, CNAME, HTTPS, RData, SVCB};
    use simple_dns::{
        CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, TYPE,
    };

    use super::*;

    type Found = Vec<(String, String, u32)>;

    fn learn(message: &[u8]) -> Found {
        let mut found = Found::new();
        targets(message, &mut |_| {});
        answers(message, &mut |a| {
            found.push((a.name.to_owned(), a.address.to_string(), a.ttl));
        });
        found
    }

    fn name(text: &str) -> Name<'_> {
        Name::new_unchecked(text)
    }

    fn record<'a>(owner: &'a str, ttl: u32, data: RData<'a>) -> ResourceRecord<'a> {
        ResourceRecord::new(name(owner), CLASS::IN, ttl, data)
    }

    fn response<'a>(asked: &'a str, answers: Vec<ResourceRecord<'a>>, compressed: bool) -> Vec<u8> {
        let mut packet = Packet::new_reply(7);
        packet.set_flags(PacketFlag::RECURSION_AVAILABLE);
        let question = Question::new(
            name(asked),
            QTYPE::TYPE(TYPE::A),
            QCLASS::CLASS(CLASS::IN),
            false,
        );
        packet.questions.push(question);
        packet.answers = answers;
        if compressed {
            packet.build_bytes_vec_compressed().unwrap()
        } else {
            packet.build_bytes_vec().unwrap()
        }
    }

    fn a(last: u8) -> RData<'static> {
        RData::A(A::from(Ipv4Addr::new(192, 0, 2, last)))
    }

    fn cname(target: &str) -> RData<'_> {
        RData::CNAME(CNAME(name(target)))
    }

    #[test]
    fn follows_the_chain_and_takes_the_least_ttl() {
        let chain = || {
            vec![
                record("WWW.example.com", 60, cname("edge.example.net")),
                record("edge.example.net", 5, cname("pop.example.org")),
                record("pop.example.org", 300, a(1)),
                record("pop.EXAMPLE.org", 2, a(2)),
                record("other.example.org", 300, a(9)),
                record(
                    "pop.example.org",
                    300,
                    RData::AAAA(AAAA::from(
                        "2001:db8::1".parse::<std::net::Ipv6Addr>().unwrap(),
                    )),
                ),
            ]
        };
        let want = |rows: &[(&str, u32)]| -> Found {
            rows.iter()
                .map(|(ip, ttl)| ("www.example.com".to_owned(), (*ip).to_owned(), *ttl))
                .collect()
        };
        let in_order = want(&[("192.0.2.1", 5), ("192.0.2.2", 2), ("2001:db8::1", 5)]);
        for compressed in [false, true] {
            assert_eq!(
                learn(&response("www.Example.com", chain(), compressed)),
                in_order
            );
            let mut shuffled = chain();
            shuffled.swap(0, 1);
            assert_eq!(
                learn(&response("www.example.com", shuffled, compressed)),
                in_order
            );
        }
        let loops = vec![
            record("a.example", 1, cname("b.example")),
            record("b.example", 1, cname("a.example")),
            record("c.example", 1, a(1)),
        ];
        assert_eq!(learn(&response("a.example", loops, true)), []);
    }

    #[test]
    fn hints_of_https_records_are_answers() {
        let mut svcb = SVCB::new(1, name(""));
        svcb.set_ipv4hint(&[0xc000_0201, 0xc000_0202]);
        svcb.set_ipv6hint(&[0x2001_0db8 << 96 | 1]);
        let message = response(
            "x.example",
            vec![record("x.example", 9, RData::HTTPS(HTTPS(svcb)))],
            true,
        );
        let addresses: Vec<_> = learn(&message).into_iter().map(|(_, ip, _)| ip).collect();
        assert_eq!(addresses, ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    }

    fn service<'a>(
        asked: &'a str,
        answers: Vec<ResourceRecord<'a>>,
        more: Vec<ResourceRecord<'a>>,
    ) -> Vec<u8> {
        let mut packet = Packet::new_reply(7);
        let question = Question::new(
            name(asked),
            QTYPE::TYPE(TYPE::HTTPS),
            QCLASS::CLASS(CLASS::IN),
            false,
        );
        packet.questions.push(question);
        packet.answers = answers;
        packet.additional_records = more;
        packet.build_bytes_vec().unwrap()
    }

    fn https<'a>(owner: &'a str, ttl: u32, priority: u16, target: &'a str) -> ResourceRecord<'a> {
        record(
            owner,
            ttl,
            RData::HTTPS(HTTPS(SVCB::new(priority, name(target)))),
        )
    }

    #[test]
    fn targets_of_https_records_stand_for_the_name() {
        type Row<'a> = (
            Vec<ResourceRecord<'a>>,
            Vec<ResourceRecord<'a>>,
            &'a [&'a str],
            &'a [&'a str],
        );
        let rows: &[Row<'_>] = &[
            // An alias: its addresses come along, or are asked for.
            (
                vec![https("x.example", 9, 0, "pool.example")],
                vec![
                    record("pool.example", 5, a(1)),
                    record("other.example", 5, a(2)),
                ],
                &["192.0.2.1 5"],
                &["pool.example 9"],
            ),
            (
                vec![
                    https("x.example", 9, 0, "pool.example"),
                    https("pool.example", 3, 1, ""),
                ],
                vec![record("pool.example", 5, a(1))],
                &["192.0.2.1 5"],
                &["pool.example 9"],
            ),
            (
                vec![
                    record("x.example", 9, cname("y.example")),
                    https("y.example", 7, 1, "z.example"),
                    https("y.example", 6, 2, ""),
                ],
                vec![record("z.example", 8, a(1)), record("y.example", 20, a(2))],
                &["192.0.2.1 7", "192.0.2.2 9"],
                &["y.example 9", "z.example 7"],
            ),
            (
                vec![https("x.example", 9, 1, "")],
                vec![record("x.example", 5, a(1))],
                &["192.0.2.1 5"],
                &[],
            ),
            (vec![https("x.example", 9, 0, "")], vec![], &[], &[]),
            (
                vec![https("other.example", 9, 1, "z.example")],
                vec![record("z.example", 5, a(1))],
                &[],
                &[],
            ),
        ];
        for (row, (answers, more, addresses, names)) in rows.iter().enumerate() {
            let message = service("x.example", answers.clone(), more.clone());
            let found: Vec<_> = learn(&message)
                .iter()
                .map(|(_, ip, ttl)| format!("{ip} {ttl}"))
                .collect();
            assert_eq!(found, *addresses, "row {row}");
            let mut found = Vec::new();
            targets(&message, &mut |target| {
                assert_eq!(target.name, "x.example");
                found.push(format!("{} {}", target.target, target.ttl));
            });
            assert_eq!(found, *names, "row {row}");
        }
    }

    #[test]
    fn queries_errors_and_cuts_teach_nothing_wrong() {
        let whole = response(
            "x.example",
            vec![record("x.example", 9, a(1)), record("x.example", 9, a(2))],
            true,
        );
        assert_eq!(learn(&whole).len(), 2);
        for end in 0..whole.len() {
            let want = usize::from(end >= whole.len() - 16);
            assert_eq!(learn(&whole[..end]).len(), want, "cut at {end}");
        }
        for (at, value) in [(2, 0x00), (2, 0xa8), (3, 0x83), (5, 0), (5, 2), (7, 0)] {
            let mut bad = whole.clone();
            bad[at] = value;
            assert_eq!(learn(&bad), [], "byte {at} = {value:#x}");
        }
        let mut framed = (whole.len() as u16).to_be_bytes().to_vec();
        framed.extend_from_slice(&whole);
        let mut count = 0;
        answers_in_stream(&framed.repeat(3), &mut |_| count += 1);
        assert_eq!(count, 6);
        answers_in_stream(&framed.repeat(100), &mut |_| count += 1);
        assert_eq!(count, 6 + MAX_ANSWERS);
        let many = (0..=255).map(|i| record("x.example", 9, a(i))).collect();
        assert_eq!(learn(&response("x.example", many, true)).len(), MAX_ANSWERS);
    }

    fn host() -> impl Strategy<Value = String> {
        "[a-zA-Z0-9_-]{1,20}(\\.[a-zA-Z0-9-]{1,20}){0,4}"
    }

    proptest! {
        #[test]
        fn agrees_with_simple_dns(
            asked in host(),
            targets in prop::collection::vec(host(), 0..5),
            last in prop::collection::vec((any::<u8>(), any::<u32>()), 1..20),
            compressed in any::<bool>(),
        ) {
            // A name that comes back would make a loop, in which no address belongs to anyone.
            let names = targets.iter().chain([&asked]);
            let mut all: Vec<_> = names.map(|n| n.to_lowercase()).collect();
            all.sort();
            all.dedup();
            prop_assume!(all.len() == targets.len() + 1);
            let mut records = Vec::new();
            let mut owner = asked.as_str();
            for target in &targets {
                records.push(record(owner, 1000, cname(target)));
                owner = target;
            }
            for &(address, ttl) in &last {
                records.push(record(owner, ttl, a(address)));
            }
            let message = response(&asked, records, compressed);
            let parsed = Packet::parse(&message).unwrap();
            let most = if targets.is_empty() { u32::MAX } else { 1000 };
            let want: Found = parsed.answers.iter().filter_map(|r| match &r.rdata {
                RData::A(a) => Some((
                    parsed.questions[0].qname.to_string().to_lowercase(),
                    Ipv4Addr::from(a.address).to_string(),
                    r.ttl.min(most),
                )),
                _ => None,
            }).collect();
            prop_assert_eq!(learn(&message), want);
        }

        #[test]
        fn survives_anything(
            mut bytes in prop::collection::vec(any::<u8>(), 0..400),
            asked in host(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            learn(&bytes);
            if let Some(flags) = bytes.get_mut(2..8) {
                flags.copy_from_slice(&[0x81, 0x80, 0, 1, 0, 40]);
            }
            learn(&bytes);
            let records = vec![record(&asked, 1, cname("b.example")), record("b.example", 1, a(1))];
            let mut message = response(&asked, records, true);
            for (at, value) in flips {
                let at = at.index(message.len());
                message[at] = value;
            }
            prop_assert!(learn(&message).len() <= MAX_ANSWERS);
        }
    }
}
