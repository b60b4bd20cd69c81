//! `group-ledger publish`: puts on a bus again what the ledger has, for consumers that missed it.
//!
//! Records go in the order of writing, as the publisher sends them. With a checkpoint file, replaced after each page, the same command
//! goes on where it was stopped: at most a page is sent twice.

use std::collections::BTreeMap;
use std::fs;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::ValueHint;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::cli::checkpoint;
use crate::cli::connect::{Connection, Place, READING, WRITING, is_permanent};
use crate::cli::entry::Entry;
use crate::cli::output::note;
use crate::cli::span::point;
use crate::cli::{Session, Usage};
use crate::domain::timestamp::Timestamp;
use crate::publish::bus::EventBus;
use crate::publish::dead_letters::DeadLetter;
use crate::publish::event::Event;
use crate::publish::sender::{DeadLetters, Pending, Sent, send};
use crate::reading::feed::{Query, SETTLE_SECONDS};
use crate::reading::format::Format;
use crate::reading::parameters::Parameters;
use crate::reading::records;
use crate::settings::Settings;
use crate::storage::call::CallError;
use crate::storage::read::MAX_BATCH;

/// How long a page of records may take to be sent, with whatever fails meanwhile.
const PAGE_TIMEOUT: Duration = Duration::from_mins(1);

/// Put changes on the event bus again, by when they were recorded
///
/// For consumers that missed some: each event has the same keys as before, so that a consumer that has seen it can tell. Changes that
/// were recorded while the feed was off are not among them: `export` has those.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  group-ledger publish --event-bus-arn arn:aws:events:us-east-1:123456789012:event-bus/groups --from 2h
  group-ledger publish --from 2026-11-20T00:00:00Z --until 2026-11-21T00:00:00Z --checkpoint publish.checkpoint
  EVENT_BUS_ARN=… group-ledger publish --from 24h --until 1h --kind 'member.*' --dry-run")]
pub(crate) struct Args {
    /// The bus: the parameter EventBusArn of the deployment
    #[arg(long, env = "EVENT_BUS_ARN", hide_env_values = true, value_name = "ARN", value_hint = ValueHint::Other)]
    event_bus_arn: Option<String>,
    /// EventBridge's address, where it is not AWS's own; else AWS_ENDPOINT_URL_EVENTBRIDGE or AWS_ENDPOINT_URL
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    eventbridge_endpoint_url: Option<String>,
    /// The start, by when it was recorded: a time in RFC 3339, or a time span before now, as 2h
    #[arg(long, value_name = "TIME")]
    from: String,
    /// The end, exclusive: 10s ago by default, up to when all records can be read; a later time is waited for
    #[arg(long, value_name = "TIME", default_value_t = format!("{SETTLE_SECONDS}s"))]
    until: String,
    /// Only changes of this kind, as group.created, or of a family, as 'member.*'; may be given again
    #[arg(long, value_name = "KIND", value_hint = ValueHint::Other)]
    kind: Vec<String>,
    /// Only changes of this platform
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    platform: Option<String>,
    /// A checkpoint: where the file exists, this goes on from it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    checkpoint: Option<PathBuf>,
    /// Count what would be put, and put nothing; a checkpoint is neither read nor written
    #[arg(long)]
    dry_run: bool,
}

/// How far it came.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Checkpoint {
    of: Of,
    /// The times that the first start understood.
    from: Timestamp,
    until: Timestamp,
    /// The feed's cursor; none at the beginning.
    after: Option<String>,
    published: u64,
    rejected: u64,
}

/// What is published, as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct Of {
    table: String,
    /// Its region or its address.
    place: String,
    bus: String,
    from: String,
    until: String,
    kinds: Vec<String>,
    platform: Option<String>,
}

/// Says which events EventBridge rejects.
struct ToTerminal;

