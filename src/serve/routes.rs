//! What is answered under which path.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};

use super::{Shared, health};
use crate::export::number::period;
use crate::export::prometheus::{Format, Metrics};
use crate::export::snapshot::Snapshot;

const INDEX: &str = "ottometer\n\n\
    /metrics  Prometheus text, or OpenMetrics where it is asked for\n\
    /healthz  200 while the process does its work\n\
    /readyz   200 while all interfaces give frames\n";

/// The metrics, and what was last written of them.
pub(super) struct Pages {
    metrics: Metrics,
    last: Option<((u64, usize, Format), Bytes)>,
}

impl Pages {
    pub(super) fn new(series_limit: usize) -> Self {
        Self {
            metrics: Metrics::new(series_limit),
            last: None,
        }
    }

    /// The text of a snapshot for who asks from `address`, written once however many ask for it: slow
    /// readers share it.
    fn render(&mut self, address: IpAddr, snapshot: &Snapshot, format: Format) -> Option<Bytes> {
        let shown = self.metrics.ask(address, snapshot);
        let page = (snapshot.sequence, shown, format);
        if let Some((last, text)) = &self.last
            && *last == page
        {
            return Some(text.clone());
        }
        let text = Bytes::from(self.metrics.families(snapshot).render(format).ok()?);
        self.last = Some((page, text.clone()));
        Some(text)
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// GET and HEAD of four paths; axum answers 404 and 405 to everything else.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(|| async { plain(StatusCode::OK, INDEX) }))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(shared)
}

async fn metrics(
    State(shared): State<Arc<Shared>>,
    Extension(Peer(address)): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let authorization = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    if !shared.secrets.load().admit(authorization) {
        let challenge = [(WWW_AUTHENTICATE, "Bearer realm=\"ottometer\"")];
        let body = plain(StatusCode::UNAUTHORIZED, "a bearer token is needed\n");
        return (challenge, body).into_response();
    }
    let accept = headers.get_all(ACCEPT).iter();
    let format = negotiate(accept.filter_map(|value| value.to_str().ok()));
    let mut pages = shared.pages.lock().await;
    // Loaded with the pages held, so that they see snapshots in order.
    let snapshot = shared.latest.load_full();
    match pages.render(address, &snapshot, format) {
        Some(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    if shared.health.stalled() {
        let allowed = period(shared.limits.stalled);
        let why = format!("no new snapshot for {allowed}\n");
        return plain(StatusCode::SERVICE_UNAVAILABLE, why);
    }
    plain(StatusCode::OK, "ok\n")
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    match health::not_ready(&shared.latest.load()) {
        Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        None => plain(StatusCode::OK, "ready\n"),
    }
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, text.into()).into_response()
}

/// The form an `Accept` header (RFC 9110 section 12.5.1) likes best: OpenMetrics where it is named
/// and no less wanted than text, else text, which is what everything understands.
fn negotiate<'a>(accept: impl Iterator<Item = &'a str>) -> Format {
    let (mut open_metrics, mut text) = (0.0_f32, 0.0_f32);
    for range in accept.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut version) = (1.0_f32, None);
        for parameter in parts {
            match parameter.split_once('=') {
                Some((name, value)) if name.eq_ignore_ascii_case("q") => {
                    quality = value.parse().unwrap_or(0.0);
                }
                Some((name, value)) if name.eq_ignore_ascii_case("version") => {
                    version = Some(value.trim_matches('"'));
                }
                _ => {}
            }
        }
        match (kind.as_str(), version) {
            ("application/openmetrics-text", None | Some("1.0.0")) => {
                open_metrics = open_metrics.max(quality);
            }
            ("text/plain", _) => text = text.max(quality),
            _ => {}
        }
    }
    if open_metrics > 0.0 && open_metrics >= text {
        Format::OpenMetrics
    } else {
        Format::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiates_the_form() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
            application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
            text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let cases = [
            (&[] as &[&str], Format::Text),
            (&["*/*"], Format::Text),
            (&["text/html", "*/*"], Format::Text),
            (&[prometheus_2], Format::OpenMetrics),
            (&[prometheus_3], Format::OpenMetrics),
            (&["Application/OpenMetrics-Text"], Format::OpenMetrics),
            (
                &["application/openmetrics-text; version=\"1.0.0\""],
                Format::OpenMetrics,
            ),
            (
                &["application/openmetrics-text;version=0.0.1"],
                Format::Text,
            ),
            (&["application/openmetrics-text;q=0"], Format::Text),
            (&["application/openmetrics-text;q=x"], Format::Text),
            (
                &[
                    "text/plain;version=0.0.4",
                    "application/openmetrics-text;q=0.5",
                ],
                Format::Text,
            ),
            (
                &["text/plain;q=0.5", "application/openmetrics-text"],
                Format::OpenMetrics,
            ),
            (&[";;=,,q=,"], Format::Text),
        ];
        for (accept, format) in cases {
            assert_eq!(negotiate(accept.iter().copied()), format, "{accept:?}");
        }
    }
}
