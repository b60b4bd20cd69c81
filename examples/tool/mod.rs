//! What the tools for the terminal have in common: how they end, and their time-outs.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use group_ledger::host::aws::Timeouts;

/// Long: a page of a table is up to a megabyte, receiving waits for messages, and the region may be far away.
pub(crate) const TIMEOUTS: Timeouts = Timeouts { attempt: Duration::from_secs(20), connect: Duration::from_secs(10) };

/// How a tool ends: with a failure, its message is printed.
pub(crate) fn ended(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// How a tool ends that was asked for its help, or wrongly.
pub(crate) fn helped(help: &str) -> ExitCode {
    println!("{help}");
    ExitCode::from(if std::env::args().any(|arg| arg == "--help") { 0 } else { 2 })
}
