//! The Lambda function that replays the fallback queue. Lambda invokes it with up to ten messages and puts those back that it
//! reports as failed, until they become dead letters.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lambda_http::{LambdaEvent, lambda_runtime, service_fn};
use serde::{Deserialize, Serialize};
use tracing::error;

use crate::host::aws::{self, FUNCTION_TIMEOUTS};
use crate::host::lambda::{start_logging, time_left};
use crate::ingest::replay;
use crate::settings::{SettingError, Settings};
use crate::storage::ledger::Ledger;

/// How long one message may take.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(1);
/// What of the function's time is kept for answering.
const MARGIN: Duration = Duration::from_millis(500);

/// What Lambda makes of a queue's messages; what is used of it.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
#[derive(Debug, Deserialize)]
pub struct Batch {
    /// The messages.
    #[serde(rename = "Records")]
    pub messages: Vec<Message>,
}

/// One message.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its id in the queue.
    pub message_id: String,
    /// An envelope's text.
    pub body: String,
}

/// Which messages are to be put back.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failures {
    /// Those that were not written.
    pub batch_item_failures: Vec<Failure>,
}

/// A message that was not written.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The message's id.
    pub item_identifier: String,
}

/// Runs the function until Lambda ends it. Fails where a setting is missing or wrong.
pub async fn run() -> ExitCode {
    start_logging();
    let ledger = match ledger(&Settings::from_env()) {
        Ok(ledger) => ledger,
        Err(error) => {
            error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let handler = service_fn(|event: LambdaEvent<Batch>| {
        let left = time_left(&event.context);
        let ledger = &ledger;
        async move { Ok::<_, Infallible>(replay(ledger, event.payload, left).await) }
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%error, "the Lambda Runtime API failed");
            ExitCode::FAILURE
        }
    }
}

/// The ledger that the settings describe.
///
/// # Errors
///
/// Where a setting is missing or wrong.
pub fn ledger(settings: &Settings<'_>) -> Result<Ledger, SettingError> {
    Ledger::from_settings(settings, &aws::config(settings, FUNCTION_TIMEOUTS)?)
}

/// Writes what the messages hold. Those that the function's time is over for are put back.
pub async fn replay(ledger: &Ledger, batch: Batch, time_left: Option<Duration>) -> Failures {
    let ends = time_left.map(|left| Instant::now() + left.saturating_sub(MARGIN));
    let mut failures = Failures::default();
    for Message { message_id, body } in batch.messages {
        let left =
            ends.map_or(MESSAGE_TIMEOUT, |ends| ends.saturating_duration_since(Instant::now()).min(MESSAGE_TIMEOUT));
        if !replay::replay(ledger, &message_id, &body, left).await {
            failures.batch_item_failures.push(Failure { item_identifier: message_id });
        }
    }
    failures
}
