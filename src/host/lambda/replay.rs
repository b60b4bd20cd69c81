//! The Lambda function that replays the fallback queue. Lambda invokes it with up to ten messages. Those that it reports as failed
//! return to the queue, and go to the dead-letter queue after 1,000 receives.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_http::{LambdaEvent, lambda_runtime, service_fn};

use crate::host::lambda::{ended, started, time_left};
use crate::host::{logging, setup};
use crate::ingest::replay;
use crate::settings::Settings;
use crate::storage::ledger::Ledger;

/// How long one message may take.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(1);
/// What of the function's time is kept for answering.
const MARGIN: Duration = Duration::from_millis(500);

/// Runs the function until Lambda ends it. Fails where a setting is missing or wrong.
pub async fn run() -> ExitCode {
    logging::start(None);
    let Some(ledger) = started(setup::ledger(&Settings::from_env())) else { return ExitCode::FAILURE };
    let handler = service_fn(|event: LambdaEvent<SqsEvent>| {
        let left = time_left(&event.context);
        let ledger = &ledger;
        async move { Ok::<_, Infallible>(replay(ledger, event.payload, left).await) }
    });
    ended(lambda_runtime::run(handler).await)
}

/// Writes what the messages hold. Those that the function's time is over for are put back.
pub async fn replay(ledger: &Ledger, batch: SqsEvent, time_left: Option<Duration>) -> SqsBatchResponse {
    let ends = time_left.map(|left| Instant::now() + left.saturating_sub(MARGIN));
    let mut response = SqsBatchResponse::default();
    for message in batch.records {
        let (id, body) = (message.message_id.unwrap_or_default(), message.body.unwrap_or_default());
        let left = ends.map_or(MESSAGE_TIMEOUT, |ends| ends.saturating_duration_since(Instant::now()));
        if !replay::replay(ledger, &id, &body, left.min(MESSAGE_TIMEOUT)).await {
            response.add_failure(id);
        }
    }
    response
}
