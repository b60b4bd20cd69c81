//! The replay: takes what is in the fallback queue and writes it to the ledger, under the keys it would have had.
//!
//! Lambda invokes it with up to ten of the queue's messages, and puts those back that it reports as failed, until it gives
//! them up to the dead-letter queue.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lambda_runtime::{LambdaEvent, service_fn};
use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

use crate::aws::{self, FUNCTION_TIMEOUTS};
use crate::envelope::Envelope;
use crate::lambda::{caught, start_logging, time_left};
use crate::ledger::{Ledger, Stored};
use crate::settings::{SettingError, Settings};

/// How long one envelope may take.
const PATIENCE: Duration = Duration::from_secs(1);
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
        let left = ends.map_or(PATIENCE, |ends| ends.saturating_duration_since(Instant::now()).min(PATIENCE));
        if caught(write(ledger, &message_id, &body, left)).await != Some(true) {
            failures.batch_item_failures.push(Failure { item_identifier: message_id });
        }
    }
    failures
}

/// Writes one message's envelope; whether it is in the ledger.
async fn write(ledger: &Ledger, message_id: &str, body: &str, within: Duration) -> bool {
    let envelopes = match Envelope::from_text(body) {
        Ok(envelopes) => envelopes,
        Err(error) => {
            error!(message_id, %error, "replay");
            return false;
        }
    };
    let envelope = envelopes.last();
    let (platform, kind) = (envelope.and_then(Envelope::platform), envelope.and_then(Envelope::kind));
    match ledger.write(&envelopes, within).await {
        Ok(stored) => {
            let outcome = if stored == Stored::Recorded { "recorded" } else { "duplicate" };
            info!(platform, kind, outcome, message_id, "replay");
            true
        }
        Err(error) => {
            warn!(platform, kind, outcome = "not_stored", %error, message_id, "replay");
            false
        }
    }
}
