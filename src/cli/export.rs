//! `group-ledger export`: every record of the table, in a file.
//!
//! After each page a checkpoint beside the file is replaced atomically. It holds the file's length and the table's next key. A
//! resumed export truncates the file to that length and continues from that key, so that no record is missing or written twice.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{IsTerminal, Seek, SeekFrom, Write, stderr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::ValueHint;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::cli::checkpoint;
use crate::cli::connect::{Connection, READING};
use crate::cli::output::note;
use crate::cli::{Session, Usage};
use crate::domain::record::{PARTITION_KEY, SORT_KEY};
use crate::reading::api::ChangeWithBody;
use crate::reading::format::json;
use crate::reading::records;
use crate::storage::item::Item;
use crate::storage::ledger::Ledger;
use crate::storage::read::{ReadError, key_of, text_of};

/// Write every record of the table to a file, as JSON lines
///
/// The lines are those of `history --json`, in no order: sort them by `group_key` and `change_key`. Where it is stopped, the same
/// command goes on. It is no snapshot: of what is recorded meanwhile, it may have some. Quarantine is not in it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  group-ledger export --output changes.jsonl
  group-ledger export --output changes.jsonl --raw --page-size 500
  AWS_PROFILE=audit group-ledger export --table group-changes --region us-east-1 -o changes.jsonl --force")]
pub(crate) struct Args {
    /// The file; its checkpoint is FILE.checkpoint
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: PathBuf,
    /// With the callbacks' bodies, as `raw`, or as `raw_base64` where one is no text
    #[arg(long)]
    raw: bool,
    /// Start over, and overwrite the file
    #[arg(long)]
    force: bool,
    /// How many items to read at a time; less is gentler. A megabyte by default
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    page_size: Option<u32>,
}

/// The progress of an export.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Checkpoint {
    #[serde(flatten)]
    of: Of,
    /// How many bytes the file has.
    bytes: u64,
    /// How many records these are.
    records: u64,
    /// The key after which the table goes on; none at its beginning.
    after: Option<(String, String)>,
}

/// What is exported.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Of {
    table: String,
    /// Its region or its address.
    place: String,
    raw: bool,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<()> {
    let connection = session.options.connect(READING).await?;
    let of = Of { table: connection.ledger.table().to_owned(), place: connection.place.to_string(), raw: args.raw };
    let mut export = Export::open(&args.output, of, args.force)?;
    let progress = progress(&connection).await;
    progress.set_position(export.checkpoint.records);
    let mut unfinished = Unfinished { path: &args.output, progress: progress.clone(), is_finished: false };
    export.go_on(&connection, &args, &progress).await?;
    unfinished.is_finished = true;
    drop(unfinished);
    let Checkpoint { bytes, records, .. } = export.checkpoint;
    note(&format!("{} records, {} in {}.", HumanCount(records), HumanBytes(bytes), args.output.display()));
    Ok(())
}

/// Removes the progress bar and, if the export was interrupted, says how to resume.
struct Unfinished<'p> {
    path: &'p Path,
    progress: ProgressBar,
    is_finished: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.progress.finish_and_clear();
        if !self.is_finished {
            note(&format!("{} has a part of the table: the same command goes on.", self.path.display()));
        }
    }
}

/// A progress bar, on a terminal.
async fn progress(connection: &Connection) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let ledger = &connection.ledger;
    let table = ledger.client().describe_table().table_name(ledger.table()).send().await;
    // Without permission for that there is a count without a total. DynamoDB counts every few hours, and other items too.
    let total = table.ok().and_then(|table| u64::try_from(table.table?.item_count?).ok()).filter(|total| *total > 0);
    let (progress, template) = match total {
        Some(total) => (ProgressBar::new(total), "{bar:30} {human_pos} of some {human_len} records, {eta} left"),
        None => (ProgressBar::no_length(), "{spinner} {human_pos} records"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => progress.with_style(style),
        Err(_) => progress,
    }
}

/// An export under way.
struct Export {
    file: File,
    checkpoint: Checkpoint,
    checkpoint_path: PathBuf,
}

