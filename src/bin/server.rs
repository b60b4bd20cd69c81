//! The functions' handlers as one ordinary HTTP server.

use std::process::ExitCode;

fn main() -> ExitCode {
    group_ledger::host::server::run()
}
