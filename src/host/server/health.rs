//! `GET /healthz`: the process answers. `GET /readyz`: DynamoDB takes writes.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use tokio::sync::Mutex;
use tracing::warn;

use crate::storage::ledger::Ledger;

/// How long an answer of DynamoDB's counts: asking is a write that is billed.
const COUNTS_FOR: Duration = Duration::from_secs(5);
/// How long such a write may take, with its attempts: as a callback's.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a health check waits.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether the ledger takes records.
#[derive(Debug)]
pub(super) struct Health {
    ledger: Ledger,
    /// What was found last, and when.
    last: Mutex<Option<(Instant, bool)>>,
}

impl Health {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self { ledger, last: Mutex::default() }
    }

    /// Whether DynamoDB would take a record, as of a few seconds ago at most. Whoever asks meanwhile waits for the same answer.
    pub(super) async fn is_ready(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, is_ready)) = *last
            && at.elapsed() < COUNTS_FOR
        {
            return is_ready;
        }
        let result = self.ledger.warm_up(WRITE_TIMEOUT).await;
        if let Err(error) = &result {
            warn!(%error, "not ready: DynamoDB would not take a record now");
        }
        *last = Some((Instant::now(), result.is_ok()));
        result.is_ok()
    }
}

pub(super) fn router(health: Arc<Health>) -> Router {
    Router::new().route("/healthz", get(async || "ok\n")).route("/readyz", get(ready)).with_state(health)
}

async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    // A task of its own: a client that disconnects must not cancel the check for the others.
    if tokio::spawn(async move { health.is_ready().await }).await.unwrap_or(false) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "DynamoDB does not take records\n")
    }
}

/// Whether the server that listens at `address` is alive: for images that have no other client.
pub(super) fn is_alive(mut address: SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&address, CHECK_TIMEOUT)?;
        stream.set_read_timeout(Some(CHECK_TIMEOUT))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).map(|()| answer)
    };
    ask().is_ok_and(|answer: [u8; 12]| &answer == b"HTTP/1.1 200")
}
