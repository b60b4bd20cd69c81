//! The Lambda function around a [`Receiver`]: starts, reads events, answers, and writes one line of log a callback.
//!
//! A line has fixed words, closed sets and numbers in it; never a body, a query string, a user id or a secret.

use std::borrow::Cow;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::value::RawValue;
use tracing::{error, info, warn};

use crate::event::{Event, Response};
use crate::metrics;
use crate::platform::Platform;
use crate::receive::{Outcome, Receipt, Receiver};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::timestamp::Timestamp;

/// Runs the function of one callback family until Lambda ends it. Fails where a setting is missing or wrong.
pub async fn run<P: Platform>() -> ExitCode {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .init();
    let receiver = match Receiver::<P>::from_settings(&Settings::from_env()) {
        Ok(receiver) => Arc::new(receiver),
        Err(error) => {
            error!(platform = P::NAME, %error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    // In the start, which has a full processor and no sender waiting. What fails here may be over by the first callback.
    if let Err(error) = receiver.ledger().warm_up().await {
        warn!(platform = P::NAME, %error, "DynamoDB would not take a record now");
    }
    let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| {
        let receiver = Arc::clone(&receiver);
        async move { Ok::<_, std::convert::Infallible>(handle(&receiver, event.payload.get()).await) }
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(platform = P::NAME, %error, "the Lambda Runtime API failed");
            ExitCode::FAILURE
        }
    }
}

/// Answers one event.
pub async fn handle<P: Platform>(receiver: &Receiver<P>, event: &str) -> Response {
    let start = Instant::now();
    let event = Event::parse(event);
    let request = event.as_ref().map_err(|refusal| *refusal).and_then(|event| event.request(Timestamp::now()));
    let receipt = match &request {
        Ok(request) => receiver.receive(request).await,
        Err(refusal) => Receipt { outcome: Outcome::Refused(*refusal), command: None, kind: None, answer: None },
    };
    let duration = start.elapsed();
    let request_id = request.as_ref().map_or("", |request| &request.request_id);
    log::<P>(&receipt, request_id, duration);
    if let Some(namespace) = receiver.metrics_namespace() {
        metrics::emit(&metrics::line(namespace, P::NAME, &receipt, duration, Timestamp::now()));
    }
    let refusal = receipt.outcome.refusal();
    let answer = receipt.answer.map_or_else(|| P::answer(refusal), Cow::Owned);
    Response::new(refusal.map_or(200, Refusal::status), answer)
}

fn log<P: Platform>(receipt: &Receipt<'_>, request_id: &str, duration: Duration) {
    let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let (platform, kind, outcome) = (P::NAME, receipt.kind, receipt.outcome.as_str());
    let command = receipt.command.as_deref().map(loggable);
    match &receipt.outcome {
        Outcome::NotStored(error) => {
            error!(platform, command, kind, outcome, %error, duration_us, request_id, "callback");
        }
        Outcome::Refused(refusal) | Outcome::Quarantined(refusal) => {
            warn!(platform, command, kind, outcome, code = refusal.code(), reason = %refusal, duration_us, request_id, "callback");
        }
        _ => info!(platform, command, kind, outcome, duration_us, request_id, "callback"),
    }
}

/// A command as it may be logged: commands are short words, and what is not may be anything.
fn loggable(command: &str) -> &str {
    let is_word = command.len() <= 64 && command.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    if is_word { command } else { "other" }
}
