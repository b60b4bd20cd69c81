//! The Lambda function around a [`Receiver`]: makes it of the settings, starts, and hands it what API Gateway sends.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use lambda_http::{LambdaEvent, lambda_runtime, service_fn};
use tracing::{error, warn};

use crate::domain::rejection::Rejection;
use crate::domain::timestamp::Timestamp;
use crate::host::aws::{self, FUNCTION_TIMEOUTS};
use crate::host::event::{Event, response};
use crate::host::lambda::{start_logging, time_left};
use crate::host::metrics::Emf;
use crate::ingest::handler::Observer;
use crate::ingest::receive::Receiver;
use crate::panics::unwound;
use crate::platform::Platform;
use crate::settings::{SettingError, Settings};
use crate::storage::fallback_queue::FallbackQueue;
use crate::storage::ledger::Ledger;
use crate::storage::store::Store;

/// Runs the function of one callback family until Lambda ends it. Fails where a setting is missing or wrong.
pub async fn run<P: Platform>() -> ExitCode {
    start_logging();
    let receiver = match receiver::<P>(&Settings::from_env()) {
        Ok(receiver) => Arc::new(receiver),
        Err(error) => {
            error!(platform = P::NAME, %error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    if !receiver.has_fallback_queue() {
        warn!(platform = P::NAME, "FALLBACK_QUEUE_URL is not set: what DynamoDB does not take goes to the log");
    }
    // In the start, which has a full processor and no sender waiting. What fails here may be over by the first callback.
    if let Err(error) = receiver.ledger().warm_up().await {
        warn!(platform = P::NAME, %error, "DynamoDB would not take a record now");
    }
    let handler = service_fn(|LambdaEvent { payload, context }: LambdaEvent<Event>| {
        let receiver = Arc::clone(&receiver);
        async move {
            let deadline = time_left(&context).map(|left| Instant::now() + left);
            Ok::<_, Infallible>(response(invoke(&receiver, payload, deadline).await))
        }
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(platform = P::NAME, %error, "the Lambda Runtime API failed");
            ExitCode::FAILURE
        }
    }
}

/// Answers one event, before `deadline` where there is one.
pub async fn invoke<P: Platform>(
    receiver: &Receiver<P>,
    event: Event,
    deadline: Option<Instant>,
) -> http::Response<String> {
    let request = unwound(|| event.into_request(Timestamp::now(), deadline)).unwrap_or(Err(Rejection::Defect));
    receiver.handle(request).await
}

/// The receiver that the settings describe.
///
/// # Errors
///
/// Where a setting is missing or wrong.
pub fn receiver<P: Platform>(settings: &Settings<'_>) -> Result<Receiver<P>, SettingError> {
    let config = aws::config(settings, FUNCTION_TIMEOUTS)?;
    let fallback_queue = FallbackQueue::from_settings(settings, &config)?;
    let store = Store::new(Ledger::from_settings(settings, &config)?, fallback_queue);
    let observer =
        settings.text("METRICS_NAMESPACE").map(|namespace| Box::new(Emf::new(namespace)) as Box<dyn Observer>);
    Ok(Receiver::new(P::from_settings(settings)?, Arc::new(store), settings.days("RETENTION_DAYS")?, observer))
}