impl Export {
    /// Opens the file where its checkpoint says, or anew.
    fn open(path: &Path, of: Of, force: bool) -> Result<Self> {
        let name = path.display();
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        let file = file.with_context(|| format!("cannot write {name}"))?;
        // Not every file system has locks.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            bail!("another export writes {name} at the moment");
        }
        let length = file.metadata().with_context(|| format!("cannot read {name}"))?.len();
        let checkpoint_path = checkpoint::beside(path, ".checkpoint");
        let left: Option<Checkpoint> =
            if force { None } else { checkpoint::read(&checkpoint_path, "an export: begin anew with --force")? };
        let is_new = left.is_none();
        let checkpoint = match left {
            Some(checkpoint) => {
                if checkpoint.of != of {
                    let Of { table, place, raw } = &checkpoint.of;
                    let raw = if *raw { "with --raw" } else { "without --raw" };
                    return Err(Usage::new(format!(
                        "{name} is a part of an export of the table \"{table}\" {place}, {raw}: go on with these options, or \
                         begin anew with --force"
                    ))
                    .into());
                }
                ensure!(
                    length >= checkpoint.bytes,
                    "{name} is shorter than its checkpoint says, so something else has changed it: begin anew with --force"
                );
                note(&format!("Resuming after {} records.", HumanCount(checkpoint.records)));
                checkpoint
            }
            None if length > 0 && !force => {
                return Err(Usage::new(format!(
                    "{name} is there already: choose another file, or overwrite it with --force"
                ))
                .into());
            }
            None => Checkpoint { of, bytes: 0, records: 0, after: None },
        };
        let export = Self { file, checkpoint, checkpoint_path };
        // Written before any record: a file without a checkpoint is a finished export.
        if is_new {
            checkpoint::save(&export.checkpoint_path, &export.checkpoint)?;
        }
        export.file.set_len(export.checkpoint.bytes).with_context(|| format!("cannot cut {name}"))?;
        (&export.file).seek(SeekFrom::End(0)).with_context(|| format!("cannot go on in {name}"))?;
        Ok(export)
    }

    /// Writes what is left of the table.
    async fn go_on(&mut self, connection: &Connection, args: &Args, progress: &ProgressBar) -> Result<()> {
        let ledger = &connection.ledger;
        let limit = args.page_size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        loop {
            let after = self.checkpoint.after.as_ref().map(|(group_key, change_key)| key_of(group_key, change_key));
            let page = ledger.scan(after, limit, args.raw).await.map_err(|error| connection.unreadable(error))?;
            let mut lines = Vec::new();
            for item in page.items {
                let line = line(ledger, item, args.raw).await.map_err(|error| connection.unreadable(error))?;
                lines.extend_from_slice(line.as_bytes());
                lines.push(b'\n');
                self.checkpoint.records += 1;
                progress.inc(1);
            }
            let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
            written.with_context(|| format!("cannot write {}", args.output.display()))?;
            let Some(after) = page.after else { break };
            let text = |name| text_of(&after, name).map(str::to_owned);
            let key = text(PARTITION_KEY).zip(text(SORT_KEY));
            self.checkpoint.after = Some(key.ok_or_else(|| anyhow!("the table has other keys than a ledger's"))?);
            self.checkpoint.bytes += u64::try_from(lines.len()).unwrap_or(u64::MAX);
            checkpoint::save(&self.checkpoint_path, &self.checkpoint)?;
        }
        self.checkpoint.bytes = self.file.metadata().map_or(self.checkpoint.bytes, |metadata| metadata.len());
        fs::remove_file(&self.checkpoint_path)
            .with_context(|| format!("cannot delete {}", self.checkpoint_path.display()))
    }
}

/// A record's line.
async fn line(ledger: &Ledger, item: Item, raw: bool) -> Result<String, ReadError> {
    if !raw {
        return Ok(json(&records::change(ledger, item).await?));
    }
    let (change, body) = records::change_with_body(ledger, item).await?;
    let mut line = ChangeWithBody { change, raw: None, raw_base64: None, raw_gzip_base64: None };
    match body.map(String::from_utf8) {
        Some(Ok(text)) => line.raw = Some(text),
        Some(Err(error)) => line.raw_base64 = Some(BASE64_STANDARD.encode(error.as_bytes())),
        None => {}
    }
    Ok(json(&line))
}
