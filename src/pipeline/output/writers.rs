//! The outputs of a `read`: who has records for them waits where they do not keep up, so nothing is lost.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::order::{Batch, Interval, Usage};
use super::thread::{Output, OutputThread, Pace};
use crate::record::FlowRecord;
use crate::signature::SignatureSet;
use crate::sink::Exporter;
use crate::usage::Closed;

/// Orders that wait for a thread: one is worked on meanwhile. Each has what a block of the capture gave at
/// most.
const ORDERS: usize = 2;

/// Outputs, each with a thread that writes. The first error of any of them is the error of all.
pub struct Writers {
    threads: Vec<OutputThread>,
    set: Arc<SignatureSet>,
}

impl Writers {
    /// Starts the threads of outputs whose records are named by `set`.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn start(outputs: Vec<Output>, set: &Arc<SignatureSet>) -> io::Result<Self> {
        let outputs = outputs.into_iter();
        let threads = outputs.map(|output| OutputThread::start(output, Pace::Waiting(ORDERS)));
        Ok(Self {
            threads: threads.collect::<Result<_, _>>()?,
            set: Arc::clone(set),
        })
    }

    /// Tells all threads; the error of one that takes nothing any more.
    fn tell(&mut self, tell: impl Fn(&OutputThread) -> bool) -> io::Result<()> {
        for thread in &mut self.threads {
            if !tell(thread) {
                return thread.join();
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Writers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.threads.iter().map(OutputThread::name);
        f.debug_list().entries(names).finish()
    }
}

impl Exporter for Writers {
    fn flow(&mut self, record: &FlowRecord, set: &SignatureSet) -> io::Result<()> {
        self.flows(vec![record.clone()], set)
    }

    fn flows(&mut self, records: Vec<FlowRecord>, _: &SignatureSet) -> io::Result<()> {
        let batch = Arc::new(Batch::new(records, Arc::clone(&self.set)));
        self.tell(|thread| thread.flows(&batch))
    }

    fn interval(&mut self, closed: &Closed, sequence: u64, set: &SignatureSet) -> io::Result<()> {
        self.closed(closed.clone(), sequence, set)
    }

    fn closed(&mut self, closed: Closed, sequence: u64, _: &SignatureSet) -> io::Result<()> {
        let (closed, set) = (Arc::new(closed), Arc::clone(&self.set));
        self.tell(|thread| {
            thread.usage(Usage::Interval(Interval {
                closed: Arc::clone(&closed),
                sequence,
                set: Arc::clone(&set),
            }))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tell(OutputThread::flush)
    }

    fn finish(&mut self) -> io::Result<()> {
        // All at once, not one behind the other.
        self.threads.iter_mut().for_each(OutputThread::close);
        let ended = self.threads.iter_mut().map(OutputThread::join);
        ended.fold(Ok(()), io::Result::and)
    }

    fn dropped(&self) -> u64 {
        self.threads.iter().map(OutputThread::dropped).sum()
    }
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

    use super::*;
    use crate::record::{Records, samples};

    /// Takes so many records, each when it may; then fails.
    struct Slow {
        room: usize,
        may: Receiver<()>,
        taken: Sender<u64>,
        panics: bool,
    }

    impl Exporter for Slow {
        fn flow(&mut self, record: &FlowRecord, _: &SignatureSet) -> io::Result<()> {
            let _ = self.may.recv();
            assert!(!self.panics, "asked to");
            if self.room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= 1;
            let _ = self.taken.send(record.flow_id);
            Ok(())
        }

        fn interval(&mut self, _: &Closed, _: u64, _: &SignatureSet) -> io::Result<()> {
            Ok(())
        }

        fn finish(&mut self) -> io::Result<()> {
            match self.room {
                0 => Err(io::ErrorKind::StorageFull.into()),
                _ => Ok(()),
            }
        }
    }

    /// An output that takes so much, what it may be given with, and what it has taken.
    fn slow(room: usize, panics: bool) -> (Output, Sender<()>, Receiver<u64>) {
        let ((let_it, may), (taken, took)) = (unbounded(), unbounded());
        let exporter = Box::new(Slow {
            room,
            may,
            taken,
            panics,
        });
        let output = Output {
            name: "test".to_owned(),
            records: Records::Flows,
            exporter,
        };
        (output, let_it, took)
    }

    fn record(number: u64) -> FlowRecord {
        FlowRecord {
            flow_id: number,
            ..samples::sparse()
        }
    }

    #[test]
    fn who_has_records_waits_and_all_are_written_in_order() {
        let set = Arc::new(SignatureSet::default());
        let (output, let_it, took) = slow(usize::MAX, false);
        let (done, is_done) = bounded(1);
        let thread = std::thread::spawn(move || {
            let mut writers = Writers::start(vec![output], &set).unwrap();
            for number in 0..9 {
                writers.flows(vec![record(number)], &set).unwrap();
            }
            done.send(()).unwrap();
            writers.finish().unwrap();
        });
        // One is worked on, and so many wait: there is room for no further one.
        let_it.send(()).unwrap();
        assert_eq!(took.recv(), Ok(0));
        assert!(is_done.try_recv().is_err());
        drop(let_it);
        thread.join().unwrap();
        is_done.recv().unwrap();
        assert_eq!(took.iter().collect::<Vec<_>>(), (1..9).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_error_is_the_end() {
        let set = Arc::new(SignatureSet::default());
        for (panics, kind) in [
            (false, io::ErrorKind::StorageFull),
            (true, io::ErrorKind::Other),
        ] {
            let (output, let_it, took) = slow(2, panics);
            let (other, let_other, others) = slow(usize::MAX, false);
            drop((let_it, let_other));
            let mut writers = Writers::start(vec![other, output], &set).unwrap();
            // More than there is room for: at the latest the last one meets the error.
            let told = (0..99).try_for_each(|number| writers.flows(vec![record(number)], &set));
            assert_eq!(told.unwrap_err().kind(), kind);
            assert!(
                writers.finish().is_ok(),
                "it has been told, and the other one is whole"
            );
            assert_eq!(took.iter().count(), if panics { 0 } else { 2 });
            assert!(others.iter().count() > 0);
        }
        // What is only found at the end.
        let (output, let_it, _took) = slow(1, false);
        drop(let_it);
        let mut writers = Writers::start(vec![output], &set).unwrap();
        writers.flows(vec![record(1)], &set).unwrap();
        let error = writers.finish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
