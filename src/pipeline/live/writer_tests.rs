//! Outputs that take little, nothing, or not any more.

use std::thread;

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::*;
use crate::classify::UnknownReason;
use crate::encode::{ENCODERS, Options};
use crate::record::Intervals;
use crate::sink::Sink;
use crate::sink::encoded::Encoded;
use crate::usage::Closed;

/// Takes so many lines, then none until the next tick; what it took it holds until then.
struct Narrow {
    room: usize,
    left: usize,
    held: u64,
    lines: Sender<String>,
}

impl Sink for Narrow {
    fn head(&mut self, _: &[u8]) {}

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        if self.left == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left -= 1;
        self.held += 1;
        self.lines
            .send(String::from_utf8_lossy(line).into_owned())
            .unwrap();
        Ok(())
    }

    fn tick(&mut self, _: Timestamp) -> io::Result<()> {
        self.left = self.room;
        self.held = 0;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.held = 0;
        Ok(())
    }

    fn held(&self) -> u64 {
        self.held
    }
}

/// The end of a run.
fn ended(set: &Arc<SignatureSet>) -> RunRecord {
    RunRecord {
        run: minute(0),
        interfaces: [].into(),
        interval: None,
        set: Arc::clone(set),
        end: Some(RunEnd::default()),
    }
}

/// An interval of so many names, from this one of them all on.
fn closed(start: Timestamp, from: usize, count: usize) -> Arc<Closed> {
    let names = UnknownReason::ALL.into_iter().map(|reason| CellKey {
        unknown: Some(reason),
        ..CellKey::default()
    });
    let totals = Totals {
        flows: 1,
        ..Totals::default()
    };
    let names = names.skip(from).take(count);
    Arc::new(Closed {
        start,
        covered_from: start,
        covered_until: start,
        cells: names.map(|name| (name, totals)).collect(),
    })
}

fn usage(lines: impl Sink + 'static) -> Writer {
    let intervals = Intervals {
        length: Duration::from_secs(60).into(),
        run: None,
        interfaces: Arc::default(),
    };
    let output = Output {
        name: "test".to_owned(),
        records: Records::Usage,
        exporter: Box::new(Encoded::usage(
            &ENCODERS[0],
            &Options::default(),
            lines,
            intervals,
        )),
    };
    Writer::start(output, 1 << 17).unwrap()
}

fn minute(number: u64) -> Timestamp {
    Timestamp::new(60 * number, 0)
}

#[test]
fn an_interval_that_failed_goes_on_where_it_stopped() {
    // (lines a tick, ticks, records written of 5 intervals of 3 cells)
    for (room, ticks, written) in [
        (100, 1, 30),
        (7, 3, 28),
        (1, 10, 10),
        (7, 30, 30),
        (0, 3, 0),
    ] {
        let (lines_out, lines) = unbounded();
        let mut writer = usage(Narrow {
            room,
            left: 0,
            held: 0,
            lines: lines_out,
        });
        let set = Arc::new(SignatureSet::default());
        for number in 0..5 {
            assert_eq!(writer.interval(&closed(minute(number), 0, 3)), 0);
        }
        for tick in 0..ticks {
            writer.tick(minute(tick), &set);
            // Each is looked at before the next comes.
            while writer.thread.has_tick() {
                thread::yield_now();
            }
        }
        writer.close(&set, &ended(&set));
        let mut writers = [writer];
        Writer::wait_for(&mut writers);
        let said: Vec<serde_json::Value> = lines
            .try_iter()
            .map(|line| serde_json::from_str(&line).unwrap())
            .collect();
        let usage = said.iter().filter(|line| line["event_type"] == "usage");
        let places: Vec<_> = usage
            .map(|line| {
                (
                    line["sequence"].as_u64().unwrap(),
                    line["direction"] == "toclient",
                )
            })
            .collect();
        let expected: Vec<_> = (0..30).map(|place| (place / 6, place % 2 == 1)).collect();
        assert!(
            said.len() as u64 >= written,
            "{room} {ticks}: {}",
            said.len()
        );
        assert_eq!(places, expected[..places.len()], "{room} {ticks}");
        let [writer] = writers;
        // The last one tells that the run has ended.
        assert_eq!(writer.lost(), 31 - said.len() as u64, "{room} {ticks}");
    }
}

#[test]
fn an_output_that_hangs_is_given_up_at_the_end_and_its_records_counted() {
    struct Hung(Receiver<()>);
    impl Sink for Hung {
        fn head(&mut self, _: &[u8]) {}

        fn put(&mut self, _: &[u8]) -> io::Result<()> {
            let _ = self.0.recv();
            Ok(())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (release, hold) = unbounded();
    let (lines_out, lines) = unbounded();
    let good = Narrow {
        room: 100,
        left: 100,
        held: 0,
        lines: lines_out,
    };
    let mut writers = [usage(Hung(hold)), usage(good)];
    let set = Arc::new(SignatureSet::default());
    for writer in &mut writers {
        for number in 0..9 {
            writer.interval(&closed(minute(number), 0, 2));
            writer.tick(minute(number), &set);
        }
        writer.close(&set, &ended(&set));
    }
    Writer::wait_for(&mut writers);
    assert_eq!((writers[0].lost(), writers[1].lost()), (37, 0));
    assert_eq!(lines.try_iter().count(), 37);
    drop(release);
}

#[test]
fn intervals_that_wait_too_long_are_put_together() {
    // (the first name in the interval, how many; names of each interval that waits)
    let rows: [(usize, usize, &[usize]); 6] = [
        (0, 3, &[3]),
        (0, 3, &[3, 3]),
        (0, 3, &[3, 3]),
        (1, 3, &[3, 3]),
        (0, 3, &[4, 3]),
        (0, 1, &[4, 3, 1]),
    ];
    let (mut waiting, mut merged) = (Waiting::new(8), 0);
    for (place, (from, count, expected)) in (0..).zip(rows) {
        merged += waiting.add(closed(Timestamp(place), from, count));
        let held = waiting.intervals.iter().map(|one| one.cells.len());
        let held: Vec<usize> = held.collect();
        assert_eq!(held, expected, "{place}");
    }
    let (mut flows, mut starts) = (0, Vec::new());
    while let Some(interval) = waiting.take() {
        starts.push((interval.start.0, interval.covered_from.0));
        flows += interval
            .cells
            .values()
            .map(|totals| totals.flows)
            .sum::<u64>();
    }
    assert_eq!((flows, merged, waiting.cells), (16, 3, 0));
    // What the first of them also counts is of the time before.
    assert_eq!(starts, [(3, 0), (4, 4), (5, 5)]);
}
