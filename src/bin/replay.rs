//! The function that writes what is in the fallback queue to the ledger.

use std::process::ExitCode;

use group_ledger::host::lambda::replay;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    replay::run().await
}
