//! Records of one kind, encoded, into a sink.

use std::io;
use std::sync::Arc;

use super::exporter::{Exporter, Rest};
use super::way::Sink;
use crate::encode::{Encode, Encoder, Options};
use crate::record::{
    FlowRecord, FlowView, Interval, Intervals, KeptBack, Only, Records, RunEnd, RunRecord,
    UsageRecord,
};
use crate::signature::SignatureSet;
use crate::time::Timestamp;
use crate::usage::Closed;

/// Gives encoded records to a sink, one by one.
#[derive(Debug)]
pub struct Encoded<S: Sink> {
    sink: S,
    encoder: Box<dyn Encode>,
    /// The record that is made.
    record: Vec<u8>,
    /// Bytes of the head that the sink knows.
    told: usize,
    /// Of many records together, what the sink did not take; and how many they are.
    left: Vec<u8>,
    left_records: u64,
    /// With that its file ends.
    ends: bool,
    /// Of usage records; without, these are flow records.
    usage: Option<Intervals>,
    /// The records that are written; without, all.
    only: Option<Arc<Only>>,
    /// Intervals none of whose records were written: they have no number.
    intervals_kept_back: u64,
    rest: Rest,
}

impl<S: Sink> Encoded<S> {
    /// Flow records into `sink`.
    pub fn flows(encoder: &Encoder, options: &Options, sink: S) -> Self {
        Self::new((encoder.make)(Records::Flows, options), sink, None)
    }

    /// Usage records into `sink`.
    pub fn usage(encoder: &Encoder, options: &Options, sink: S, intervals: Intervals) -> Self {
        let encoder = (encoder.make)(Records::Usage, options);
        Self::new(encoder, sink, Some(intervals))
    }

    const fn new(encoder: Box<dyn Encode>, sink: S, usage: Option<Intervals>) -> Self {
        Self {
            sink,
            encoder,
            record: Vec::new(),
            told: 0,
            left: Vec::new(),
            left_records: 0,
            ends: false,
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

    /// Gives the record that was made to the sink.
    fn put(&mut self) -> io::Result<()> {
        let head = self.encoder.head();
        if head.len() > self.told {
            self.sink.head(head);
            self.told = head.len();
        }
        // The encoder holds it.
        if self.record.is_empty() {
            return Ok(());
        }
        self.sink.put(&self.record)
    }

    /// Encodes a record and gives it on.
    fn encode(
        &mut self,
        encode: impl FnOnce(&mut dyn Encode, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.give_left()?;
        let held = self.encoder.held();
        self.record.clear();
        encode(&mut *self.encoder, &mut self.record)?;
        let put = self.put();
        if put.is_err() && held > 0 {
            self.leave(held);
            return Ok(());
        }
        put?;
        if self.sink.is_due() {
            // Tried again at the next tick.
            let _ = self.end();
        }
        Ok(())
    }

    /// What was made of so many records has to wait.
    fn leave(&mut self, records: u64) {
        self.left.append(&mut self.record);
        self.left_records += records;
    }

    /// Gives on what had to wait.
    fn give_left(&mut self) -> io::Result<()> {
        if !self.left.is_empty() {
            self.sink.put(&self.left)?;
            self.left.clear();
            self.left_records = 0;
        }
        if self.ends {
            self.sink.end()?;
            self.ends = false;
        }
        Ok(())
    }

    /// Ends the file.
    fn end(&mut self) -> io::Result<()> {
        self.give_left()?;
        let held = self.encoder.held();
        self.record.clear();
        self.encoder.finish(&mut self.record)?;
        self.leave(held);
        self.ends = true;
        self.give_left()
    }

    fn usage_record(&mut self, record: &UsageRecord<'_>) -> io::Result<()> {
        self.encode(|encoder, out| encoder.usage(record, out))
    }
}

impl<S: Sink> Exporter for Encoded<S> {
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
        self.encode(|encoder, out| encoder.flow(&view, out))
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
        let interfaces = Arc::clone(&intervals.interfaces);
        let all = || UsageRecord::all(&whole, &closed.cells, set, &interfaces);
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
        let records = UsageRecord::all(&interval, &closed.cells, set, &interfaces).zip(all());
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
        // Those that were kept back whole have no number.
        let end = record.end.map(|end| RunEnd {
            intervals: end.intervals.saturating_sub(self.intervals_kept_back),
            ..end
        });
        let record = RunRecord {
            end,
            ..record.clone()
        };
        self.encode(|encoder, out| encoder.run(&record, out))
    }

    fn tick(&mut self, at: Timestamp) -> io::Result<()> {
        self.give_left()?;
        self.sink.tick(at)?;
        if self.sink.is_due() {
            self.end()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.end()?;
        self.sink.finish()
    }

    fn dropped(&self) -> u64 {
        self.sink.dropped()
    }

    fn held(&self) -> u64 {
        self.encoder.held() + self.left_records + self.sink.held() + self.rest.records()
    }
}
