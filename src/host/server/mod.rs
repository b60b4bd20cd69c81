//! The same handlers as one ordinary HTTP server: for Tencent's serverless functions (SCF), containers, your own machine.
//!
//! ```text
//! connection   TCP, HTTP/1.1, time limits against slow senders, an orderly end
//!  └─ routes   which handler a path has; body, request id, bounds
//!      ├─ a Receiver for each platform that is configured, over one store
//!      ├─ the reader, where READER_TOKENS is set
//!      └─ health: /healthz, /readyz
//! beside it: replay (REPLAY=on), metrics (METRICS_PORT), clock
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aws_types::SdkConfig;
use axum::Router;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::host::aws::{self, FUNCTION_TIMEOUTS, READER_TIMEOUTS, Timeouts};
use crate::host::server::clock::ClockCheck;
use crate::host::server::health::Health;
use crate::host::server::metrics::Metrics;
use crate::host::server::replay::Replay;
use crate::host::server::routes::Callbacks;
use crate::host::{logging, setup};
use crate::platform::{PLATFORMS, Registration};
use crate::reading::api::{self, Reader};
use crate::settings::{SettingError, Settings};
use crate::storage::fallback_queue::FallbackQueue;
use crate::storage::ledger::Ledger;
use crate::storage::store::Store;

mod clock;
mod connection;
mod credentials;
mod health;
mod metrics;
mod replay;
mod routes;
mod signals;

/// How long what is under way may take after a SIGTERM: containers are killed 10 s after it.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);
/// How many connections may ask for metrics.
const SCRAPERS: usize = 16;
/// SCF's port.
const DEFAULT_PORT: u16 = 9000;

/// Receives the callbacks of chat platforms, and serves the ledger, over plain HTTP
///
/// Everything is set in the environment; docs/server.md explains the settings. Needs TABLE_NAME, a region, credentials, and
/// the settings of a platform or READER_TOKENS.
#[derive(Parser)]
#[allow(clippy::doc_markdown, reason = "what documents a command is its help, which is no Markdown")]
#[command(
    name = "server",
    version,
    after_help = "\
Settings:
  HOST, PORT                     where to listen: 0.0.0.0, 9000
  TABLE_NAME, AWS_REGION         the ledger's table, and its region
  FALLBACK_QUEUE_URL             the SQS queue that takes what DynamoDB does not
  AWS_ATTEMPT_TIMEOUT_MS         how long one attempt to write may take: 300
  TENCENT_SDK_APP_ID             Tencent Cloud Chat's app
  TENCENT_CALLBACK_TOKENS        its console's token
  TENCENT_ALLOW_UNSIGNED         true: takes unsigned callbacks, without a token
  TENCENT_RETRIES_AFTER_TIMEOUT  whether its console's retry switch is on: true
  OPENIM_CREDENTIALS             user:password of OpenIM's callback URL
  OPENIM_APP_ID                  identifies this OpenIM server: openim
  OPENIM_ALLOW_ANONYMOUS         true: takes callbacks without credentials
  READER_TOKENS                  name:token; serves the ledger's API and page
  RETENTION_DAYS                 days after which a record is deleted: never
  FEED                           off: records get no place in the feed
  REPLAY                         on: writes what waits in the fallback queue
  METRICS_PORT                   serves metrics for Prometheus there

Exit codes: 0 ended after a signal, 1 failed, 2 wrong usage."
)]
struct Arguments {
    /// Check whether the server at HOST and PORT of this machine is alive: exits with 0 or 1
    #[arg(long)]
    health_check: bool,
}

/// Runs the server until a signal ends it.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = Settings::from_env();
    if arguments.health_check {
        let is_alive = address(&settings).is_ok_and(health::is_alive);
        return if is_alive { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    logging::start(None);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(serve(&settings));
    // What is left has had its time.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(error) => {
            error!(%error, "cannot start");
            ExitCode::FAILURE
        }
    }
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("cannot listen on {address}: {error}")]
    Listen { address: SocketAddr, error: std::io::Error },
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
}

