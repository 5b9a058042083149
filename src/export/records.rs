//! Records of one kind, encoded, as lines.

use std::io;
use std::sync::Arc;

use super::lines::Lines;
use super::{Exporter, Rest};
use crate::encode::{Encode, Encoder};
use crate::record::{
    FlowRecord, FlowView, Interval, Intervals, KeptBack, Only, RunEnd, RunRecord, UsageRecord,
};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::Closed;

/// Gives encoded records to `writer`, one by one.
#[derive(Debug)]
pub struct Records<W: Lines> {
    writer: W,
    encoder: Box<dyn Encode>,
    /// The record that is made.
    line: Vec<u8>,
    has_header: bool,
    /// Of usage records; without, these are flow records.
    usage: Option<Intervals>,
    /// The records that are written; without, all.
    only: Option<Arc<Only>>,
    /// Intervals none of whose records were written: they have no number.
    intervals_kept_back: u64,
    rest: Rest,
}

impl<W: Lines> Records<W> {
    /// Flow records into `writer`.
    pub fn flows(encoder: &Encoder, writer: W) -> Self {
        Self::new(encoder, writer, None)
    }

    /// Usage records into `writer`.
    pub fn usage(encoder: &Encoder, writer: W, intervals: Intervals) -> Self {
        Self::new(encoder, writer, Some(intervals))
    }

    fn new(encoder: &Encoder, mut writer: W, usage: Option<Intervals>) -> Self {
        writer.may_pad(encoder.blanks_mean_nothing);
        Self {
            writer,
            encoder: (encoder.make)(),
            line: Vec::new(),
            has_header: false,
            usage,
            only: None,
            intervals_kept_back: 0,
            rest: Rest::new(),
        }
    }

    /// Gives only those that `only` takes.
    #[must_use]
    pub fn only(mut self, only: Option<Arc<Only>>) -> Self {
        self.only = only;
        self
    }

    /// Says what stands at the head of each file, before the first record.
    fn head(&mut self) -> io::Result<()> {
        if self.has_header {
            return Ok(());
        }
        self.line.clear();
        match self.usage {
            None => self.encoder.flow_header(&mut self.line),
            Some(_) => self.encoder.usage_header(&mut self.line),
        }
        if !self.line.is_empty() {
            self.writer.header(&self.line)?;
        }
        self.has_header = true;
        Ok(())
    }

    fn usage_record(&mut self, record: &UsageRecord<'_>) -> io::Result<()> {
        self.head()?;
        self.line.clear();
        self.encoder.usage(record, &mut self.line)?;
        self.writer.line(&self.line)
    }
}

impl<W: Lines> Exporter for Records<W> {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        if self.usage.is_some() {
            return Ok(());
        }
        let view = FlowView::new(record, set);
        if let Some(only) = &self.only
            && !only.takes_flow(&view)
        {
            only.count(KeptBack { flows: 1, usage: 0 });
            return Ok(());
        }
        self.head()?;
        self.line.clear();
        self.encoder.flow(&view, &mut self.line)?;
        self.writer.line(&self.line)
    }

    fn interval(&mut self, closed: &Closed, sequence: u64, set: &SignatureSet) -> io::Result<()> {
        let Some(intervals) = &self.usage else {
            return Ok(());
        };
        let whole = Interval::new(closed, sequence, intervals);
        let only = self.only.clone();
        let takes = |record: &UsageRecord<'_>| {
            let only = only.as_ref();
            only.is_none_or(|only| only.takes_usage(record))
        };
        let all = || UsageRecord::all(&whole, &closed.cells, set);
        let interval = Interval {
            records: match only {
                Some(_) => all().filter(takes).count(),
                None => whole.records,
            },
            sequence: sequence - self.intervals_kept_back,
            ..whole
        };
        let first = self.rest.take(sequence);
        // Chosen by what they say of the whole interval; they tell how many are written.
        let records = UsageRecord::all(&interval, &closed.cells, set).zip(all());
        let records = records.filter(|(_, record)| takes(record));
        let records = records.map(|(record, _)| record);
        for (place, record) in records.enumerate().skip(first) {
            if let Err(error) = self.usage_record(&record) {
                self.rest.keep(sequence, place, interval.records);
                return Err(error);
            }
        }
        if let Some(only) = &only {
            let usage = (whole.records - interval.records) as u64;
            only.count(KeptBack { flows: 0, usage });
            self.intervals_kept_back += u64::from(interval.records == 0);
        }
        Ok(())
    }

    fn run(&mut self, record: &RunRecord) -> io::Result<()> {
        if self.usage.is_none() {
            return Ok(());
        }
        self.head()?;
        self.line.clear();
        // Those that were kept back whole have no number.
        let end = record.end.map(|end| RunEnd {
            intervals: end.intervals.saturating_sub(self.intervals_kept_back),
            ..end
        });
        let record = RunRecord {
            end,
            ..record.clone()
        };
        self.encoder.run(&record, &mut self.line)?;
        if self.line.is_empty() {
            return Ok(());
        }
        self.writer.line(&self.line)
    }

    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        self.writer.tick(at)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn held(&self) -> u64 {
        self.writer.held() + self.rest.records()
    }
}
