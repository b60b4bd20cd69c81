//! The Lambda function that publishes new records. Lambda invokes it with a batch of the table's stream, one batch a shard at a
//! time, and again from the first record that it reports as not done.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use lambda_http::{LambdaEvent, lambda_runtime, service_fn};
use tracing::error;

use crate::host::lambda::time_left;
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
    let publisher = match setup::publisher(&Settings::from_env()) {
        Ok(publisher) => publisher,
        Err(error) => {
            error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let handler = service_fn(|event: LambdaEvent<Batch>| {
        let within = time_left(&event.context).map_or(TIMEOUT, |left| left.saturating_sub(MARGIN));
        let publisher = &publisher;
        async move { Ok::<_, Infallible>(publisher.publish(event.payload, within).await) }
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(%error, "the Lambda Runtime API failed");
            ExitCode::FAILURE
        }
    }
}
