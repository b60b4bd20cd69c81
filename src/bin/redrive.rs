//! The function that writes what is in the spill to the ledger.

use std::process::ExitCode;

use group_ledger::redrive;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    redrive::run().await
}
