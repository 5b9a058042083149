//! What holds for all rules over openings: where each may apply, and how many tags one call gives.

use super::address::{AddressTable, Prefix};
use crate::flow::{Opening, Transport};
use crate::signature::file::Ports;
use crate::verdict::{RuleId, Tag};

/// Where a rule may apply, whatever the bytes say.
#[derive(Clone, Debug, Default)]
pub(in crate::signature) struct Guard {
    /// One end must use one of these; empty: any port.
    pub(in crate::signature) ports: Box<[Ports]>,
    /// The server's address must be in the prefixes of the file so numbered; where it is a guess
    /// who that is, either end's.
    pub(in crate::signature) address_of: Option<u16>,
    /// Neither end's address may be here.
    pub(in crate::signature) excluded: Box<[Prefix]>,
}

impl Guard {
    /// Bytes it takes on the heap.
    pub(in crate::signature) fn memory(&self) -> usize {
        size_of_val(&*self.ports) + size_of_val(&*self.excluded)
    }

    /// Whether the ports are right: the cheap half.
    pub(in crate::signature) fn allows_ports(&self, opening: &Opening<'_>) -> bool {
        let within = |port| self.ports.iter().any(|ports| ports.range().contains(&port));
        self.ports.is_empty() || within(opening.server_port) || within(opening.client_port)
    }

    /// Whether the addresses are right.
    pub(in crate::signature) fn allows_addresses(
        &self,
        opening: &Opening<'_>,
        table: &AddressTable,
    ) -> bool {
        let ends = [opening.server_ip, opening.client_ip];
        // A SYN told who is the server: a client in an operator's network uses nothing of it.
        let is_sure = opening.transport == Transport::Tcp
            && !opening.client.mid_stream
            && !opening.server.mid_stream;
        let servers = if is_sure { 1 } else { ends.len() };
        let owned = self
            .address_of
            .is_none_or(|file| ends.iter().take(servers).any(|&end| table.owns(file, end)));
        owned
            && !self
                .excluded
                .iter()
                .any(|prefix| ends.iter().any(|&end| prefix.holds(end)))
    }

    /// Both halves.
    pub(in crate::signature) fn allows(&self, opening: &Opening<'_>, table: &AddressTable) -> bool {
        self.allows_ports(opening) && self.allows_addresses(opening, table)
    }
}

/// The most tags one call gives.
pub(in crate::signature) const MAX_TAGS: usize = 64;

/// Tags of one call, each rule once, no more than [`MAX_TAGS`].
#[derive(Debug)]
pub(in crate::signature) struct Found<'a> {
    tags: &'a mut Vec<Tag>,
    before: usize,
}

impl<'a> Found<'a> {
    pub(in crate::signature) const fn new(tags: &'a mut Vec<Tag>) -> Self {
        let before = tags.len();
        Self { tags, before }
    }

    pub(in crate::signature) fn has(&self, rule: RuleId) -> bool {
        self.tags
            .iter()
            .skip(self.before)
            .any(|tag| tag.rule == rule)
    }

    pub(in crate::signature) fn is_full(&self) -> bool {
        self.tags.len() - self.before >= MAX_TAGS
    }

    pub(in crate::signature) fn push(&mut self, tag: Tag) {
        if !self.is_full() && !self.has(tag.rule) {
            self.tags.push(tag);
        }
    }
}
