//! Names in a server's certificate (RFC 5280), which TLS and DTLS up to 1.2 send in the clear.
//!
//! This is no validation: a bounded walk over DER (X.690) to the subject, the issuer and
//! `subjectAltName`, each byte of which is visited a fixed number of times. A certificate that
//! is cut gives the names before the cut.

use crate::dissect::Names;
use crate::dissect::host::{host_name, text};
use crate::wire::reader::Reader;

/// The handshake type `certificate`.
pub(crate) const CERTIFICATE: u8 = 11;

const MAX_ALTERNATIVES: usize = 32;
const MAX_TEXT: usize = 512;

const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const T61_STRING: u8 = 0x14;
const BMP_STRING: u8 = 0x1e;
/// `version` of a TBSCertificate: \[0\], constructed.
const VERSION: u8 = 0xa0;
/// `extensions` of a TBSCertificate: \[3\], constructed.
const EXTENSIONS: u8 = 0xa3;
/// `dNSName` of a GeneralName: \[2\], an IA5String.
const DNS_NAME: u8 = 0x82;

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.4.10
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// What the body of a Certificate message (RFC 5246 section 7.4.2) gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CertificateRead {
    /// The first certificate, that of the server itself, is not whole yet.
    NeedMore,
    /// Its names, as far as there are any.
    Names(Names),
}

/// Reads the first certificate of `body`, which may be cut. With `ended` no more will come, and
/// what there is of it is read.
pub(crate) fn read_certificate(body: &[u8], ended: bool) -> CertificateRead {
    let mut reader = Reader::new(body);
    let listed = reader.be24();
    if listed == Some(0) {
        return CertificateRead::Names(Names::default());
    }
    let len = reader.be24().map(|len| len as usize);
    match len.and_then(|len| reader.take(len)) {
        Some(certificate) => CertificateRead::Names(read_names(certificate)),
        None if ended => CertificateRead::Names(read_names(reader.rest())),
        None => CertificateRead::NeedMore,
    }
}

/// The names of one certificate in DER.
pub(crate) fn read_names(certificate: &[u8]) -> Names {
    let mut names = Names::default();
    // What is missing or is no DER ends the walk; names before that are kept.
    let _ = walk_certificate(certificate, &mut names);
    names
}

fn walk_certificate(certificate: &[u8], names: &mut Names) -> Option<()> {
    let mut outer = open(&mut Reader::new(certificate), SEQUENCE)?;
    let mut fields = open(&mut outer, SEQUENCE)?;
    if fields.rest().first() == Some(&VERSION) {
        element(&mut fields)?;
    }
    element(&mut fields)?; // serialNumber
    element(&mut fields)?; // signature
    let mut issuer = open(&mut fields, SEQUENCE)?;
    walk_name(
        &mut issuer,
        &mut names.issuer,
        &mut names.issuer_organisation,
    );
    element(&mut fields)?; // validity
    let mut subject = open(&mut fields, SEQUENCE)?;
    walk_name(
        &mut subject,
        &mut names.common_name,
        &mut names.organisation,
    );
    element(&mut fields)?; // subjectPublicKeyInfo
    while !fields.is_empty() {
        if fields.rest().first() == Some(&EXTENSIONS) {
            let mut wrapped = open(&mut fields, EXTENSIONS)?;
            let mut extensions = open(&mut wrapped, SEQUENCE)?;
            return walk_extensions(&mut extensions, names);
        }
        element(&mut fields)?; // issuerUniqueID, subjectUniqueID
    }
    Some(())
}

/// RDNSequence: the last value of an attribute is the most specific one.
fn walk_name(
    name: &mut Reader<'_>,
    common_name: &mut Option<Box<str>>,
    organisation: &mut Option<Box<str>>,
) -> Option<()> {
    while !name.is_empty() {
        let mut set = open(name, SET)?;
        while !set.is_empty() {
            let mut attribute = open(&mut set, SEQUENCE)?;
            let (tag, kind) = element(&mut attribute)?;
            let (string, value) = element(&mut attribute)?;
            if tag != OID {
                continue;
            }
            let target = match kind {
                COMMON_NAME => &mut *common_name,
                ORGANISATION => &mut *organisation,
                _ => continue,
            };
            let value = if kind == COMMON_NAME {
                domain(value).or_else(|| directory_string(string, value))
            } else {
                directory_string(string, value)
            };
            if value.is_some() {
                *target = value;
            }
        }
    }
    Some(())
}

