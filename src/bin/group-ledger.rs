//! The command line of users and operators.

use std::process::ExitCode;

fn main() -> ExitCode {
    group_ledger::cli::run()
}
