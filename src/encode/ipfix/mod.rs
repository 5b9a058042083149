//! IPFIX messages (RFC 7011), one record each, as they stand in a file (RFC 5655) or a session.
//!
//! A record carries the fields that have an information element, in the order of their table;
//! what the server sent of a flow is in reverse elements (RFC 5103). Templates stand in the head, and
//! so do the names of the applications that records have numbers of (RFC 6759, section 4): a sink puts
//! it where a reader begins.

mod field;
mod message;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;

use self::field::{APPLICATION_ID, Specifier, application_id, carry};
use self::message::{message, set};
use super::{Encode, Options, Setting};
use crate::app::App;
use crate::record::{FlowView, Record, Records, RunRecord, UsageRecord};
use crate::time::Timestamp;

/// The Set IDs of templates and options templates, section 3.3.2.
const TEMPLATES: u16 = 2;
const OPTIONS_TEMPLATES: u16 = 3;
/// The templates of what is told of applications: from the first Template ID on, section 3.4.1.
const NAMES_TEMPLATE: u16 = 256;
const ATTRIBUTES_TEMPLATE: u16 = 257;
/// The first of records.
const FIRST_TEMPLATE: u16 = 258;
/// What is told of an application, by Template ID: applicationName and applicationDescription (RFC 6759,
/// section 6.4), and of its attributes applicationCategoryName (section 6.5). They have a length
/// because some collectors (nfdump 1.7) read no others here; what is shorter ends with zeros.
const OF_APPLICATIONS: [(u16, &[(u16, u16)]); 2] = [
    (NAMES_TEMPLATE, &[(96, 48), (94, 64)]),
    (ATTRIBUTES_TEMPLATE, &[(372, 32)]),
];
/// observationDomainId: what a run says is of all that is told in its domain.
const OBSERVATION_DOMAIN: u16 = 149;
/// What all flow records say beside their fields, an octet each: flowDirection is ingress, as frames
/// come in where they are observed; biflowDirection (RFC 5103, section 6.3) is initiator, as the source
/// is who began.
const OF_FLOWS: [(u16, u8); 2] = [(61, 0), (239, 1)];

/// `domain=7`
pub(super) const DOMAIN: Setting = Setting {
    name: "domain",
    check: |said| domain(said).map(drop),
};

fn domain(said: &str) -> Result<u32, String> {
    // Zero is that of an exporter as a whole (RFC 7011, section 3.1).
    let number = said.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| format!("`{said}` is not a number from 1 to {}", u32::MAX))
}

/// Writes one message a record.
#[derive(Debug)]
pub struct Ipfix {
    /// The Observation Domain ID (RFC 7011, section 3.1): collectors that do not tell sessions of one
    /// host apart would mix up the templates of flows and usage.
    domain: u32,
    /// What records of one shape carry, by Template ID. There are few: shapes differ by address family
    /// and by numbers that are there or not.
    templates: Vec<Template>,
    /// The applications whose names were told. One that gets another name keeps the one that was told.
    applications: BTreeSet<u32>,
    head: Vec<u8>,
}

/// What records of one shape carry.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    /// How many of the fields, the first ones, say what the others are about; none of a template that
    /// is of no options.
    scopes: u16,
    fields: Vec<Specifier>,
}

impl Encode for Ipfix {
    fn head(&self) -> &[u8] {
        &self.head
    }

    fn flow(&mut self, record: &FlowView<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        let is_v6 = record.record().client_ip.is_ipv6();
        self.record(record, is_v6, &OF_FLOWS, record.record().last, out)
    }

    fn usage(&mut self, record: &UsageRecord<'_>, out: &mut Vec<u8>) -> io::Result<()> {
        self.record(record, false, &[], record.interval.end, out)
    }

    /// As what the Metering Process tells of itself (RFC 7011, sections 4.1 and 4.2).
    fn run(&mut self, record: &RunRecord, out: &mut Vec<u8>) -> io::Result<()> {
        let at = record.end.map_or(record.run, |end| end.at);
        let mut data = self.domain.to_be_bytes().to_vec();
        let mut fields = vec![Specifier::plain(OBSERVATION_DOMAIN, 4)];
        carry(record, false, &mut fields, &mut data);
        let id = self.template(Template { scopes: 1, fields }, at)?;
        message(self.domain, at, out, |out| set(id, &data, out))
    }
}

