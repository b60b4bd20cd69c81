//! The feed loses nothing: writers whose clocks differ, an outage with replays, readers that restart, and an index that lags.
//! Time is simulated, so that minutes of it take seconds; the records are in a real table, and are read by the real feed.

use std::collections::HashMap;

use group_ledger::domain::feed::Stamp;
use group_ledger::domain::record::{Raw, Record};
use group_ledger::domain::timestamp::{Clock, Timestamp};
use group_ledger::reading::feed::{Index, Query};
use group_ledger::reading::format::Format;
use group_ledger::reading::parameters::Parameters;
use group_ledger::storage::envelope::Envelope;
use group_ledger::storage::item::HeadItem;
use group_ledger::storage::ledger::Ledger;
use group_ledger::storage::read::{Filter, Page, Range, ReadError};
use serde_json::Value;

use crate::support::{TEST_TIMEOUT, Table, files};

const WRITERS: i64 = 8;
/// All writers' together.
const RECORDS_A_SECOND: i64 = 300;
/// Seconds in which DynamoDB takes nothing; the replay writes afterwards what came meanwhile.
const OUTAGE: std::ops::Range<i64> = 10..20;

/// A number in `0..below` that looks random and is the same each time.
fn random(seed: i64, below: i64) -> i64 {
    let mixed = seed.cast_unsigned().wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    i64::try_from((mixed ^ (mixed >> 32)) >> 1).unwrap() % below
}

/// How far behind a writer's clock is, in milliseconds: the writers' are up to 5 s apart.
fn behind(writer: i64) -> i64 {
    writer * 5_000 / (WRITERS - 1)
}

/// A table of records, and when each can be seen in the index.
struct World {
    table: Table,
    ledger: Ledger,
    begins: Timestamp,
    ends: Timestamp,
    /// By place in the feed.
    visible_at: HashMap<String, Timestamp>,
}

impl World {
    /// So many records, each visible in the index `lag` milliseconds after it was written, given its number and how far its
    /// writer's clock is behind.
    async fn new(records: i64, lag: impl Fn(i64, i64) -> i64) -> Self {
        let table = Table::start().await;
        let ledger = table.ledger();
        let begins = Timestamp::now().plus_millis(-records * 1_000 / RECORDS_A_SECOND - 600_000);
        let text = files("tests/envelopes").into_iter().find(|(name, _)| name == "record").unwrap().1;
        let mut visible_at = HashMap::new();
        let mut ends = begins;
        for number in 0..records {
            let Envelope::Record(record) = Envelope::from_text(text.trim()).unwrap().remove(0) else {
                panic!("no record")
            };
            let due = number * 1_000 / RECORDS_A_SECOND;
            // What comes in the outage is queued, and the replay writes it soon afterwards.
            let is_queued = OUTAGE.contains(&(due / 1_000));
            let written = if is_queued { OUTAGE.end * 1_000 + random(number, 3_000) } else { due };
            let writer = if is_queued { 0 } else { number % WRITERS };
            let (written_at, behind) = (begins.plus_millis(written), behind(writer));
            let digest = format!("{:016x}{number:048x}", random(number, i64::MAX));
            let stamp = Stamp::new(written_at.plus_millis(-behind), &digest, &format!("request-{number}"));
            let record = Record {
                group_key: format!("openim#openim#g{}", number % 50),
                digest,
                request_id: format!("request-{number}").into(),
                occurred_at: begins.plus_millis(due),
                raw: Raw::Text("{}".into()),
                expires_at: None,
                ..record
            };
            let clock = Clock::new(move || written_at.plus_millis(-behind));
            ledger.clone().with_clock(clock).write(&[Envelope::Record(record)], TEST_TIMEOUT).await.unwrap();
            let visible = written_at.plus_millis(lag(number, behind));
            ends = ends.max(visible);
            assert!(visible_at.insert(stamp.feed_at, visible).is_none(), "a place of its own");
        }
        Self { table, ledger, begins, ends, visible_at }
    }

    /// Asks at `now`, first with `query` and then with each page's cursor, until there is nothing more: counts the keys that
    /// come. The last cursor.
    async fn poll(&self, now: Timestamp, mut query: String, seen: &mut HashMap<String, usize>) -> String {
        loop {
            // As a reader that was just started: it has the cursor and nothing else.
            let mut parameters = Parameters::parse(&query);
            let feed = Query::read(&mut parameters, now).unwrap();
            parameters.end().unwrap();
            let index = Lagging { world: self, now };
            let page = feed.page(&index, &self.ledger, now, Format::JsonLines).await.unwrap();
            for row in &page.rows {
                let change: Value = serde_json::from_str(row).unwrap();
                *seen.entry(format!("{}/{}", change["group_key"], change["change_key"])).or_default() += 1;
            }
            let next = page.next.unwrap();
            if !page.more {
                return next;
            }
            query = after(&next);
        }
    }

    /// The keys that a reader gets who keeps its cursor and asks every second until all is visible, each as often as it comes.
    async fn consume(&self) -> HashMap<String, usize> {
        let mut seen = HashMap::new();
        let mut query = format!("limit=1000&from={}", self.begins.plus_millis(-10_000));
        let mut now = self.begins;
        while now < self.ends.plus_millis(30_000) {
            now = now.plus_millis(1_000);
            query = after(&self.poll(now, query, &mut seen).await);
        }
        seen
    }
}

fn after(cursor: &str) -> String {
    format!("limit=1000&after={cursor}")
}

/// The index as a reader sees it at a moment.
struct Lagging<'w> {
    world: &'w World,
    now: Timestamp,
}

impl Index for Lagging<'_> {
    async fn page(&self, feed_key: &str, range: &Range, filter: &Filter) -> Result<Page<HeadItem<'static>>, ReadError> {
        let mut page = self.world.ledger.feed(feed_key, range, filter).await?;
        page.items.retain(|head| self.world.visible_at[head.feed_at.as_deref().unwrap()] <= self.now);
        Ok(page)
    }
}

/// Holds the feed of so many records to its promise.
pub(crate) async fn everything_once(records: i64) {
    // The clock's lag and the index's are 9 s at most together, which is under the default settle time.
    let world = World::new(records, |number, behind| random(number, 9_001 - behind)).await;
    let seen = world.consume().await;
    assert_eq!(seen.len(), world.table.records().len(), "every record");
    assert_eq!(seen.len(), usize::try_from(records).unwrap());
    assert!(seen.values().all(|times| *times == 1), "exactly once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_sees_every_record_once_while_the_index_lags_less_than_the_settle_time() {
    everything_once(9_000).await;
}

/// Which the promise leaves out: whoever must survive it asks again from some minutes back, and drops what is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_lags_more_is_survived_by_asking_from_further_back() {
    let world = World::new(6_000, |number, _| if number % 10 == 0 { random(number, 120_000) } else { 0 }).await;
    let lost = 6_000 - world.consume().await.len();
    assert!(lost > 0, "the plain way misses what comes late");

    let mut seen = HashMap::new();
    let mut now = world.begins;
    while now < world.ends.plus_millis(30_000) {
        now = now.plus_millis(15_000);
        world.poll(now, format!("limit=1000&from={}", now.plus_millis(-600_000)), &mut seen).await;
    }
    assert_eq!(seen.len(), 6_000, "and asking from further back gets it all the same");
}
