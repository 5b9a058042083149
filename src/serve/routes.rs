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

use super::health;
use super::shared::Shared;
use crate::view::metrics::pages::Page;
use crate::view::number::period;

const INDEX: &str = "ottometer\n\n\
    /metrics  Prometheus text, or OpenMetrics where it is asked for\n\
    /healthz  200 while the process does its work\n\
    /readyz   200 while all interfaces give frames\n";

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
    let accept = accept.filter_map(|value| value.to_str().ok());
    let mut pages = shared.pages.lock().await;
    // Loaded with the pages held, so that they see snapshots in order.
    let snapshot = shared.latest.load_full();
    match pages.page(address, &snapshot, accept) {
        Some(Page { content_type, text }) => {
            ([(CONTENT_TYPE, content_type)], Bytes::from_owner(text)).into_response()
        }
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
