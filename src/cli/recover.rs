//! `group-ledger recover`: puts envelopes that the log holds, because neither the ledger nor the fallback queue took them, into the
//! ledger.

use std::fs;
use std::io::{IsTerminal, Read, stdin};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, ensure};
use clap::ValueHint;
use serde_json::json;
use tokio::task::spawn_blocking;

use crate::cli::connect::{Connection, WRITING};
use crate::cli::output::note;
use crate::cli::{Session, Usage};
use crate::storage::envelope::{Envelope, Texts};
use crate::storage::ledger::Written;

/// How long one envelope may take.
const ENVELOPE_TIMEOUT: Duration = Duration::from_mins(1);

/// Put what only the log holds into the ledger
///
/// It takes log lines with the message `recover`, in any form: as they are, or in what `aws logs` makes of them. What is in the
/// ledger already stays as it is. Stopping it midway loses nothing: run it again.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  aws logs filter-log-events --log-group-name … --filter-pattern '{ $.message = \"recover\" }' | group-ledger recover
  group-ledger recover lines.txt more-lines.txt")]
pub(crate) struct Args {
    /// Files with the lines; standard input where there is none, or for `-`
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<()> {
    if args.files.is_empty() && stdin().is_terminal() {
        return Err(Usage::new("there are no log lines: name a file with them, or pipe them in").into());
    }
    let connection = session.options.connect(WRITING).await?;
    // Elsewhere, because Ctrl-C must end it.
    let lines = spawn_blocking(move || read(args.files)).await.map_err(|_| anyhow!("the lines cannot be read"))??;
    let (mut recorded, mut duplicates, mut failed) = (0, 0, 0);
    let Texts { whole, incomplete } = Texts::find(&lines);
    for text in whole {
        match recover(&connection, &text).await {
            Ok(Written::Recorded) => recorded += 1,
            Ok(Written::Duplicate) => duplicates += 1,
            Err(error) => {
                note(&format!("an envelope stays in the log: {error:#}"));
                failed += 1;
            }
        }
    }
    if incomplete > 0 {
        note(&format!("{incomplete} envelopes are in several lines, some of which are missing: fetch them all"));
        failed += incomplete;
    }
    if session.options.json {
        session.output.json(&json!({ "recorded": recorded, "duplicates": duplicates, "failed": failed }))?;
    } else {
        session.output.line(format!("{recorded} recorded, {duplicates} recorded before, {failed} failed."))?;
    }
    ensure!(recorded + duplicates + failed > 0, "no envelopes found");
    ensure!(failed == 0, "{failed} envelopes could not be put into the ledger; run this again with the same lines");
    Ok(())
}

/// The text of files, or of standard input. An envelope is ASCII, whatever is around it.
fn read(files: Vec<PathBuf>) -> Result<String> {
    let files = if files.is_empty() { vec![PathBuf::from("-")] } else { files };
    let mut lines = String::new();
    for file in files {
        let bytes = if file.as_os_str() == "-" {
            let mut bytes = Vec::new();
            stdin().read_to_end(&mut bytes).map(|_| bytes).context("standard input cannot be read")?
        } else {
            fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?
        };
        lines.push_str(&String::from_utf8_lossy(&bytes));
        lines.push('\n');
    }
    Ok(lines)
}

async fn recover(connection: &Connection, text: &str) -> Result<Written> {
    let envelopes = Envelope::from_text(text).map_err(|error| Error::from(error).context("it is damaged"))?;
    connection.ledger.write(&envelopes, ENVELOPE_TIMEOUT).await.map_err(|error| connection.unwritten(error))
}
