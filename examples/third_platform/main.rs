//! The function of a third platform, as it would stand in `src/bin/`. Only the tests run it; they show that a platform is one
//! folder.

use std::process::ExitCode;

use group_ledger::host::lambda::receiver;

use crate::example_chat::REGISTRATION;

mod example_chat;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    receiver::run(&REGISTRATION).await
}
