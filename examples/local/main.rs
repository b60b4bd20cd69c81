//! Group Ledger on one machine: the function binaries, unchanged, behind a local Lambda API, an embedded DynamoDB
//! on a file, and an embedded SQS and EventBridge in memory. Runs in the foreground until Ctrl-C.

#![allow(clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::env;
use std::process::ExitCode;

use anyhow::Result;

use crate::stack::Options;

mod bus;
mod database;
mod dynamodb;
mod event_source;
mod listener;
mod queue;
mod stack;
mod stream_source;
mod template;

const HELP: &str = "\
Runs Group Ledger on this machine until Ctrl-C. `make run` builds what it needs first.

Settings, from the environment:
  PORT              the callbacks' and the reader's port, 3000 by default
  DYNAMODB_PORT     DynamoDB's port, 8000 by default
  DYNAMODB_HOST     DynamoDB's address, 127.0.0.1 by default; 0.0.0.0 lets containers reach it
  SQS_PORT          SQS's port, 9324 by default
  EVENTBRIDGE_PORT  EventBridge's port, 9325 by default
  LEDGER_FILE       where the records are kept, .local/ledger.sqlite by default; `:memory:` keeps none
  FUNCTIONS_DIR     where the function binaries are, target/debug by default
  READER_TOKENS     who may read the ledger, as name:token; by default a token that is made at each start
and the functions' own settings, which the README lists.

SIGUSR1 (`make outage`) cuts DynamoDB off, so that callbacks go to the fallback queue in SQS; a second one brings it back, and the
replay takes them to the ledger.";

#[tokio::main]
async fn main() -> ExitCode {
    if env::args().len() > 1 {
        println!("{HELP}");
        return if env::args().any(|arg| arg == "--help") { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    stack::run(Options::from_env()?).await
}
