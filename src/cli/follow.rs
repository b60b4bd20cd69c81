//! `group-ledger follow`: the changes of all groups, as they are recorded.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueHint;
use sha2::{Digest, Sha256};
use tokio::time::sleep;

use crate::cli::connect::{Connection, READING, is_permanent};
use crate::cli::entry::Entry;
use crate::cli::output::note;
use crate::cli::span::{Span, point};
use crate::cli::{Session, Usage, human};
use crate::domain::timestamp::Timestamp;
use crate::reading::feed::{Query, SETTLE_SECONDS};
use crate::reading::format::Format;
use crate::reading::page::Page;
use crate::reading::parameters::Parameters;
use crate::reading::records;
use crate::storage::read::{MAX_BATCH, ReadError};

/// How many entries of the index are read at a time.
const PAGE_SIZE: usize = 1_000;
/// The longest wait after a failure.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How many records an overlap remembers, in some 30 MB. Beyond that it keeps the newest, and reads back only as far as those.
const MAX_KNOWN: usize = 500_000;

/// Show the changes of all groups as they are recorded, until Ctrl-C
///
/// A change appears once it has settled (--settle), so that each appears once and in the order of writing. AWS bounds no delay of
/// the index: --overlap reads back and shows what came later than that. While DynamoDB does not answer, it is asked again.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  group-ledger follow --endpoint-url http://127.0.0.1:8000
  group-ledger follow --from 24h --kind 'member.*' --platform openim
  group-ledger follow --json --overlap 10m >> changes.jsonl")]
pub(crate) struct Args {
    /// The start, by when it was recorded: a time in RFC 3339, or a time span before now, as 2h
    #[arg(long, value_name = "TIME", default_value = "10m")]
    from: String,
    /// Only changes of this kind, as group.created, or of a family, as 'member.*'; may be given again
    #[arg(long, value_name = "KIND", value_hint = ValueHint::Other)]
    kind: Vec<String>,
    /// Only changes of this platform
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    platform: Option<String>,
    /// How long a record may take to be visible, in seconds: 0 to 300; under 10 some may be missed
    #[arg(long, value_name = "SECONDS")]
    settle: Option<String>,
    /// Read back so far each time, and show what was not shown yet
    #[arg(long, value_name = "SPAN")]
    overlap: Option<Span>,
    /// How often to ask
    #[arg(long, value_name = "SPAN", default_value = "2s")]
    every: Span,
}

impl Args {
    /// The settle time of a query that was understood.
    fn settle_millis(&self) -> i64 {
        let seconds = self.settle.as_ref().and_then(|settle| settle.parse().ok()).unwrap_or(SETTLE_SECONDS);
        i64::from(seconds) * 1_000
    }

    /// A page's query, after a cursor or from a time on.
    fn query(&self, from: &str, after: Option<&str>, now: Timestamp) -> Result<Query, Usage> {
        let mut pairs = vec![("limit".to_owned(), PAGE_SIZE.to_string())];
        let mut pair = |name: &str, value: &str| pairs.push((name.to_owned(), value.to_owned()));
        match after {
            Some(after) => pair("after", after),
            None => pair("from", from),
        }
        self.kind.iter().for_each(|kind| pair("kind", kind));
        for (name, value) in [("platform", &self.platform), ("settle", &self.settle)] {
            if let Some(value) = value {
                pair(name, value);
            }
        }
        let mut parameters = Parameters::of(pairs);
        let query = Query::read(&mut parameters, now)?;
        parameters.end()?;
        Ok(query)
    }
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<()> {
    let now = Timestamp::now();
    let from = point(&args.from, now);
    args.query(&from, None, now)?;
    let start: Timestamp = from.parse().context("a time that was understood is none: this is a defect")?;
    if args.every.0.is_zero() {
        return Err(Usage::new("--every must be more than nothing").into());
    }
    let connection = session.options.connect(READING).await?;
    let mut walk =
        Walk { args: &args, connection: &connection, from: start, start, after: None, known: Known::default() };
    let (mut wait, mut is_failing) = (args.every.0, false);
    loop {
        match walk.page(session).await? {
            Ok(more) => {
                if is_failing {
                    note("DynamoDB answers again.");
                }
                (wait, is_failing) = (args.every.0, false);
                if more {
                    continue;
                }
            }
            Err(error) if is_permanent(&error) => return Err(connection.unreadable(error)),
            Err(error) => {
                if !is_failing {
                    note(&format!("{:#}. It is asked again until it answers.", connection.unreadable(error)));
                }
                (wait, is_failing) = ((wait * 2).min(MAX_WAIT), true);
            }
        }
        sleep(wait).await;
    }
}

/// A position in the feed.
struct Walk<'f> {
    args: &'f Args,
    connection: &'f Connection,
    /// Where the whole of it begins.
    start: Timestamp,
    /// Where this round of it begins.
    from: Timestamp,
    /// Where its next page begins.
    after: Option<String>,
    known: Known,
}

