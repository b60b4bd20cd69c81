//! Metrics, as Prometheus reads them, on a port of their own.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::ingest::receive::Receipt;
use crate::ingest::report::Observer;

const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The bounds of a callback's duration, in seconds: from one write in the same region to Tencent's timeout.
const DURATIONS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallbackLabels {
    platform: &'static str,
    outcome: &'static str,
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PlatformLabel {
    platform: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// What is counted.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    counts: Counts,
    connections: Gauge,
    replayed: Family<OutcomeLabel, Counter>,
    clock_offset: Gauge<f64, AtomicU64>,
}

/// What is counted of callbacks.
#[derive(Clone, Debug)]
struct Counts {
    callbacks: Family<CallbackLabels, Counter>,
    durations: Family<PlatformLabel, Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        let counts = Counts {
            callbacks: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATIONS)),
        };
        let (connections, replayed, clock_offset) = (Gauge::default(), Family::default(), Gauge::default());
        let mut registry = Registry::with_prefix("group_ledger");
        registry.register("callbacks", "Callbacks, by what became of them", counts.callbacks.clone());
        let help = "How long callbacks took";
        registry.register_with_unit("callback_duration", help, Unit::Seconds, counts.durations.clone());
        registry.register("connections", "Open connections", connections.clone());
        registry.register("replayed", "Messages of the fallback queue, by what became of them", replayed.clone());
        let help = "How far this clock is ahead of DynamoDB's, as far as that shows";
        registry.register_with_unit("clock_offset", help, Unit::Seconds, clock_offset.clone());
        Self { registry, counts, connections, replayed, clock_offset }
    }
}

impl Metrics {
    /// Counts the callbacks of a platform.
    pub(super) fn observer(&self) -> Box<dyn Observer> {
        Box::new(self.counts.clone())
    }

    /// Counts a connection while it is held.
    pub(super) fn connection(self: &Arc<Self>) -> Connection {
        self.connections.inc();
        Connection(Arc::clone(self))
    }

    pub(super) fn count_replayed(&self, is_stored: bool) {
        let outcome = if is_stored { "stored" } else { "not_stored" };
        self.replayed.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    pub(super) fn set_clock_offset(&self, seconds: f64) {
        self.clock_offset.set(seconds);
    }
}

impl Observer for Counts {
    fn observe(&self, platform: &'static str, receipt: &Receipt, duration: Duration) {
        let (outcome, kind) = (receipt.outcome.as_str(), receipt.kind.unwrap_or("none"));
        self.callbacks.get_or_create(&CallbackLabels { platform, outcome, kind }).inc();
        self.durations.get_or_create(&PlatformLabel { platform }).observe(duration.as_secs_f64());
    }
}

/// An open connection.
pub(super) struct Connection(Arc<Metrics>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

pub(super) fn router(metrics: Arc<Metrics>) -> Router {
    Router::new().route("/metrics", get(expose)).with_state(metrics)
}

async fn expose(State(metrics): State<Arc<Metrics>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &metrics.registry) {
        Ok(()) => ([(CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
