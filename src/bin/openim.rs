//! The function that receives OpenIM's callbacks.

use std::process::ExitCode;

use group_ledger::host::function;
use group_ledger::platform::openim::REGISTRATION;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    function::run(&REGISTRATION).await
}
