//! Numbers as people read them, the same in the summary, on the status line and in the view.

use std::time::Duration;

/// `12_345_678` as `12,345,678`.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes with a decimal prefix, as volume is billed: `1.50 GB`.
pub(crate) fn bytes(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}

/// Memory, files and limits, as settings are written: the largest binary unit of which there is a
/// whole number. `64MiB`, `65535B`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    let unit = UNITS
        .iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    let &(unit, name) = unit.unwrap_or(&(1, "B"));
    format!("{}{name}", bytes / unit)
}

/// A length of time, as settings are written: `1h 30m`, `5ms`.
pub(crate) fn period(length: Duration) -> String {
    humantime::format_duration(length).to_string()
}

/// A rate of `bytes` in `time` as links are rated: `812 Mbit/s`.
pub(crate) fn bits_per_second(bytes: u64, time: Duration) -> String {
    format!("{}bit/s", scaled(per_second(bytes, time) * 8.0))
}

/// A rate of `packets` in `time`: `101 kpps`.
pub(crate) fn packets_per_second(packets: u64, time: Duration) -> String {
    format!("{}pps", scaled(per_second(packets, time)))
}

/// A count in three digits, for narrow columns: `1.23 M`.
pub(crate) fn short(value: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let text = scaled(value as f64);
    text.trim_end().to_owned()
}

/// How many a second; zero for no time.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn per_second(value: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 {
        value as f64 / seconds
    } else {
        0.0
    }
}

/// A share with one decimal, for columns: `41.3 %`; a dash where there is no whole.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    share(part, whole).map_or_else(|| "-".to_owned(), |share| format!("{share:.1} %"))
}

/// A share with two digits, for sentences: `41 %`, `3.1 %`.
pub(crate) fn brief_percent(part: u64, whole: u64) -> String {
    match share(part, whole) {
        None => "-".to_owned(),
        Some(0.0) => "0 %".to_owned(),
        Some(share) if share >= 9.95 => format!("{share:.0} %"),
        Some(share) => format!("{share:.1} %"),
    }
}

/// A time span as a clock shows it: `04:05:06`, `3d 04:05:06`.
pub(crate) fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    if days > 0 {
        format!("{days}d {hours:02}:{minutes:02}:{seconds:02}")
    } else {
        format!("{hours:02}:{minutes:02}:{seconds:02}")
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share is shown with one decimal"
)]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| 100.0 * part as f64 / whole as f64)
}

/// Three digits, a space and the decimal prefix.
fn scaled(value: f64) -> String {
    const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut value = value.max(0.0);
    let mut prefixes = PREFIXES.iter();
    let mut prefix = prefixes.next().copied().unwrap_or_default();
    // From 999.5 on three digits are not enough to say it.
    while value >= 999.5
        && let Some(next) = prefixes.next()
    {
        value /= 1000.0;
        prefix = next;
    }
    let decimals = match value {
        _ if prefix.is_empty() => 0,
        small if small < 9.995 => 2,
        middle if middle < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {prefix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_digits() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(value), text);
        }
    }

    #[test]
    fn sizes_are_exact() {
        for (bytes, text) in [
            (0, "0B"),
            (1, "1B"),
            (65_535, "65535B"),
            (16 << 10, "16KiB"),
            (1536, "1536B"),
            (64 << 20, "64MiB"),
            (1536 << 20, "1536MiB"),
            (2 << 30, "2GiB"),
            (3 << 40, "3TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn rates_have_three_digits() {
        let second = Duration::from_secs(1);
        for (bytes, time, text) in [
            (0, second, "0 bit/s"),
            (100, second, "800 bit/s"),
            (125, second, "1.00 kbit/s"),
            (101_500_000, second, "812 Mbit/s"),
            (101_500_000, 10 * second, "81.2 Mbit/s"),
            (124_999_999, second, "1.00 Gbit/s"),
            (u64::MAX, second, "148 Ebit/s"),
            (5, Duration::ZERO, "0 bit/s"),
        ] {
            assert_eq!(bits_per_second(bytes, time), text);
        }
        assert_eq!(packets_per_second(6_060_000, 60 * second), "101 kpps");
        assert_eq!(packets_per_second(30, 60 * second), "0 pps");
    }

    #[test]
    fn counts_in_three_digits() {
        for (value, text) in [(0, "0"), (999, "999"), (1_234_567, "1.23 M")] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn shares() {
        for (part, whole, column, sentence) in [
            (0, 0, "-", "-"),
            (0, 7, "0.0 %", "0 %"),
            (31, 1000, "3.1 %", "3.1 %"),
            (412, 1000, "41.2 %", "41 %"),
            (7, 7, "100.0 %", "100 %"),
        ] {
            assert_eq!(percent(part, whole), column);
            assert_eq!(brief_percent(part, whole), sentence);
        }
    }

    #[test]
    fn spans_as_a_clock() {
        for (seconds, text) in [
            (0, "00:00:00"),
            (3_723, "01:02:03"),
            (90_061, "1d 01:01:01"),
        ] {
            assert_eq!(clock(Duration::from_secs(seconds)), text);
        }
    }
}
