//! The function that receives Tencent Cloud Chat's callbacks.

use std::process::ExitCode;

use group_ledger::host::lambda::receiver;
use group_ledger::platform::tencent_chat::REGISTRATION;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    receiver::run(&REGISTRATION).await
}
