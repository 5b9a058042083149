//! Connections: accepted, bounded in number and in time, one request each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use super::routes;
use super::shared::Shared;

/// Bytes of a request's header; a scrape needs a few hundred.
const MAX_HEADER: usize = 16 << 10;

/// How long to wait when there is no file descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts for ever.
pub(super) async fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    let router = routes::router(shared.clone());
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        while open.len() >= shared.limits.connections.max(1) {
            if let Some(oldest) = open.pop_front() {
                oldest.abort();
            }
        }
        let peer = routes::Peer(peer.ip().to_canonical());
        let router = router.clone().layer(Extension(peer));
        let serve = connection(stream, shared.clone(), router);
        let bounded = tokio::time::timeout(shared.limits.connection, serve);
        open.push_back(tokio::spawn(bounded).abort_handle());
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, router: Router) {
    let tls = shared.secrets.load().tls.clone();
    match tls {
        None => http(stream, &shared, router).await,
        Some(config) => {
            let accepted = TlsAcceptor::from(config).accept(stream);
            // A failed handshake is the client's affair.
            if let Ok(Ok(stream)) = tokio::time::timeout(shared.limits.header, accepted).await {
                http(stream, &shared, router).await;
            }
        }
    }
}

async fn http<S>(stream: S, shared: &Shared, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let serve = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.header)
        .max_buf_size(MAX_HEADER)
        // A connection that may stay would count against the limit between scrapes.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // What goes wrong is between the client and the network.
    let _ = serve.await;
}