impl Walk<'_> {
    /// Shows the next page, and returns whether there is more now.
    async fn page(&mut self, session: &mut Session) -> Result<Result<bool, ReadError>> {
        let now = Timestamp::now();
        let query = self.args.query(&self.from.to_string(), self.after.as_deref(), now)?;
        let ledger = &self.connection.ledger;
        let Page { rows, next, more } = match query.page(ledger, ledger, now, Format::JsonLines).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        let mut entries = Vec::new();
        for row in rows {
            let entry = Entry::read(&row)?;
            if !self.known.has(&entry) {
                entries.push((entry, row));
            }
        }
        for entries in entries.chunks(MAX_BATCH) {
            let rows = match self.with_details(entries).await {
                Ok(rows) => rows,
                Err(error) => return Ok(Err(error)),
            };
            if session.options.json {
                session.output.lines(rows)?;
            } else {
                let lines: Vec<String> =
                    rows.iter().map(|row| human::line(&session.output, row, true)).collect::<Result<_>>()?;
                session.output.lines(lines)?;
            }
            // A page that failed halfway is read again; the records already shown are known.
            for (entry, _) in entries {
                self.known.add(entry);
            }
        }
        self.after = next;
        if let Some(overlap) = self.args.overlap {
            self.known.trim();
            // Only at the end of a round: until then it may show again what is older than the next one's beginning.
            if !more {
                let back = now.plus_millis(-self.args.settle_millis()).plus_millis(-overlap.millis());
                (self.from, self.after) = (self.known.forget_before(back.max(self.start)), None);
            }
        } else {
            self.known.clear();
        }
        Ok(Ok(more))
    }

    /// The whole records of these entries, in order; a record deleted meanwhile is shown as the index has it.
    async fn with_details(&self, entries: &[(Entry, String)]) -> Result<Vec<String>, ReadError> {
        let ledger = &self.connection.ledger;
        let mut items = records::by_key(ledger, entries.iter().map(|(entry, _)| entry.keys())).await?;
        let mut rows = Vec::new();
        for (entry, row) in entries {
            match items.remove(&(entry.group_key.clone(), entry.change_key.clone())) {
                Some(item) => rows.push(Format::JsonLines.row(&records::change(ledger, item).await?)),
                None => rows.push(row.clone()),
            }
        }
        Ok(rows)
    }
}

/// The records that were shown already.
#[derive(Default)]
struct Known {
    keys: HashSet<u128>,
    /// The same with their times.
    times: VecDeque<(Timestamp, u128)>,
    /// Records older than this may have been forgotten, because the set is full.
    oldest: Option<Timestamp>,
}

impl Known {
    fn has(&self, entry: &Entry) -> bool {
        self.keys.contains(&key(entry))
    }

    fn add(&mut self, entry: &Entry) {
        let key = key(entry);
        if self.keys.insert(key) {
            self.times.push_back((entry.recorded_at, key));
        }
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.times.clear();
    }

    /// Forgets the oldest that there is no room for.
    fn trim(&mut self) {
        let excess = self.times.len().saturating_sub(MAX_KNOWN);
        if excess > 0 {
            self.times.make_contiguous().sort_unstable_by_key(|(recorded_at, _)| *recorded_at);
        }
        for (recorded_at, key) in self.times.drain(..excess) {
            self.keys.remove(&key);
            // Others of the same time may be known still, but not all.
            self.oldest = Some(recorded_at.plus_millis(1));
        }
    }

    /// Forgets what was recorded before a time; from when on the rest is known whole.
    fn forget_before(&mut self, time: Timestamp) -> Timestamp {
        let from = self.oldest.map_or(time, |oldest| oldest.max(time));
        self.times.retain(|(recorded_at, key)| *recorded_at >= from || !self.keys.remove(key));
        from
    }
}

/// A key that no two records share.
fn key(entry: &Entry) -> u128 {
    let digest = Sha256::new().chain_update(entry.group_key.len().to_be_bytes()).chain_update(&entry.group_key);
    let digest = digest.chain_update(&entry.change_key).finalize();
    digest.iter().take(16).fold(0, |key, byte| key << 8 | u128::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::{Entry, Known, MAX_KNOWN};
    use crate::domain::timestamp::Timestamp;

    fn time(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_670_574_414_000 + millis).unwrap()
    }

    fn entry(change_key: &str, millis: i64) -> Entry {
        Entry { group_key: "g".to_owned(), change_key: change_key.to_owned(), recorded_at: time(millis) }
    }

    #[test]
    fn what_is_older_than_the_overlap_is_forgotten() {
        let mut known = Known::default();
        for (key, millis) in [("b", 200), ("a", 100), ("c", 300)] {
            known.add(&entry(key, millis));
        }
        assert_eq!(known.forget_before(time(200)), time(200));
        let is_known = |key| known.has(&entry(key, 0));
        assert_eq!(["a", "b", "c"].map(is_known), [false, true, true]);
    }

    #[test]
    fn what_there_is_no_room_for_is_not_read_again() {
        let mut known = Known::default();
        for number in 0..i64::try_from(MAX_KNOWN).unwrap() + 10 {
            known.add(&entry(&number.to_string(), number));
        }
        known.trim();
        assert_eq!((known.times.len(), known.keys.len()), (MAX_KNOWN, MAX_KNOWN));
        assert_eq!(known.forget_before(time(0)), time(10));
        assert_eq!(known.forget_before(time(5)), time(10));
    }
}
