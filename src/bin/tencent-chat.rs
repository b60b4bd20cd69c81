//! The function that receives Tencent Cloud Chat's callbacks.

use std::process::ExitCode;

use group_ledger::host::function;
use group_ledger::platform::tencent_chat::REGISTRATION;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    function::run(&REGISTRATION).await
}
