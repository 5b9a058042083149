//! Metric families as data, and their two text forms: Prometheus text 0.0.4, written here, and
//! OpenMetrics 1.0, written by `prometheus-client`.
//!
//! Which families there are, `view::metrics` says. `buckets` makes histograms.

pub(crate) mod buckets;

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabel, EncodeLabelSet};
use prometheus_client::encoding::{LabelSetEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{self, Registry};

use self::buckets::Buckets;

/// A text form of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text exposition format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The `Content-Type` of the form.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The form an `Accept` header (RFC 9110 section 12.5.1) likes best: OpenMetrics where it is named
    /// and no less wanted than text, else text, which is what everything understands.
    pub fn accepted<'a>(accept: impl Iterator<Item = &'a str>) -> Self {
        let (mut open_metrics, mut text) = (0.0_f32, 0.0_f32);
        for range in accept.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0_f32, None);
            for parameter in parts {
                match parameter.split_once('=') {
                    Some((name, value)) if name.eq_ignore_ascii_case("q") => {
                        quality = value.parse().unwrap_or(0.0);
                    }
                    Some((name, value)) if name.eq_ignore_ascii_case("version") => {
                        version = Some(value.trim_matches('"'));
                    }
                    _ => {}
                }
            }
            match (kind.as_str(), version) {
                ("application/openmetrics-text", None | Some("1.0.0")) => {
                    open_metrics = open_metrics.max(quality);
                }
                ("text/plain", _) => text = text.max(quality),
                _ => {}
            }
        }
        if open_metrics > 0.0 && open_metrics >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }
}

/// How a family's values behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts of values up to fixed bounds, their number and their sum.
    Histogram,
    /// Always 1; the labels tell.
    Info,
}

impl Kind {
    /// The word of the formats.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// A base unit, as it ends a family's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// `_bytes`
    Bytes,
    /// `_seconds`
    Seconds,
}

impl Unit {
    /// The name's ending.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Bytes => "_bytes",
            Self::Seconds => "_seconds",
        }
    }
}

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// How its values behave.
    pub kind: Kind,
    /// The name without the unit and without the kind's ending (`_total`, `_info`).
    pub stem: &'static str,
    /// Its unit, where it has one.
    pub unit: Option<Unit>,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells, in a sentence. Neither form escapes it: no backslash, no line break.
    pub help: &'static str,
}

impl Descriptor {
    /// The name queries use: `ottometer_wire_bytes_total`. A histogram's series have further
    /// endings.
    pub fn name(&self) -> String {
        let unit = self.unit.map_or("", Unit::suffix);
        let ending = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        format!("{}{unit}{ending}", self.stem)
    }
}

/// Label values, in the order of [`Descriptor::labels`].
pub(crate) type Labels = Arc<[Cow<'static, str>]>;

/// One value of a family.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) labels: Labels,
    pub(crate) value: Value,
}

/// What was counted or measured.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Whole(u64),
    Real(f64),
    Distribution(Buckets),
}

/// A family and its values at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Family {
    pub(crate) descriptor: Descriptor,
    pub(crate) samples: Vec<Sample>,
}

/// All families of one moment.
#[derive(Clone, Debug)]
pub struct Families(pub(crate) Vec<Family>);

impl Families {
    /// The families in this form.
    ///
    /// # Errors
    ///
    /// Never in practice: only writing to the text could fail.
    pub fn render(self, format: Format) -> Result<String, fmt::Error> {
        let mut out = String::new();
        match format {
            Format::Text => self.write_text(&mut out)?,
            Format::OpenMetrics => {
                let mut registry = Registry::default();
                registry.register_collector(Box::new(self));
                text::encode(&mut out, &registry)?;
            }
        }
        Ok(out)
    }

