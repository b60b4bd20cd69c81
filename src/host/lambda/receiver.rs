//! The function of one platform: starts, and hands a [`Receiver`] the requests that API Gateway sends.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lambda_http::{LambdaEvent, lambda_runtime, service_fn};
use tracing::warn;

use crate::domain::rejection::Rejection;
use crate::domain::timestamp::Timestamp;
use crate::host::lambda::event::{Event, response};
use crate::host::lambda::{ended, started, time_left};
use crate::host::{logging, setup};
use crate::ingest::receive::Receiver;
use crate::panics::unwound;
use crate::platform::Registration;
use crate::settings::Settings;

/// How long warming up may take; a sender may be waiting for the function to start.
pub const WARM_UP_TIMEOUT: Duration = Duration::from_millis(300);

/// Runs the function of one callback family until Lambda ends it. Fails where a setting is missing or wrong.
pub async fn run(platform: &Registration) -> ExitCode {
    let settings = Settings::from_env();
    logging::start(settings.text("METRICS_NAMESPACE").as_deref());
    let Some(receiver) = started(setup::receiver(platform, &settings)) else { return ExitCode::FAILURE };
    let receiver = Arc::new(receiver);
    if !receiver.store().has_fallback_queue() {
        warn!(platform = platform.name, "FALLBACK_QUEUE_URL is not set: what DynamoDB does not take goes to the log");
    }
    // In the start, which has a full processor and no sender waiting. What fails here may be over by the first callback.
    if let Err(error) = receiver.store().ledger().warm_up(WARM_UP_TIMEOUT).await {
        warn!(platform = platform.name, %error, "DynamoDB would not take a record now");
    }
    let handler = service_fn(|LambdaEvent { payload, context }: LambdaEvent<Event>| {
        let receiver = Arc::clone(&receiver);
        async move {
            let deadline = time_left(&context).map(|left| Instant::now() + left);
            Ok::<_, Infallible>(response(invoke(&receiver, payload, deadline).await))
        }
    });
    ended(lambda_runtime::run(handler).await)
}

/// Answers one event, before `deadline` where there is one.
pub async fn invoke(receiver: &Receiver, event: Event, deadline: Option<Instant>) -> http::Response<String> {
    let request = unwound(|| event.into_request(Timestamp::now(), deadline)).unwrap_or(Err(Rejection::DEFECT));
    receiver.handle(request).await
}
