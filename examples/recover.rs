//! Puts envelopes that the log holds, because neither the ledger nor the fallback queue took them, into the ledger.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::env;
use std::io::{IsTerminal, Read, stdin};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use group_ledger::host::aws;
use group_ledger::settings::Settings;
use group_ledger::storage::envelope::{Envelope, Texts};
use group_ledger::storage::ledger::{Ledger, Written};

use crate::tool::{TIMEOUTS, ended, helped};

mod tool;

const HELP: &str = "\
Puts the envelopes of log lines with the message `recover`, from standard input, into the ledger. The lines may come in any
form: as they are, or in what `aws logs` makes of them. What is in the ledger already stays as it is.

  aws logs filter-log-events --log-group-name … --filter-pattern '{ $.message = \"recover\" }' | recover

The table and who may write to it, from the environment: TABLE_NAME, AWS_REGION and AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (`aws configure export-credentials --format env` prints them);
AWS_ENDPOINT_URL_DYNAMODB for a local one. It needs dynamodb:PutItem on the table.";

/// How long one envelope may take.
const TEST_TIMEOUT: Duration = Duration::from_mins(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if env::args().len() > 1 || stdin().is_terminal() {
        return helped(HELP);
    }
    ended(run().await)
}

async fn run() -> Result<()> {
    let settings = Settings::from_env();
    let ledger = Ledger::from_settings(&settings, &aws::config(&settings, TIMEOUTS)?)?;
    let mut lines = String::new();
    stdin().read_to_string(&mut lines).context("standard input cannot be read")?;
    let (mut recorded, mut duplicates, mut failed) = (0, 0, 0);
    let Texts { whole, incomplete } = Texts::find(&lines);
    for text in whole {
        match recover(&ledger, &text).await {
            Ok(Written::Recorded) => recorded += 1,
            Ok(Written::Duplicate) => duplicates += 1,
            Err(error) => {
                eprintln!("an envelope stays in the log: {error:#}");
                failed += 1;
            }
        }
    }
    if incomplete > 0 {
        eprintln!("{incomplete} envelopes are in several lines, some of which are missing: fetch them all");
        failed += incomplete;
    }
    println!("{recorded} written, {duplicates} recorded before, {failed} failed.");
    ensure!(recorded + duplicates + failed > 0, "there is no envelope in these lines");
    ensure!(failed == 0, "{failed} envelopes could not be put into the ledger; run this again with the same lines");
    Ok(())
}

async fn recover(ledger: &Ledger, text: &str) -> Result<Written> {
    let envelopes = Envelope::from_text(text).context("it is damaged")?;
    Ok(ledger.write(&envelopes, TEST_TIMEOUT).await?)
}