impl DeadLetters for ToTerminal {
    async fn send(&self, letter: &DeadLetter) -> Result<(), CallError> {
        let [group, change] = [&letter.group_key, &letter.change_key].map(|key| key.as_deref().unwrap_or_default());
        note(&format!("rejected, {}: {} {}", letter.reason, super::human::shown(group), super::human::shown(change)));
        Ok(())
    }
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<()> {
    let bus_arn = args.event_bus_arn.clone().filter(|arn| !arn.trim().is_empty()).ok_or_else(|| {
        Usage::new("no bus is named: pass --event-bus-arn ARN or set EVENT_BUS_ARN, the parameter EventBusArn")
    })?;
    let now = Timestamp::now();
    let [from, until] =
        [("--from", &args.from), ("--until", &args.until)].map(|(name, text)| -> Result<Timestamp, Usage> {
            let must = "must be a time as 2022-12-09T12:40:14Z, or a time span before now, as 2h";
            point(text, now).parse().map_err(|_| Usage::new(format!("{name} {must}")))
        });
    let (from, until) = (from?, until?);
    if from >= until {
        return Err(Usage::new("--from must be before --until").into());
    }
    query(&args, from, None, now)?;
    let connection = session.options.connect(READING).await?;
    let (bus, bus_place) = session.options.bus(&bus_arn, args.eventbridge_endpoint_url.clone()).await?;
    let of = Of {
        table: connection.ledger.table().to_owned(),
        place: connection.place.to_string(),
        bus: bus_arn,
        from: args.from.clone(),
        until: args.until.clone(),
        kinds: args.kind.clone(),
        platform: args.platform.clone(),
    };
    let start = Checkpoint { of, from, until, after: None, published: 0, rejected: 0 };
    let file = args.checkpoint.as_deref().filter(|_| !args.dry_run);
    let checkpoint = match file {
        Some(path) => resumed(path, start)?,
        None => start,
    };
    let mut publish = Publish {
        args: &args,
        file,
        connection: &connection,
        bus: &bus,
        bus_place,
        progress: progress(&checkpoint),
        checkpoint,
        last: None,
        is_finished: false,
    };
    publish.go_on().await?;
    publish.is_finished = true;
    let (published, rejected) = (publish.checkpoint.published, publish.checkpoint.rejected);
    drop(publish);
    if let Some(path) = file.filter(|path| path.exists()) {
        fs::remove_file(path).with_context(|| format!("cannot delete {}", path.display()))?;
    }
    if session.options.json {
        session.output.json(&json!({ "published": published, "rejected": rejected, "dry_run": args.dry_run }))?;
    } else {
        let did = if args.dry_run { "would be put" } else { "were put" };
        session.output.line(format!("{} events {did} on the bus.", HumanCount(published)))?;
    }
    ensure!(rejected == 0, "EventBridge rejected {rejected} events");
    Ok(())
}

/// A publish run under way.
struct Publish<'p> {
    args: &'p Args,
    /// The checkpoint's file; none in a dry run.
    file: Option<&'p Path>,
    connection: &'p Connection,
    bus: &'p EventBus,
    bus_place: Place,
    progress: ProgressBar,
    checkpoint: Checkpoint,
    /// When the last record that was put was recorded.
    last: Option<Timestamp>,
    is_finished: bool,
}

impl Drop for Publish<'_> {
    /// Removes the progress bar and, if it was interrupted, says how to resume.
    fn drop(&mut self) {
        self.progress.finish_and_clear();
        let Some(last) = self.last.filter(|_| !self.is_finished && !self.args.dry_run) else { return };
        let go_on = match self.file {
            Some(_) => "the same command goes on".to_owned(),
            None => format!("the same command with --from {last} goes on"),
        };
        note(&format!("{} events are on the bus: {go_on}.", HumanCount(self.checkpoint.published)));
    }
}

