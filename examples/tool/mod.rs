//! What the tools for the terminal have in common: how they end, and their time-outs.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use group_ledger::host::aws::Timeouts;

/// Longer than a function's, because the region may be far away. Three attempts end within the feed's settle time, because a
/// record's place in the feed is stamped before the first.
pub(crate) const TIMEOUTS: Timeouts = Timeouts { attempt: Duration::from_secs(2), connect: Duration::from_secs(1) };

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
