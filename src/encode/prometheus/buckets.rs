//! A distribution kept fine (`hdrhistogram`) as the few fixed buckets monitoring wants.

use hdrhistogram::Histogram;

/// Bytes of a frame: the classes of RMON (RFC 2819), then larger frames.
pub(crate) const PACKET_SIZE: &[f64] = &[
    64.0, 127.0, 255.0, 511.0, 1023.0, 1518.0, 2047.0, 4095.0, 9216.0, 65535.0,
];

/// Packets of a flow: an opening ends after 32 of each side at most.
pub(crate) const SETTLE_PACKETS: &[f64] = &[
    1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0, 32.0, 64.0,
];

/// Bytes of a flow: an opening ends after 16 KiB of each side at most.
pub(crate) const SETTLE_BYTES: &[f64] = &[
    128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0, 65536.0,
];

/// Seconds for a batch of frames.
pub(crate) const BATCH_SECONDS: &[f64] = &[
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 1.0,
];

/// How many values lie in each bucket, and their sum.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Buckets {
    /// Upper bounds, the last infinite, and the values between a bound and the one before.
    pub(crate) counts: Vec<(f64, u64)>,
    /// The sum of all values, as exact as the histogram is (1 %).
    pub(crate) sum: f64,
}

impl Buckets {
    /// The values of `histogram`, each divided by `divisor`, in buckets up to `bounds`.
    ///
    /// Values the histogram does not tell apart go together: those whose class begins at a bound
    /// or before it count as up to that bound. A value's class never changes, so counts and sum
    /// only grow.
    #[allow(
        clippy::cast_precision_loss,
        reason = "a double is what the formats carry"
    )]
    pub(crate) fn new(histogram: &Histogram<u64>, bounds: &[f64], divisor: f64) -> Self {
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        let mut counts: Vec<(f64, u64)> = bounds.map(|bound| (bound, 0)).collect();
        let mut sum = 0_u128;
        for step in histogram.iter_recorded() {
            let value = step.value_iterated_to();
            let count = step.count_since_last_iteration();
            sum += u128::from(histogram.median_equivalent(value)) * u128::from(count);
            let lowest = histogram.lowest_equivalent(value) as f64 / divisor;
            if let Some(bucket) = counts.iter_mut().find(|(bound, _)| lowest <= *bound) {
                bucket.1 += count;
            }
        }
        Self {
            counts,
            sum: sum as f64 / divisor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_is_inside_and_one_past_it_is_not() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 1 << 40, 2).unwrap();
        for value in [64, 65, 128, 129, 1 << 30] {
            histogram.record(value).unwrap();
        }
        let buckets = Buckets::new(&histogram, &[64.0, 128.0], 1.0);
        assert_eq!(buckets.counts, [(64.0, 1), (128.0, 2), (f64::INFINITY, 2)]);
        let exact = f64::from(64 + 65 + 128 + 129 + (1 << 30));
        assert!(
            (buckets.sum / exact - 1.0).abs() < 0.01,
            "sum {}",
            buckets.sum
        );
    }

    #[test]
    fn nanoseconds_become_seconds() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 1 << 40, 2).unwrap();
        histogram.record(40_000).unwrap();
        let buckets = Buckets::new(&histogram, BATCH_SECONDS, 1e9);
        let hit = buckets.counts.iter().find(|(_, count)| *count > 0).unwrap();
        assert_eq!(hit.0, 0.00005);
        assert!((buckets.sum - 40e-6).abs() < 1e-6);
    }

    #[test]
    fn bounds_grow() {
        for bounds in [PACKET_SIZE, SETTLE_PACKETS, SETTLE_BYTES, BATCH_SECONDS] {
            assert!(bounds.is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn an_empty_histogram_has_all_its_buckets() {
        let histogram = Histogram::<u64>::new_with_bounds(1, 1 << 40, 2).unwrap();
        let buckets = Buckets::new(&histogram, &[1.0], 1.0);
        assert_eq!(buckets.counts, [(1.0, 0), (f64::INFINITY, 0)]);
        assert_eq!(buckets.sum, 0.0);
    }
}
