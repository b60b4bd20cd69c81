//! The function that puts new records on an event bus.

use std::process::ExitCode;

use group_ledger::host::lambda::publisher;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    publisher::run().await
}
