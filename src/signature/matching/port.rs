//! Port rules: the last resort.

use hashbrown::HashMap;

use crate::flow::Transport;
use crate::signature::file::Ports;
use crate::verdict::RuleId;

/// All port rules, by IP protocol and port.
#[derive(Debug, Default)]
pub(in crate::signature) struct PortTable(HashMap<(u8, u16), RuleId, foldhash::fast::FixedState>);

impl PortTable {
    /// Makes `rule` the one for `ports`; the first rule for a port stays.
    pub(in crate::signature) fn insert(&mut self, protocol: u8, ports: Ports, rule: RuleId) {
        for port in ports.range() {
            self.0.entry((protocol, port)).or_insert(rule);
        }
    }

    /// Bytes it takes on the heap, about.
    pub(in crate::signature) fn memory(&self) -> usize {
        self.0.capacity() * (size_of::<((u8, u16), RuleId)>() + 1)
    }

    pub(in crate::signature) fn find(&self, transport: Transport, port: u16) -> Option<RuleId> {
        let protocol = match transport {
            Transport::Tcp => 6,
            Transport::Udp => 17,
            Transport::Other(protocol) => protocol,
        };
        self.0.get(&(protocol, port)).copied()
    }
}