fn walk_extensions(extensions: &mut Reader<'_>, names: &mut Names) -> Option<()> {
    while !extensions.is_empty() {
        let mut extension = open(extensions, SEQUENCE)?;
        let (_, kind) = element(&mut extension)?;
        if kind != SUBJECT_ALT_NAME {
            continue;
        }
        if extension.rest().first() == Some(&BOOLEAN) {
            element(&mut extension)?; // critical
        }
        let mut value = open(&mut extension, OCTET_STRING)?;
        let mut entries = open(&mut value, SEQUENCE)?;
        while !entries.is_empty() && names.alternative.len() < MAX_ALTERNATIVES {
            let (tag, entry) = element(&mut entries)?;
            if tag == DNS_NAME {
                names.alternative.extend(domain(entry));
            }
        }
        return Some(());
    }
    Some(())
}

/// A domain name, which may be a wildcard (RFC 9525 section 6.3): lower case.
fn domain(value: &[u8]) -> Option<Box<str>> {
    let (wildcard, name) = match value.strip_prefix(b"*.") {
        Some(name) => (true, name),
        None => (false, value),
    };
    let name = host_name(name).filter(|name| name.contains('.'))?;
    Some(if wildcard {
        format!("*.{name}").into()
    } else {
        name
    })
}

/// A DirectoryString as text, whatever its character set.
fn directory_string(tag: u8, value: &[u8]) -> Option<Box<str>> {
    match tag {
        BMP_STRING => {
            let (units, _) = value.as_chunks();
            let units = units
                .iter()
                .take(MAX_TEXT)
                .map(|&unit| u16::from_be_bytes(unit));
            let decoded: String = char::decode_utf16(units)
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect();
            text(decoded.as_bytes(), MAX_TEXT)
        }
        T61_STRING if !value.is_ascii() => {
            // Written as T.61, meant as ISO 8859-1: nobody issues the former.
            let decoded: String = value
                .iter()
                .take(MAX_TEXT)
                .copied()
                .map(char::from)
                .collect();
            text(decoded.as_bytes(), MAX_TEXT)
        }
        _ => text(value, MAX_TEXT),
    }
}

/// The header of the next element: its tag and length.
fn header(reader: &mut Reader<'_>) -> Option<(u8, usize)> {
    let tag = reader.u8()?;
    let len = match reader.u8()? {
        len @ 0..=0x7f => len.into(),
        0x81 => reader.u8()?.into(),
        0x82 => reader.be16()?.into(),
        0x83 => reader.be24()? as usize,
        // Longer or indefinite: not in a certificate.
        _ => return None,
    };
    Some((tag, len))
}

/// The next element, which must be whole: its tag and contents.
fn element<'a>(reader: &mut Reader<'a>) -> Option<(u8, &'a [u8])> {
    let (tag, len) = header(reader)?;
    Some((tag, reader.take(len)?))
}

