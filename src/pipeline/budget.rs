//! How much memory records on their way to outputs may take in a live run, where nobody waits for these.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::record::FlowRecord;

/// Bytes of records that may be under way to a collector that is behind, over all threads; any
/// further ones are lost, and counted.
const RECORDS_UNDER_WAY: usize = 128 << 20;

/// The most memory they take: a list that grows has twice the room it needs.
pub(crate) const RECORDS_MEMORY: usize = 2 * RECORDS_UNDER_WAY;

/// What all threads together have under way.
#[derive(Clone, Debug, Default)]
pub(super) struct RecordBudget {
    taken: Arc<AtomicUsize>,
}

impl RecordBudget {
    /// Takes room for as many of `records` as there is room for, in order; the others go. Gives
    /// the bytes taken.
    pub(super) fn admit(&self, records: &mut Vec<FlowRecord>) -> usize {
        let wanted = records.iter().map(FlowRecord::memory).sum();
        let before = self.taken.fetch_add(wanted, Ordering::Relaxed);
        let mut room = RECORDS_UNDER_WAY.saturating_sub(before);
        if wanted <= room {
            return wanted;
        }
        let mut admitted = 0;
        let fits = |record: &&FlowRecord| {
            let bytes = record.memory();
            let fits = bytes <= room;
            if fits {
                room -= bytes;
                admitted += bytes;
            }
            fits
        };
        let count = records.iter().take_while(fits).count();
        records.truncate(count);
        self.give_back(wanted - admitted);
        admitted
    }

    /// The records of these bytes have arrived.
    pub(super) fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::Named;
    use crate::decode::{IpProtocol, Vlans};
    use crate::flow::{EndReason, PerSide};
    use crate::record::Part;
    use crate::time::Timestamp;

    fn record(text: usize) -> FlowRecord {
        let mut record = FlowRecord {
            flow_id: 1,
            first: Timestamp::default(),
            last: Timestamp::default(),
            client_ip: [10, 0, 0, 1].into(),
            client_port: 1,
            server_ip: [10, 0, 0, 2].into(),
            server_port: 2,
            protocol: IpProtocol::TCP,
            icmp: (0, 0),
            interface: None,
            reverse_interface: None,
            vlans: Vlans::default(),
            tunnel: None,
            subject: None,
            named: Named::default(),
            settled_at_packet: 0,
            facts: Some(Box::default()),
            counters: PerSide::default(),
            part: Part {
                number: 1,
                start: Timestamp::default(),
                counters: PerSide::default(),
            },
            state: "new",
            reason: EndReason::Idle,
            steps: None,
            first_packets: None,
            client_is_low: true,
        };
        if let Some(facts) = &mut record.facts {
            facts.http.get_or_insert_default().user_agent = Some("a".repeat(text).into());
        }
        record
    }

    #[test]
    fn records_under_way_have_a_bound_that_all_threads_share() {
        let room = RecordBudget::default();
        let other = room.clone();
        let batch = |count: usize| (0..count).map(|_| record(24 << 20)).collect::<Vec<_>>();
        // (records offered, admitted, whether the oldest batch arrives before)
        let mut bytes = Vec::new();
        for (offered, admitted, arrive) in [
            (2, 2, false),
            (4, 3, false),
            (1, 0, false),
            (3, 2, true),
            (1, 0, false),
        ] {
            if arrive {
                room.give_back(bytes.remove(0));
            }
            let mut records = batch(offered);
            bytes.push(other.admit(&mut records));
            assert_eq!(records.len(), admitted);
            assert!(room.taken.load(Ordering::Relaxed) <= RECORDS_UNDER_WAY);
        }
        for bytes in bytes {
            room.give_back(bytes);
        }
        assert_eq!(room.taken.load(Ordering::Relaxed), 0);
    }
}
