//! The function that serves the ledger's API.

use std::process::ExitCode;

use crate::host::logging;

/// Runs the function until Lambda ends it. Fails where a setting is missing or wrong.
pub async fn run() -> ExitCode {
    logging::start();
    ExitCode::FAILURE
}
