//! The end of the input before its end, because somebody asks for it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells readers when their input is to be taken for ended. By default never.
#[derive(Clone, Debug, Default)]
pub struct Stop(Option<Arc<Asked>>);

#[derive(Debug)]
struct Asked {
    is_asked: Arc<AtomicBool>,
    wakes: Option<OwnedFd>,
}

impl Stop {
    /// Asked for once `is_asked` is set. From then on `wakes` must be readable: it wakes those who
    /// wait for input, and nobody reads it.
    pub fn new(is_asked: Arc<AtomicBool>, wakes: OwnedFd) -> Self {
        Self(Some(Arc::new(Asked {
            is_asked,
            wakes: Some(wakes),
        })))
    }

    /// Asked for once `is_asked` is set. Who waits for a pipe is not woken by it.
    pub fn between_blocks(is_asked: Arc<AtomicBool>) -> Self {
        Self(Some(Arc::new(Asked {
            is_asked,
            wakes: None,
        })))
    }

    /// Whether the input is to be taken for ended.
    pub fn is_asked(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|asked| asked.is_asked.load(Ordering::SeqCst))
    }

    /// What becomes readable when it is asked for.
    pub(super) fn wakes(&self) -> Option<BorrowedFd<'_>> {
        self.0.as_ref()?.wakes.as_ref().map(OwnedFd::as_fd)
    }
}

impl PartialEq for Stop {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            _ => false,
        }
    }
}

impl Eq for Stop {}
