//! The Lambda function that publishes new records. Lambda invokes it with a batch of the table's stream, one batch a shard at a
//! time, and again from the first record that it reports as not done.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use lambda_http::{LambdaEvent, lambda_runtime, service_fn};

use crate::host::lambda::{ended, started, time_left};
use crate::host::{logging, setup};
use crate::publish::stream::Batch;
use crate::settings::Settings;

/// How long a batch may take where Lambda does not say.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What of the function's time is kept for answering.
const MARGIN: Duration = Duration::from_secs(2);

/// Runs the function until Lambda ends it. Fails where a setting is missing or wrong.
pub async fn run() -> ExitCode {
    logging::start(None);
    let Some(publisher) = started(setup::publisher(&Settings::from_env())) else { return ExitCode::FAILURE };
    let handler = service_fn(|event: LambdaEvent<Batch>| {
        let within = time_left(&event.context).map_or(TIMEOUT, |left| left.saturating_sub(MARGIN));
        let publisher = &publisher;
        async move { Ok::<_, Infallible>(publisher.publish(event.payload, within).await) }
    });
    ended(lambda_runtime::run(handler).await)
}
