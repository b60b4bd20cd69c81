//! The function that receives OpenIM's callbacks.

use std::process::ExitCode;

use group_ledger::host::lambda::receiver;
use group_ledger::platform::openim::REGISTRATION;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    receiver::run(&REGISTRATION).await
}