/// What the settings describe, ready to listen.
struct Server {
    address: SocketAddr,
    platforms: Vec<&'static str>,
    has_reader: bool,
    routes: Router,
    callbacks: Callbacks,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    metrics_address: Option<SocketAddr>,
    replay: Option<Replay>,
    store: Arc<Store>,
}

async fn serve(settings: &Settings<'_>) -> Result<ExitCode, StartError> {
    let mut signals = signals::Signals::watch().map_err(StartError::Signals)?;
    let server = Server::from_settings(settings).await?;
    let (listener, address) = listen(server.address).await?;
    let (platforms, reader, replay) = (server.platforms.join(","), server.has_reader, server.replay.is_some());
    let connections = max_connections();
    info!(%address, platforms, reader, replay, connections, "listening");
    let metrics_listener = match server.metrics_address {
        Some(address) => {
            let (listener, address) = listen(address).await?;
            info!(%address, "metrics");
            Some(listener)
        }
        None => None,
    };
    if !server.store.has_fallback_queue() {
        warn!("FALLBACK_QUEUE_URL is not set: what DynamoDB does not take goes to the log");
    }
    let (stop, stopped) = watch::channel(false);
    let wait = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let metrics = Arc::clone(&server.metrics);
    let stop_serving = wait(stopped.clone());
    let serving = connection::serve(listener, server.routes, connections, stop_serving, Some(Arc::clone(&metrics)));
    let serving = tokio::spawn(serving);
    // Not before it listens: SCF takes the port as the sign that the function has started. Nor does a sender wait for this.
    server.health.is_ready().await;
    if let Some(listener) = metrics_listener {
        let stop_serving = wait(stopped.clone());
        tokio::spawn(connection::serve(listener, metrics::router(metrics), SCRAPERS, stop_serving, None));
    }
    let replaying = server.replay.map(|replay| tokio::spawn(replay.run(wait(stopped))));

    let signal = signals.next().await;
    info!(signal, "shutting down");
    let _ = stop.send(true);
    let end = async {
        let _ = serving.await;
        server.callbacks.finished().await;
        if let Some(replaying) = replaying {
            let _ = replaying.await;
        }
    };
    tokio::select! {
        ended = timeout(SHUTDOWN_TIMEOUT, end) => {
            if ended.is_err() {
                warn!(seconds = SHUTDOWN_TIMEOUT.as_secs(), "shutdown timed out: not every request was answered");
            }
        }
        _ = signals.next() => warn!("a second signal: not waiting for what is under way"),
    }
    Ok(ExitCode::SUCCESS)
}

/// How many connections there may be. Each is an open file, and half of the files are for other things: those to DynamoDB.
fn max_connections() -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_default();
    // Where the limit cannot be read it is taken for the usual one.
    let files = usize::try_from(files).ok().filter(|files| *files > 0).unwrap_or(1_024);
    (files / 2).min(connection::MAX_CONNECTIONS)
}

/// Listens at an address; the address that it came to, where the port was 0.
async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

