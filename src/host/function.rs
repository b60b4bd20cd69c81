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
use crate::platform::Registration;
use crate::settings::{SettingError, Settings};
use crate::storage::fallback_queue::FallbackQueue;
use crate::storage::ledger::Ledger;
use crate::storage::store::Store;

/// Runs the function of one callback family until Lambda ends it. Fails where a setting is missing or wrong.
pub async fn run(platform: &Registration) -> ExitCode {
    start_logging();
    let receiver = match receiver(platform, &Settings::from_env()) {
        Ok(receiver) => Arc::new(receiver),
        Err(error) => {
            error!(platform = platform.name, %error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    if !receiver.store().has_fallback_queue() {
        warn!(platform = platform.name, "FALLBACK_QUEUE_URL is not set: what DynamoDB does not take goes to the log");
    }
    // In the start, which has a full processor and no sender waiting. What fails here may be over by the first callback.
    if let Err(error) = receiver.store().ledger().warm_up().await {
        warn!(platform = platform.name, %error, "DynamoDB would not take a record now");
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
            error!(platform = platform.name, %error, "the Lambda Runtime API failed");
            ExitCode::FAILURE
        }
    }
}

/// Answers one event, before `deadline` where there is one.
pub async fn invoke(receiver: &Receiver, event: Event, deadline: Option<Instant>) -> http::Response<String> {
    let request = unwound(|| event.into_request(Timestamp::now(), deadline)).unwrap_or(Err(Rejection::DEFECT));
    receiver.handle(request).await
}

/// The receiver that the settings describe.
///
/// # Errors
///
/// Where a setting is missing or wrong.
pub fn receiver(platform: &Registration, settings: &Settings<'_>) -> Result<Receiver, SettingError> {
    let observer =
        settings.text("METRICS_NAMESPACE").map(|namespace| Box::new(Emf::new(namespace)) as Box<dyn Observer>);
    let store = Arc::new(store(settings)?);
    Ok(Receiver::new((platform.from_settings)(settings)?, store, settings.days("RETENTION_DAYS")?, observer))
}

/// The store that the settings describe.
///
/// # Errors
///
/// Where a setting is missing or wrong.
pub fn store(settings: &Settings<'_>) -> Result<Store, SettingError> {
    let config = aws::config(settings, FUNCTION_TIMEOUTS)?;
    let fallback_queue = FallbackQueue::from_settings(settings, &config)?;
    Ok(Store::new(Ledger::from_settings(settings, &config)?, fallback_queue))
}
