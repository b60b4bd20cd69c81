//! The function that serves the ledger's API and page, read only.

use std::process::ExitCode;

use group_ledger::host::lambda::reader;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    reader::run().await
}
