//! Where the rules of a live run come from, and what is said of them.

use crate::config::Settings;
use crate::signature::{Diagnostic, Loader};

/// Says what may not be meant so about the rules that are in use.
pub(super) fn warn_of(loader: &Loader) {
    if let Some(Diagnostic { path, message, .. }) = loader.warning() {
        tracing::warn!("{path}: {message}");
    }
}

/// Where the rules come from.
pub(super) fn loader(settings: &Settings) -> Loader {
    Loader {
        dir: settings.signatures.dir.clone(),
        replace: settings.signatures.replace,
    }
}