impl Ipfix {
    /// For records of this kind.
    pub fn new(records: Records, options: &Options) -> Self {
        let own = match records {
            Records::Flows => 1,
            Records::Usage => 2,
        };
        let said = options.said(DOMAIN.name);
        Self {
            domain: said.and_then(|said| domain(said).ok()).unwrap_or(own),
            templates: Vec::new(),
            applications: BTreeSet::new(),
            head: Vec::new(),
        }
    }

    fn record(
        &mut self,
        record: &impl Record,
        is_v6: bool,
        constants: &[(u16, u8)],
        at: Timestamp,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let mut fields = Vec::new();
        let mut data = Vec::new();
        carry(record, is_v6, &mut fields, &mut data);
        for &(number, value) in constants {
            data.push(value);
            fields.push(Specifier::plain(number, 1));
        }
        if let Some(app) = record.app()
            && !self.applications.contains(&app.id)
        {
            self.name(app, at)?;
        }
        let id = self.template(Template { scopes: 0, fields }, at)?;
        message(self.domain, at, out, |out| set(id, &data, out))
    }

    /// The Template ID of records of this shape; a new one is told in the head.
    fn template(&mut self, template: Template, at: Timestamp) -> io::Result<u16> {
        let known = self.templates.iter().position(|one| *one == template);
        let place = known.unwrap_or(self.templates.len());
        let id = u16::try_from(place)
            .ok()
            .and_then(|place| place.checked_add(FIRST_TEMPLATE))
            .ok_or_else(|| io::Error::other("too many shapes of records"))?;
        if known.is_none() {
            // A Template Record (RFC 7011, section 3.4.1), or one of options (section 3.4.2).
            let Template { scopes, fields } = &template;
            let mut record = id.to_be_bytes().to_vec();
            let count = u16::try_from(fields.len()).unwrap_or(u16::MAX);
            record.extend_from_slice(&count.to_be_bytes());
            let mut kind = TEMPLATES;
            if *scopes > 0 {
                record.extend_from_slice(&scopes.to_be_bytes());
                kind = OPTIONS_TEMPLATES;
            }
            fields.iter().for_each(|field| field.put(&mut record));
            message(self.domain, at, &mut self.head, |out| {
                set(kind, &record, out)
            })?;
            self.templates.push(template);
        }
        Ok(id)
    }

    /// Tells what an application's number stands for, in the head.
    fn name(&mut self, app: &App, at: Timestamp) -> io::Result<()> {
        let mut said = [&app.name, &app.title, &app.category].into_iter();
        for (template, fields) in OF_APPLICATIONS {
            if self.applications.is_empty() {
                // An Options Template Record (RFC 7011, section 3.4.2): the scope is the application.
                let mut record = template.to_be_bytes().to_vec();
                let count = u16::try_from(1 + fields.len()).unwrap_or(u16::MAX);
                record.extend_from_slice(&count.to_be_bytes());
                record.extend_from_slice(&1_u16.to_be_bytes());
                Specifier::plain(APPLICATION_ID, 4).put(&mut record);
                for &(number, length) in fields {
                    Specifier::plain(number, length).put(&mut record);
                }
                message(self.domain, at, &mut self.head, |out| {
                    set(OPTIONS_TEMPLATES, &record, out)
                })?;
            }
            let mut data = application_id(app.id).to_vec();
            for (&(_, length), said) in fields.iter().zip(&mut said) {
                let length = usize::from(length);
                let end = data.len() + length;
                let said = said.get(..said.floor_char_boundary(length));
                data.extend_from_slice(said.unwrap_or_default().as_bytes());
                data.resize(end, 0);
            }
            message(self.domain, at, &mut self.head, |out| {
                set(template, &data, out)
            })?;
        }
        self.applications.insert(app.id);
        Ok(())
    }
}
