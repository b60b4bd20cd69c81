//! Group Ledger on one's own machine: the function binaries, unchanged, behind a local Lambda API, and an embedded
//! DynamoDB on a file. Runs in the foreground until Ctrl-C.

#![allow(clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::env;
use std::process::ExitCode;

use anyhow::Result;

use crate::stack::Options;

mod database;
mod stack;
mod template;

const HELP: &str = "\
Runs Group Ledger on this machine until Ctrl-C. `make run` builds what it needs first.

Settings, from the environment:
  PORT            the callbacks' port, 3000 by default
  DYNAMODB_PORT   DynamoDB's port, 8000 by default
  DYNAMODB_HOST   DynamoDB's address, 127.0.0.1 by default; 0.0.0.0 lets containers reach it
  LEDGER_FILE     where the records are kept, .local/ledger.sqlite by default; `:memory:` keeps none
  FUNCTIONS_DIR   where the function binaries are, target/release by default
and the functions' own settings, which the README lists.";

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
