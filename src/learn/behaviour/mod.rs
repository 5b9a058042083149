//! What named flows of a site do, to learn from: [`Examples`]. [`train`] makes a forest of them (with the
//! cargo feature `behaviour`), measured on flows that it was not made of.

mod examples;
#[cfg(feature = "behaviour")]
mod held_out;
#[cfg(feature = "behaviour")]
mod train;

pub use examples::{Example, Examples};
#[cfg(feature = "behaviour")]
pub use train::{TrainError, train};
