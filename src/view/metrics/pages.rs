//! Pages of metrics for all who scrape.

use std::net::IpAddr;
use std::sync::Arc;

use super::Metrics;
use crate::encode::prometheus::Format;
use crate::view::snapshot::Snapshot;

/// The metrics, and what was last written of them.
#[derive(Debug)]
pub struct Pages {
    metrics: Metrics,
    last: Option<(Key, Arc<[u8]>)>,
}

/// The number of the snapshot, how many series have their values, and the form.
type Key = (u64, usize, Format);

/// What a scraper is given.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// UTF-8. Shared by all who ask for the same page.
    pub text: Arc<[u8]>,
}

impl Pages {
    /// Of [`Metrics`] with at most so many series by name.
    pub fn new(series_limit: usize) -> Self {
        Self {
            metrics: Metrics::new(series_limit),
            last: None,
        }
    }

    /// The page of a snapshot for who asks from `address`, in the form that the values of `accept`
    /// like best. It is written once however many ask for it: slow readers share it.
    pub fn page<'a>(
        &mut self,
        address: IpAddr,
        snapshot: &Snapshot,
        accept: impl Iterator<Item = &'a str>,
    ) -> Option<Page> {
        let format = Format::accepted(accept);
        let shown = self.metrics.ask(address, snapshot);
        let page = (snapshot.sequence, shown, format);
        let content_type = format.content_type();
        if let Some((last, text)) = &self.last
            && *last == page
        {
            let text = Arc::clone(text);
            return Some(Page { content_type, text });
        }
        let text = self.metrics.families(snapshot).render(format).ok()?;
        let text: Arc<[u8]> = Arc::from(text.into_bytes());
        self.last = Some((page, Arc::clone(&text)));
        Some(Page { content_type, text })
    }
}
