//! Distributions for `--stats`: packet sizes, what a flow needed to settle, time per block.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Distributions of one run.
#[derive(Clone, Debug)]
pub struct Stats {
    packet_size: Histogram<u64>,
    settled_packets: Histogram<u64>,
    settled_bytes: Histogram<u64>,
    block_time: Histogram<u64>,
    /// Flows whose opening was ended because all openings took too much memory.
    pub openings_cut: u64,
    /// Flows whose record lacks what was read, because all that was kept took too much memory.
    pub records_cut: u64,
}

/// Largest value told apart; larger ones count as this.
const MAX: u64 = 1 << 40;

impl Default for Stats {
    fn default() -> Self {
        // Bounds are constants and valid, so making a histogram cannot fail.
        let histogram = || {
            Histogram::new_with_bounds(1, MAX, 2)
                .or_else(|_| Histogram::new(2))
                .unwrap_or_else(|_| unreachable!("two digits are a valid precision"))
        };
        Self {
            packet_size: histogram(),
            settled_packets: histogram(),
            settled_bytes: histogram(),
            block_time: histogram(),
            openings_cut: 0,
            records_cut: 0,
        }
    }
}

impl Stats {
    /// Counts a frame of `size` bytes on the wire.
    pub fn packet(&mut self, size: u32) {
        self.packet_size.saturating_record(u64::from(size));
    }

    /// Counts a flow that settled after so much.
    pub fn settled(&mut self, packets: u64, bytes: u64) {
        self.settled_packets.saturating_record(packets);
        self.settled_bytes.saturating_record(bytes);
    }

    /// Counts a block that took so long.
    pub fn block(&mut self, took: Duration) {
        self.block_time
            .saturating_record(u64::try_from(took.as_nanos()).unwrap_or(MAX));
    }

    /// Counts a flow whose memory others needed: it was still inspected, or had settled.
    pub const fn cut(&mut self, inspected: bool) {
        if inspected {
            self.openings_cut += 1;
        } else {
            self.records_cut += 1;
        }
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        // All have the same bounds, so adding cannot fail.
        let _ = self.packet_size.add(&other.packet_size);
        let _ = self.settled_packets.add(&other.settled_packets);
        let _ = self.settled_bytes.add(&other.settled_bytes);
        let _ = self.block_time.add(&other.block_time);
        self.openings_cut += other.openings_cut;
        self.records_cut += other.records_cut;
    }

    /// Sizes of frames on the wire, in bytes.
    pub const fn packet_sizes(&self) -> &Histogram<u64> {
        &self.packet_size
    }

    /// Packets flows had when they settled.
    pub const fn settled_packets(&self) -> &Histogram<u64> {
        &self.settled_packets
    }

    /// Bytes flows had when they settled.
    pub const fn settled_bytes(&self) -> &Histogram<u64> {
        &self.settled_bytes
    }

    /// Time per block of frames, in nanoseconds.
    pub const fn block_times(&self) -> &Histogram<u64> {
        &self.block_time
    }

    /// Name, unit and distribution of each.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &'static str, &Histogram<u64>)> {
        [
            ("packet size", "bytes", &self.packet_size),
            (
                "packets until a flow settles",
                "packets",
                &self.settled_packets,
            ),
            ("bytes until a flow settles", "bytes", &self.settled_bytes),
            ("time per block of frames", "ns", &self.block_time),
        ]
        .into_iter()
    }
}

/// A line a distribution: count, minimum, quartiles, tail, maximum.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<30}", "distribution")?;
        for title in ["count", "min", "p50", "p90", "p99", "p99.9", "max"] {
            write!(f, " {title:>11}")?;
        }
        for (name, unit, histogram) in self.iter() {
            write!(f, "\n{:<30}", format!("{name} ({unit})"))?;
            let quantiles = [0.5, 0.9, 0.99, 0.999].map(|q| histogram.value_at_quantile(q));
            let [p50, p90, p99, p999] = quantiles;
            let (count, min, max) = (histogram.len(), histogram.min(), histogram.max());
            for value in [count, min, p50, p90, p99, p999, max] {
                write!(f, " {value:>11}")?;
            }
        }
        for (what, count) in [
            ("openings ended early for want of memory", self.openings_cut),
            ("records shortened for want of memory", self.records_cut),
        ] {
            write!(f, "\n{what}: {count} flows")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_was_counted() {
        let mut stats = Stats::default();
        for size in [60, 60, 1500] {
            stats.packet(size);
        }
        let mut other = Stats::default();
        other.packet(9000);
        stats.merge(&other);
        let sizes = stats.iter().next().unwrap().2;
        assert_eq!((sizes.len(), sizes.min()), (4, 60));
        assert!(
            stats
                .to_string()
                .lines()
                .nth(1)
                .unwrap()
                .contains("packet size (bytes)")
        );
    }
}
