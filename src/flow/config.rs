//! What a flow table may use, and how long flows live.

use std::time::Duration;

use super::key::Scope;

/// What a flow table may use and how long flows live, all in frame time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How many flows are held at most.
    pub max_flows: usize,
    /// How many bytes of each direction dissectors see.
    pub opening_bytes: usize,
    /// How many packets with a payload dissectors see.
    pub opening_packets: u16,
    /// How many bytes all openings take together, with what was read in them so far. When they
    /// come to take more, the flow whose opening began first is named by what it has shown.
    pub opening_memory: usize,
    /// How many bytes all that is kept of settled flows for their records takes. When it comes to
    /// take more, the flow that settled first loses it.
    pub record_memory: usize,
    /// Idle time that ends a TCP flow.
    pub tcp_idle: Duration,
    /// Idle time that ends a TCP flow after FIN of both sides or RST.
    pub tcp_closed: Duration,
    /// Idle time that ends any other flow.
    pub udp_idle: Duration,
    /// Idle time that ends a connection whose handshake is not over, and a flow of one packet.
    pub half_open_idle: Duration,
    /// What keeps flows with the same endpoints apart.
    pub scope: Scope,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_flows: 1 << 20,
            opening_bytes: 16 << 10,
            opening_packets: 32,
            opening_memory: 256 << 20,
            record_memory: 1 << 30,
            tcp_idle: Duration::from_secs(300),
            tcp_closed: Duration::from_secs(10),
            udp_idle: Duration::from_secs(60),
            half_open_idle: Duration::from_secs(30),
            scope: Scope::None,
        }
    }
}

impl Config {
    /// What each of `tables` tables may use, so that all together use this.
    pub fn share(&self, tables: usize) -> Self {
        let tables = tables.max(1);
        Self {
            max_flows: (self.max_flows / tables).max(1),
            opening_memory: self.opening_memory / tables,
            record_memory: self.record_memory / tables,
            ..self.clone()
        }
    }

    /// No flow ends sooner, in nanoseconds.
    pub(super) fn least_idle(&self) -> u64 {
        let least = self.tcp_idle.min(self.tcp_closed).min(self.udp_idle);
        u64::try_from(least.min(self.half_open_idle).as_nanos()).unwrap_or(u64::MAX)
    }
}