impl Server {
    async fn from_settings(settings: &Settings<'_>) -> Result<Self, StartError> {
        let address = address(settings)?;
        let metrics_address = port(settings, "METRICS_PORT")?.map(|port| SocketAddr::new(address.ip(), port));
        let metrics = Arc::new(Metrics::default());

        let timeouts = timeouts(settings)?;
        // Credentials may take longer than the table, so they have timeouts of their own.
        let config = aws::chain(READER_TIMEOUTS).load().await;
        let config = config.into_builder().timeout_config(aws::timeout_config(timeouts)).build();
        let config = credentials::in_the_background(config);
        if config.region().is_none() {
            return Err(SettingError::new("AWS_REGION", "is not set: set it to the table's region").into());
        }
        let ledger = Ledger::from_settings(settings, &config)?.intercepted(ClockCheck::new(Arc::clone(&metrics)));
        let fallback_queue = FallbackQueue::from_settings(settings, &config)?;
        let store = Arc::new(Store::new(ledger.clone(), fallback_queue.clone(), timeouts.attempt));
        let replay = match (settings.switch_or("REPLAY", false)?, fallback_queue) {
            (false, _) => None,
            (true, Some(fallback)) => Some(Replay::new(fallback.queue().clone(), ledger.clone(), Arc::clone(&metrics))),
            (true, None) => {
                return Err(SettingError::new("REPLAY", "is on, and FALLBACK_QUEUE_URL is not set").into());
            }
        };

        let callbacks = Callbacks::default();
        let health = Arc::new(Health::new(ledger));
        let mut routes = health::router(Arc::clone(&health));
        let mut platforms = Vec::new();
        for platform in PLATFORMS.into_iter().filter(|platform| is_configured(platform, settings)) {
            platforms.push(platform.name);
            let observer = Some(metrics.observer());
            let receiver = Arc::new(setup::receiver_over(Arc::clone(&store), platform, settings, observer)?);
            routes = routes.merge(callbacks.router(platform, receiver));
        }
        let has_reader = settings.text("READER_TOKENS").is_some();
        if has_reader {
            routes = routes.merge(reader_routes(settings, &config)?);
        }
        if platforms.is_empty() && !has_reader {
            return Err(SettingError::new(
                "TENCENT_SDK_APP_ID",
                "is not set, nor is anything of another platform, nor READER_TOKENS: there is nothing to serve",
            )
            .into());
        }
        let routes = routes.fallback(routes::not_found);
        Ok(Self { address, platforms, has_reader, routes, callbacks, health, metrics, metrics_address, replay, store })
    }
}

/// Whether a setting of a platform is there; then all that it needs must be.
fn is_configured(platform: &Registration, settings: &Settings<'_>) -> bool {
    platform.settings.iter().any(|name| settings.text(name).is_some())
}

/// The ledger's API and page. Its pages of the table take longer than a callback may, so its client is its own.
fn reader_routes(settings: &Settings<'_>, config: &SdkConfig) -> Result<Router, SettingError> {
    let config = config.to_builder().timeout_config(aws::timeout_config(READER_TIMEOUTS)).build();
    let reader = Reader::from_settings(settings, Ledger::from_settings(settings, &config)?)?;
    Ok(routes::reader(api::router(Arc::new(reader))))
}

/// A function is beside its table; a server may be so far away that connecting takes a good part of a second.
fn timeouts(settings: &Settings<'_>) -> Result<Timeouts, SettingError> {
    const NAME: &str = "AWS_ATTEMPT_TIMEOUT_MS";
    let Some(text) = settings.text(NAME) else { return Ok(FUNCTION_TIMEOUTS) };
    let millis = text.parse().ok().filter(|millis| (100..=900).contains(millis));
    let millis = millis.ok_or(SettingError::new(NAME, "must be a number of milliseconds, 100 to 900"))?;
    let attempt = Duration::from_millis(millis);
    Ok(Timeouts { attempt, connect: FUNCTION_TIMEOUTS.connect.max(attempt) })
}

/// Where it listens.
fn address(settings: &Settings<'_>) -> Result<SocketAddr, SettingError> {
    let host = match settings.text("HOST") {
        None => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Some(host) => host.parse().map_err(|_| SettingError::new("HOST", "must be an IP address, as 0.0.0.0"))?,
    };
    Ok(SocketAddr::new(host, port(settings, "PORT")?.unwrap_or(DEFAULT_PORT)))
}

fn port(settings: &Settings<'_>, name: &'static str) -> Result<Option<u16>, SettingError> {
    let wrong = |_| SettingError::new(name, "must be a port, up to 65535");
    settings.text(name).map(|port| port.parse().map_err(wrong)).transpose()
}