impl Publish<'_> {
    async fn go_on(&mut self) -> Result<()> {
        let ledger = &self.connection.ledger;
        let settled = self.checkpoint.until.plus_millis(i64::from(SETTLE_SECONDS) * 1_000);
        loop {
            let now = Timestamp::now();
            let query = query(self.args, self.checkpoint.from, self.checkpoint.after.as_deref(), now)?;
            let page = query.page(ledger, ledger, now, Format::JsonLines).await;
            let page = page.map_err(|error| self.connection.unreadable(error))?;
            let mut entries = page.rows.iter().map(|row| Entry::read(row)).collect::<Result<Vec<_>>>()?;
            let is_over = entries.iter().any(|entry| entry.recorded_at >= self.checkpoint.until);
            entries.retain(|entry| entry.recorded_at < self.checkpoint.until);
            self.put(&entries).await?;
            self.checkpoint.after = page.next;
            if is_over || (!page.more && now >= settled) {
                return Ok(());
            }
            if let Some(path) = self.file {
                checkpoint::save(path, &self.checkpoint)?;
            }
            if !page.more {
                sleep(now.until(settled)).await;
            }
        }
    }

    /// Puts the records of a page.
    async fn put(&mut self, entries: &[Entry]) -> Result<()> {
        let ledger = &self.connection.ledger;
        let items = records::by_key(ledger, entries.iter().map(Entry::keys)).await;
        let mut items = items.map_err(|error| self.connection.unreadable(error))?;
        let mut events = BTreeMap::new();
        for (position, entry) in entries.iter().enumerate() {
            // What was deleted meanwhile is left out.
            let Some(item) = items.remove(&(entry.group_key.clone(), entry.change_key.clone())) else { continue };
            let change = records::change(ledger, item).await;
            let change = change.map_err(|error| {
                let what = if is_permanent(&error) { "a record" } else { "the table" };
                self.connection.unreadable(error).context(format!("{what} cannot be read"))
            })?;
            events.insert(position, Pending { event: Event::new(change), sequence_number: None });
        }
        let count = events.len() as u64;
        if self.args.dry_run {
            self.checkpoint.published += count;
        } else {
            let Sent { published, rejected, first_left, failure } =
                send(self.bus, &ToTerminal, events, Instant::now() + PAGE_TIMEOUT).await;
            self.checkpoint.published += published as u64;
            self.checkpoint.rejected += rejected as u64;
            if let Some(first) = first_left {
                self.last = entries.get(first).map(|entry| entry.recorded_at);
                let why = failure.unwrap_or_else(|| "it is too slow".to_owned());
                anyhow::bail!("EventBridge {} does not take events: {why}", self.bus_place);
            }
        }
        if let Some(last) = entries.last() {
            self.last = Some(last.recorded_at);
            let done = self.checkpoint.from.until(last.recorded_at).as_millis();
            self.progress.set_position(u64::try_from(done).unwrap_or(u64::MAX));
            self.progress.set_message(HumanCount(self.checkpoint.published).to_string());
        }
        Ok(())
    }
}

/// A page's query.
fn query(args: &Args, from: Timestamp, after: Option<&str>, now: Timestamp) -> Result<Query, Usage> {
    let mut pairs = vec![("limit".to_owned(), MAX_BATCH.to_string())];
    let mut pair = |name: &str, value: &str| pairs.push((name.to_owned(), value.to_owned()));
    match after {
        Some(after) => pair("after", after),
        None => pair("from", &from.to_string()),
    }
    args.kind.iter().for_each(|kind| pair("kind", kind));
    if let Some(platform) = &args.platform {
        pair("platform", platform);
    }
    let mut parameters = Parameters::of(pairs);
    let query = Query::read(&mut parameters, now)?;
    parameters.end()?;
    Ok(query)
}

/// A progress bar over the time that is published, on a terminal.
fn progress(checkpoint: &Checkpoint) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let length = checkpoint.from.until(checkpoint.until).as_millis();
    let progress = ProgressBar::new(u64::try_from(length).unwrap_or(u64::MAX));
    match ProgressStyle::with_template("{bar:30} {percent}% of the time, {msg} events, {eta} left") {
        Ok(style) => progress.with_style(style),
        Err(_) => progress,
    }
}

/// The checkpoint that is there, else a new one.
fn resumed(path: &Path, start: Checkpoint) -> Result<Checkpoint> {
    let of = "a publish run: delete it, or name another file";
    let Some(left) = checkpoint::read::<Checkpoint>(path, of)? else { return Ok(start) };
    if left.of != start.of {
        return Err(Usage::new(format!(
            "{} is of a publish run with other options: give these again, or name another file",
            path.display()
        ))
        .into());
    }
    note(&format!("Resuming after {} events.", HumanCount(left.published)));
    Ok(left)
}

impl crate::cli::Options {
    /// A bus, at its own endpoint.
    async fn bus(&self, arn: &str, endpoint: Option<String>) -> Result<(EventBus, Place)> {
        let (config, place) = self.service(endpoint, "AWS_ENDPOINT_URL_EVENTBRIDGE", WRITING).await?;
        let endpoint = place.endpoint().map(str::to_owned);
        let lookup = |name: &str| match name {
            "EVENT_BUS_ARN" => Some(arn.to_owned()),
            "AWS_ENDPOINT_URL_EVENTBRIDGE" => endpoint.clone(),
            _ => None,
        };
        let bus = EventBus::from_settings(&Settings::new(&lookup), &config);
        Ok((bus.map_err(|error| Usage::new(error.to_string().replace("EVENT_BUS_ARN", "--event-bus-arn")))?, place))
    }
}
