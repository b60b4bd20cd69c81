//! The Lambda function around a [`Receiver`]: starts, reads events, answers, and writes one line of log a callback.
//!
//! A line has fixed words, closed sets and numbers in it; never a body, a query string, a user id or a secret. The one
//! exception is the last resort: an envelope that neither the ledger nor the fallback queue took, compressed, from which `make recover`
//! makes a record.

use std::convert::Infallible;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::domain::rejection::Rejection;
use crate::domain::time_budget::TimeBudget;
use crate::domain::timestamp::Timestamp;
use crate::host::event::{Event, Response};
use crate::host::lambda::{start_logging, time_left};
use crate::host::metrics;
use crate::ingest::receive::{Outcome, Receipt, Receiver};
use crate::panics::{caught, unwound};
use crate::platform::Platform;
use crate::settings::Settings;
use crate::storage::envelope::pieces;

/// Runs the function of one callback family until Lambda ends it. Fails where a setting is missing or wrong.
pub async fn run<P: Platform>() -> ExitCode {
    start_logging();
    let receiver = match Receiver::<P>::from_settings(&Settings::from_env()) {
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
    let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let receiver = Arc::clone(&receiver);
        async move {
            let time_left = time_left(&event.context);
            Ok::<_, Infallible>(handle(&receiver, event.payload.get(), time_left).await)
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

/// Answers one event, in the time that is left before Lambda ends the function, where that is known. A panic is answered
/// too, and ends nothing else.
pub async fn handle<P: Platform>(receiver: &Receiver<P>, event: &str, time_left: Option<Duration>) -> Response {
    let (start, now) = (Instant::now(), Timestamp::now());
    let event = unwound(|| Event::parse(event)).unwrap_or(Err(Rejection::Defect));
    let request = event.as_ref().map_err(|rejection| *rejection);
    let request = request.and_then(|event| unwound(|| event.request(now)).unwrap_or(Err(Rejection::Defect)));
    let waited = request.as_ref().map_or(Duration::ZERO, |request| request.received_at.until(now));
    let budget = TimeBudget::new(start, P::SENDER_TIMEOUT, waited, time_left);
    let receipt = match &request {
        Ok(request) => caught(receiver.receive(request, &budget)).await.unwrap_or(Receipt::of(Outcome::Defect)),
        Err(Rejection::Defect) => Receipt::of(Outcome::Defect),
        Err(rejection) => Receipt::of(Outcome::Rejected(*rejection)),
    };
    let duration = start.elapsed();
    let request_id = request.as_ref().map_or("", |request| &request.request_id);
    log::<P>(&receipt, request_id, duration);
    if let Some(namespace) = receiver.metrics_namespace() {
        metrics::emit(&metrics::line(namespace, P::NAME, &receipt, duration, now));
    }
    let rejection = receipt.outcome.rejection();
    // Answering a sender that retries only after a timeout would end it: wait until it has timed out.
    if receiver.platform().retries_after_timeout()
        && matches!(rejection, Some(Rejection::NotStored | Rejection::Defect))
    {
        sleep(budget.until_given_up(Instant::now())).await;
    }
    let answer =
        unwound(|| P::respond(request.as_ref().ok(), rejection)).unwrap_or_else(|| P::respond(None, rejection));
    Response::new(rejection.map_or(200, Rejection::status), answer)
}

fn log<P: Platform>(receipt: &Receipt<'_>, request_id: &str, duration: Duration) {
    let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let (platform, kind, outcome) = (P::NAME, receipt.kind, receipt.outcome.as_str());
    let command = receipt.command.as_deref().map(loggable);
    let error = receipt.fault.as_ref().map(tracing::field::display);
    match &receipt.outcome {
        Outcome::NotStored(_) | Outcome::Defect => {
            error!(platform, command, kind, outcome, error, duration_us, request_id, "callback");
        }
        Outcome::Rejected(rejection) | Outcome::RejectedKnownCaller(rejection) | Outcome::Quarantined(rejection) => {
            let (code, reason) = (rejection.code(), tracing::field::display(rejection));
            warn!(platform, command, kind, outcome, code, reason, error, duration_us, request_id, "callback");
        }
        Outcome::Queued => warn!(platform, command, kind, outcome, error, duration_us, request_id, "callback"),
        _ => info!(platform, command, kind, outcome, duration_us, request_id, "callback"),
    }
    // The last resort.
    for envelope in receipt.unstored.iter().flat_map(|text| pieces(text)) {
        error!(platform, envelope = envelope.as_ref(), request_id, "recover");
    }
}

/// A command as it may be logged: commands are short words, and what is not may be anything.
fn loggable(command: &str) -> &str {
    let is_word = command.len() <= 64 && command.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    if is_word { command } else { "other" }
}