    /// The older form differs: a counter's family carries the `_total` of its series, there are
    /// no units, no end mark and no `info` (a gauge of 1 stands for it).
    fn write_text(&self, out: &mut String) -> fmt::Result {
        for Family {
            descriptor,
            samples,
        } in &self.0
        {
            let name = descriptor.name();
            let kind = match descriptor.kind {
                Kind::Info => Kind::Gauge,
                kind => kind,
            };
            writeln!(out, "# HELP {name} {}", descriptor.help)?;
            writeln!(out, "# TYPE {name} {}", kind.slug())?;
            for sample in samples {
                let labels = descriptor.labels.iter().copied().zip(&*sample.labels);
                let line = |out: &mut String, ending: &str, bound: Option<f64>| {
                    write!(out, "{name}{ending}")?;
                    write_labels(out, labels.clone(), bound)
                };
                match &sample.value {
                    Value::Whole(value) => {
                        line(out, "", None)?;
                        writeln!(out, " {value}")?;
                    }
                    Value::Real(value) => {
                        line(out, "", None)?;
                        writeln!(out, " {value}")?;
                    }
                    Value::Distribution(buckets) => {
                        let mut cumulative = 0;
                        for &(bound, count) in &buckets.counts {
                            cumulative += count;
                            line(out, "_bucket", Some(bound))?;
                            writeln!(out, " {cumulative}")?;
                        }
                        line(out, "_sum", None)?;
                        writeln!(out, " {}", buckets.sum)?;
                        line(out, "_count", None)?;
                        writeln!(out, " {cumulative}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// `{name="value",...}`, or nothing where there are no labels.
fn write_labels<'a>(
    out: &mut String,
    labels: impl Iterator<Item = (&'static str, &'a Cow<'static, str>)>,
    bound: Option<f64>,
) -> fmt::Result {
    let mut before = '{';
    for (name, value) in labels {
        write!(out, "{before}{name}=\"")?;
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
        before = ',';
    }
    if let Some(bound) = bound {
        // A bound is written as OpenMetrics does (`64.0`), so that both forms give one series.
        let point = if bound.fract() == 0.0 { ".0" } else { "" };
        if bound == f64::INFINITY {
            write!(out, "{before}le=\"+Inf\"")?;
        } else {
            write!(out, "{before}le=\"{bound}{point}\"")?;
        }
        before = ',';
    }
    if before == ',' {
        out.push('}');
    }
    Ok(())
}

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let Descriptor {
                kind,
                stem,
                unit,
                labels,
                help,
            } = family.descriptor;
            let unit = unit.map(|unit| match unit {
                Unit::Bytes => registry::Unit::Bytes,
                Unit::Seconds => registry::Unit::Seconds,
            });
            let metric_type = match kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
                Kind::Info => MetricType::Info,
            };
            let mut metric = encoder.encode_descriptor(stem, help, unit.as_ref(), metric_type)?;
            for sample in &family.samples {
                let pairs = Pairs(labels, &sample.labels);
                if kind == Kind::Info {
                    metric.encode_info(&pairs)?;
                } else if labels.is_empty() {
                    encode_value(&mut metric, kind, &sample.value)?;
                } else {
                    encode_value(&mut metric.encode_family(&pairs)?, kind, &sample.value)?;
                }
            }
        }
        Ok(())
    }
}

fn encode_value(metric: &mut MetricEncoder<'_>, kind: Kind, value: &Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Whole(value)) => {
            metric.encode_counter::<NoLabelSet, _, u64>(value, None)
        }
        (Kind::Counter, Value::Real(value)) => {
            metric.encode_counter::<NoLabelSet, _, u64>(value, None)
        }
        (_, Value::Whole(value)) => metric.encode_gauge(value),
        (_, Value::Real(value)) => metric.encode_gauge(value),
        (_, Value::Distribution(Buckets { counts, sum })) => {
            let count = counts.iter().map(|&(_, count)| count).sum();
            metric.encode_histogram::<NoLabelSet>(*sum, count, counts, None)
        }
    }
}

/// Names and values of one sample's labels.
#[derive(Debug)]
struct Pairs<'a>(&'static [&'static str], &'a [Cow<'static, str>]);

impl EncodeLabelSet for Pairs<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        for (&name, value) in self.0.iter().zip(self.1) {
            (name, &**value).encode(encoder.encode_label())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiates_the_form() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
            application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let cases = [
            (&[] as &[&str], Format::Text),
            (&["*/*"], Format::Text),
            (&["text/html", "*/*"], Format::Text),
            (&[prometheus_2], Format::OpenMetrics),
            (&[prometheus_3], Format::OpenMetrics),
            (&["Application/OpenMetrics-Text"], Format::OpenMetrics),
            (
                &["application/openmetrics-text; version=\"1.0.0\""],
                Format::OpenMetrics,
            ),
            (
                &["application/openmetrics-text;version=0.0.1"],
                Format::Text,
            ),
            (&["application/openmetrics-text;q=0"], Format::Text),
            (&["application/openmetrics-text;q=x"], Format::Text),
            (
                &[
                    "text/plain;version=0.0.4",
                    "application/openmetrics-text;q=0.5",
                ],
                Format::Text,
            ),
            (
                &["text/plain;q=0.5", "application/openmetrics-text"],
                Format::OpenMetrics,
            ),
            (&[";;=,,q=,"], Format::Text),
        ];
        for (accept, format) in cases {
            assert_eq!(
                Format::accepted(accept.iter().copied()),
                format,
                "{accept:?}"
            );
        }
    }
}
