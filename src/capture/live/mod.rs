//! Live sources of frames: each is a [`Source`] of blocks, whatever is behind it.
//!
//! A source belongs to one capture thread. It never waits longer than it is told to, and what it
//! could not take in is counted where it was lost, see [`Counts`].
//!
//! [`Interface`] captures through libpcap, `tap` holds its handle. `fanout` says how the kernel
//! shares frames between threads, `socket` sets what libpcap does not, `link` asks what has become
//! of an interface. [`Datagrams`] takes frames that a mirror sends as VXLAN or GENEVE,
//! [`CaptureStream`] a capture that comes over TCP; [`Place`] says which it is. `course` numbers frames
//! and keeps the time for all of them, `set_back` tells when the clock was set back, `limit` ends a run after so many frames.

mod course;
mod datagrams;
mod error;
mod fanout;
mod interface;
mod limit;
mod link;
mod place;
mod set_back;
mod socket;
mod source;
mod stream;
mod tap;

pub use datagrams::Datagrams;
pub use error::Error;
pub use interface::Interface;
pub use limit::{Budget, Limited};
pub use place::{Mirror, Place};
pub use source::{Arrival, Counts, Fanout, LinkState, Options, Source};
pub use stream::CaptureStream;
pub use tap::MAX_BLOCK;