/// The contents of the next element, which must be a `tag` and may be cut.
fn open<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<Reader<'a>> {
    let (found, len) = header(reader)?;
    if found != tag {
        return None;
    }
    reader.sub(len.min(reader.left()))
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::indexing_slicing)]

    use proptest::prelude::{any, prop, proptest};

    use super::*;

    pub(crate) fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
        let len = contents.len();
        let mut bytes = vec![tag];
        match len {
            0..=0x7f => bytes.push(len as u8),
            0x80..=0xff => bytes.extend([0x81, len as u8]),
            _ => bytes.extend([0x82, (len >> 8) as u8, len as u8]),
        }
        bytes.extend(contents);
        bytes
    }

    fn attribute(kind: &[u8], tag: u8, value: &[u8]) -> Vec<u8> {
        let pair = [der(OID, kind), der(tag, value)].concat();
        der(SET, &der(SEQUENCE, &pair))
    }

    /// A certificate of these names; key and signature are placeholders.
    pub(crate) fn certificate(
        issuer: &[Vec<u8>],
        subject: &[Vec<u8>],
        alternative: &[&[u8]],
    ) -> Vec<u8> {
        let entries: Vec<u8> = alternative
            .iter()
            .flat_map(|it| der(DNS_NAME, it))
            .collect();
        let basic = der(
            SEQUENCE,
            &[der(OID, &[0x55, 0x1d, 0x13]), der(OCTET_STRING, &[0x30, 0])].concat(),
        );
        let names = der(
            SEQUENCE,
            &[
                der(OID, SUBJECT_ALT_NAME),
                der(BOOLEAN, &[0xff]),
                der(OCTET_STRING, &der(SEQUENCE, &entries)),
            ]
            .concat(),
        );
        let tbs = [
            der(VERSION, &der(0x02, &[2])),
            der(0x02, &[1, 2, 3]),
            der(SEQUENCE, &der(OID, &[0x2a])),
            der(SEQUENCE, &issuer.concat()),
            der(
                SEQUENCE,
                &[der(0x17, b"260101000000Z"), der(0x17, b"270101000000Z")].concat(),
            ),
            der(SEQUENCE, &subject.concat()),
            der(SEQUENCE, &[0; 200]),
            der(EXTENSIONS, &der(SEQUENCE, &[basic, names].concat())),
        ]
        .concat();
        der(
            SEQUENCE,
            &[der(SEQUENCE, &tbs), der(SEQUENCE, &[]), der(0x03, &[0; 65])].concat(),
        )
    }

    pub(crate) fn typical() -> Vec<u8> {
        certificate(
            &[
                attribute(ORGANISATION, 0x13, b"Example Trust"),
                attribute(COMMON_NAME, 0x13, b"Example CA"),
            ],
            &[
                attribute(&[0x55, 0x04, 0x06], 0x13, b"DE"),
                attribute(ORGANISATION, 0x0c, "Müller GmbH".as_bytes()),
                attribute(COMMON_NAME, 0x0c, b"WWW.Example.com"),
            ],
            &[
                b"*.Example.com",
                b"example.net",
                b"not a name",
                b"localhost",
            ],
        )
    }

    #[test]
    fn names_of_a_certificate() {
        let names = read_names(&typical());
        assert_eq!(names.common_name.as_deref(), Some("www.example.com"));
        assert_eq!(names.organisation.as_deref(), Some("Müller GmbH"));
        assert_eq!(names.issuer.as_deref(), Some("Example CA"));
        assert_eq!(names.issuer_organisation.as_deref(), Some("Example Trust"));
        assert_eq!(
            names.alternative,
            ["*.example.com".into(), "example.net".into()]
        );
    }

    #[test]
    fn character_sets() {
        for (tag, value, expected) in [
            (0x0c, &b"plain"[..], "plain"),
            (T61_STRING, b"M\xfcller", "Müller"),
            (BMP_STRING, b"\0M\0\xfc", "Mü"),
            (BMP_STRING, b"\xd8\0\0M", "\u{fffd}M"),
            (0x0c, b"\xff", "\u{fffd}"),
        ] {
            let der = certificate(&[], &[attribute(COMMON_NAME, tag, value)], &[]);
            assert_eq!(read_names(&der).common_name.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_prefix_gives_a_prefix_of_the_names() {
        let der = typical();
        let all = read_names(&der);
        let mut count = 0;
        for len in 0..=der.len() {
            let names = read_names(&der[..len]);
            for (part, whole) in [
                (&names.issuer_organisation, &all.issuer_organisation),
                (&names.issuer, &all.issuer),
                (&names.organisation, &all.organisation),
                (&names.common_name, &all.common_name),
            ] {
                assert!(part.is_none() || part == whole, "at {len}");
            }
            assert!(all.alternative.starts_with(&names.alternative), "at {len}");
            assert!(names.alternative.len() >= count, "names are lost at {len}");
            count = names.alternative.len();
        }
        assert_eq!(count, 2);
    }

    #[test]
    fn lists_are_bounded_and_lengths_may_lie() {
        let many: Vec<Vec<u8>> = (0..100)
            .map(|n| format!("h{n}.example").into_bytes())
            .collect();
        let many: Vec<&[u8]> = many.iter().map(Vec::as_slice).collect();
        assert_eq!(
            read_names(&certificate(&[], &[], &many)).alternative.len(),
            MAX_ALTERNATIVES
        );
        for lie in [
            &[0x30, 0x80][..],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x83, 0xff, 0xff, 0xff, 0x30],
        ] {
            assert_eq!(read_names(lie), Names::default());
        }
    }

    #[test]
    fn the_message_waits_for_the_first_certificate_only() {
        let first = typical();
        let list = |certificates: &[&[u8]]| {
            let entries: Vec<u8> = certificates
                .iter()
                .flat_map(|it| [&(it.len() as u32).to_be_bytes()[1..], it].concat())
                .collect();
            [&(entries.len() as u32).to_be_bytes()[1..], &entries].concat()
        };
        let body = list(&[&first, &[0x30; 300]]);
        for len in 0..body.len() {
            let read = read_certificate(&body[..len], false);
            assert_eq!(
                read == CertificateRead::NeedMore,
                len < 6 + first.len(),
                "{len}"
            );
        }
        assert_eq!(
            read_certificate(&list(&[]), false),
            CertificateRead::Names(Names::default())
        );
        let CertificateRead::Names(cut) = read_certificate(&body[..300], true) else {
            panic!("nothing more will come");
        };
        assert_eq!(cut.common_name.as_deref(), Some("www.example.com"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
            noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut der = typical();
            for (at, value) in changes {
                let at = at.index(der.len());
                der[at] = value;
            }
            for bytes in [&der, &noise] {
                let names = read_names(bytes);
                assert!(names.alternative.len() <= MAX_ALTERNATIVES);
                read_certificate(bytes, true);
            }
        }
    }
}
