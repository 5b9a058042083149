//! Port rules: the last resort.

use hashbrown::HashMap;

use super::file::Ports;
use crate::flow::Transport;
use crate::verdict::RuleId;

/// All port rules, by IP protocol and port.
#[derive(Debug, Default)]
pub(super) struct PortTable(HashMap<(u8, u16), RuleId, foldhash::fast::FixedState>);

impl PortTable {
    /// Makes `rule` the one for `ports`; the first rule for a port stays.
    pub(super) fn insert(&mut self, protocol: u8, ports: Ports, rule: RuleId) {
        for port in ports.range() {
            self.0.entry((protocol, port)).or_insert(rule);
        }
    }

    /// Bytes it takes on the heap, about.
    pub(super) fn memory(&self) -> usize {
        self.0.capacity() * (size_of::<((u8, u16), RuleId)>() + 1)
    }

    pub(super) fn find(&self, transport: Transport, port: u16) -> Option<RuleId> {
        let protocol = match transport {
            Transport::Tcp => 6,
            Transport::Udp => 17,
            Transport::Other(protocol) => protocol,
        };
        self.0.get(&(protocol, port)).copied()
    }
}
