//! What the decoder may use.

use std::time::Duration;

/// What the decoder may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How deep tunnels may nest.
    pub max_depth: u8,
    /// Bytes of fragments held at a time, what is kept about them included.
    pub fragment_bytes: usize,
    /// How long, in frame time, a datagram may stay incomplete.
    pub fragment_timeout: Duration,
    /// Remember the numbers of a datagram's frames.
    pub frame_numbers: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_depth: 8,
            fragment_bytes: 4 << 20,
            fragment_timeout: Duration::from_secs(30),
            frame_numbers: false,
        }
    }
}
