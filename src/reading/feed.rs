//! The feed: the changes of all groups in the order of writing.
//!
//! A forward page ends at `now - settle`, taken before the first shard is asked, and its cursor never advances past a position that
//! some shard has not been read to. So a consumer that keeps the cursor sees each record once, provided that the record is visible
//! in the index within the settle time of its `recorded_at`: the writers' clock skew, the write with its retries and the index's
//! delay together. The other half of the promise is in `Ledger::put_new`, which stamps a record just before its write.

use std::collections::{HashMap, VecDeque};

use futures_util::future::try_join_all;

use crate::domain::feed::{partitions, recorded_at};
use crate::domain::timestamp::{DAY_MILLIS, Timestamp};
use crate::reading::change::Change;
use crate::reading::cursor::Binding;
use crate::reading::format::Format;
use crate::reading::page::{Capacity, MAX_LIMIT, Page};
use crate::reading::parameters::{Parameters, not_a_cursor};
use crate::reading::problem::Problem;
use crate::reading::records;
use crate::storage::item::HeadItem;
use crate::storage::ledger::Ledger;
use crate::storage::read::{self, Filter, MAX_BATCH, Range, ReadError, text_of};

/// How long a record may take to be visible, in seconds, where the caller does not say.
pub const SETTLE_SECONDS: u32 = 10;
/// The longest settle time, in seconds.
pub const MAX_SETTLE_SECONDS: u32 = 300;
/// How far the feed goes back, in milliseconds, where the caller does not say.
const DEFAULT_PAST_MILLIS: i64 = DAY_MILLIS;
/// How far a writer's clock may be ahead, in milliseconds, for its records to be among the newest.
const AHEAD_MILLIS: i64 = 5 * 60 * 1_000;
/// Stands between a place and `from` in a cursor; no place has it, because a record's place begins with a time and `from` is one.
const FROM: &str = "\n";

/// The feed's index: DynamoDB's, or a test's that lags.
pub trait Index: Sync {
    /// What a partition has.
    fn page(
        &self,
        feed_key: &str,
        range: &Range,
        filter: &Filter,
    ) -> impl Future<Output = Result<read::Page<HeadItem<'static>>, ReadError>> + Send;
}

impl Index for Ledger {
    async fn page(
        &self,
        feed_key: &str,
        range: &Range,
        filter: &Filter,
    ) -> Result<read::Page<HeadItem<'static>>, ReadError> {
        self.feed(feed_key, range, filter).await
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Query {
    filter: Filter,
    binding: Binding,
    descending: bool,
    details: bool,
    limit: usize,
    settle_millis: i64,
    /// Places from here on are wanted.
    from: String,
    /// The last place that was read.
    after: Option<String>,
}

impl Query {
    /// Reads the parameters of the feed, asked for at `now`.
    ///
    /// # Errors
    ///
    /// If one is wrong.
    pub fn read(parameters: &mut Parameters, now: Timestamp) -> Result<Self, Problem> {
        let descending = parameters.descending()?;
        let platform = parameters.platform()?.map(|platform| platform.name.to_owned());
        let filter = Filter { kinds: parameters.kinds()?, platform, ..Filter::default() };
        let details = parameters.flag("details")?;
        let most = if details { MAX_BATCH } else { MAX_LIMIT };
        let limit = parameters.number("limit", 100, 1, most)?;
        let settle = parameters.number("settle", SETTLE_SECONDS, 0, MAX_SETTLE_SECONDS)?;
        let from = parameters.time("from")?;
        // Every parameter that selects changes is part of the binding. A cursor has `from` in it: going back, a walk ends there.
        let order = if descending { "desc" } else { "asc" };
        let kinds = filter.kinds.iter().map(|kind| kind.as_str());
        let platform = filter.platform.as_deref().unwrap_or_default();
        let binding = Binding::new("feed", [order, platform].into_iter().chain(kinds));
        let after = parameters.position("after", &binding)?;
        let (from, after) = match (from, after) {
            (Some(_), Some(_)) => {
                let detail = "and after cannot be given together: a cursor says where it goes on.";
                return Err(Problem::parameter("from", detail));
            }
            (from, None) => (from.unwrap_or_else(|| now.plus_millis(-DEFAULT_PAST_MILLIS)).to_string(), None),
            (None, Some(position)) => {
                let parts = position.split_once(FROM);
                let parts =
                    parts.filter(|(place, from)| [place, from].into_iter().all(|part| recorded_at(part).is_some()));
                let (place, from) = parts.ok_or_else(|| not_a_cursor("after"))?;
                (from.to_owned(), Some(place.to_owned()))
            }
        };
        let settle_millis = i64::from(settle) * 1_000;
        Ok(Self { filter, binding, descending, details, limit, settle_millis, from, after })
    }

    /// Reads a page from `index` as it is at `now`; details come from `ledger`.
    ///
    /// # Errors
    ///
    /// If the index or the table cannot be read.
    pub async fn page(
        &self,
        index: &impl Index,
        ledger: &Ledger,
        now: Timestamp,
        format: Format,
    ) -> Result<Page, ReadError> {
        let Walk { heads, mut position, mut more, .. } = self.walk(index, now).await?;
        let keys = heads.iter().map(|head| (head.group_key.as_ref(), head.change_key.as_ref()));
        let mut items = if self.details { records::by_key(ledger, keys).await? } else { HashMap::new() };
        let (mut room, mut rows, mut last) = (Capacity::new(self.limit), Vec::new(), None);
        for head in heads {
            let place = place(&head).to_owned();
            let change = match items.remove(&(head.group_key.to_string(), head.change_key.to_string())) {
                Some(item) => records::change(ledger, item).await?,
                // As the index has it: no details are asked for, or the record has been deleted meanwhile.
                None => Change::of_head(head),
            };
            let row = format.row(&change);
            let is_late = self.details && room.is_late() && last.is_some();
            if is_late || !room.take(row.len()) {
                (position, more) = (last.unwrap_or(position), true);
                break;
            }
            rows.push(row);
            last = Some(place);
        }
        Ok(Page { rows, next: Some(self.binding.cursor(&format!("{position}{FROM}{}", self.from))), more })
    }

    /// Walks the days from the cursor on, or from `from`, up to what has settled; or back from the newest.
    async fn walk(&self, index: &impl Index, now: Timestamp) -> Result<Walk, ReadError> {
        // Before the first shard is asked: what is written meanwhile is the next page's.
        let (start, end) = if self.descending {
            (now.plus_millis(AHEAD_MILLIS).to_string(), self.from.clone())
        } else {
            (self.from.clone(), now.plus_millis(-self.settle_millis).to_string())
        };
        let mut walk = Walk {
            heads: Vec::new(),
            position: self.after.clone().unwrap_or(start),
            more: false,
            room: Capacity::new(self.limit),
            order: Order { descending: self.descending },
        };
        while walk.order.precedes(&walk.position, &end) {
            if !self.walk_day(index, &mut walk, &end).await? {
                walk.more = true;
                break;
            }
        }
        Ok(walk)
    }

    /// Walks to the end of a day, or to `end` where that comes first; whether it got there.
    async fn walk_day(&self, index: &impl Index, walk: &mut Walk, end: &str) -> Result<bool, ReadError> {
        let order = walk.order;
        let Some((day, day_end)) = order.day(&walk.position) else { return Ok(false) };
        let day_end = if order.precedes(&day_end, end) { day_end } else { end.to_owned() };
        let range = if order.descending {
            Range { from: day_end.clone(), until: walk.position.clone(), descending: true, after: None, limit: None }
        } else {
            Range {
                from: successor(&walk.position),
                until: day_end.clone(),
                descending: false,
                after: None,
                limit: None,
            }
        };
        let mut shards: Vec<Shard> =
            partitions(&day).map(|partition| Shard::new(partition, range.clone(), &walk.position)).collect();
        // A range's end is inclusive: going back, the last one that was read comes once more.
        let read_before = walk.position.clone();
        loop {
            // A shard has an eighth of what is wanted, more or less. With a filter DynamoDB looks at more than it gives.
            let limit = self.filter.takes_all().then(|| (walk.room.items() / 4).max(25));
            let behind = shards.iter_mut().filter(|shard| shard.is_behind(order, &walk.position));
            try_join_all(behind.map(|shard| shard.read(index, &self.filter, limit))).await?;
            // Every shard was read up to here, so that no place before it is unknown.
            let known = shards.iter().filter_map(|shard| shard.read_up_to.as_deref());
            let known = order.first(known).unwrap_or(&day_end).to_owned();
            while let Some(head) = next(&mut shards, order, &known) {
                if place(&head) == read_before {
                    continue;
                }
                // What is there is given, however late it is: a walk must go on.
                walk.room.take(0);
                place(&head).clone_into(&mut walk.position);
                walk.heads.push(head);
                if walk.room.items() == 0 {
                    return Ok(false);
                }
            }
            walk.position = known;
            if shards.iter().all(|shard| shard.read_up_to.is_none()) {
                return Ok(!walk.room.is_late());
            }
            if walk.room.is_late() {
                return Ok(false);
            }
        }
    }
}

/// A walk through the feed, as far as it got.
struct Walk {
    heads: Vec<HeadItem<'static>>,
    /// The place up to which everything was read.
    position: String,
    /// Whether it ended before the feed did.
    more: bool,
    room: Capacity,
    order: Order,
}

/// The order of a walk.
#[derive(Clone, Copy)]
struct Order {
    descending: bool,
}

impl Order {
    /// Whether `one` comes before `other`.
    fn precedes(self, one: &str, other: &str) -> bool {
        if self.descending { one > other } else { one < other }
    }

    /// What comes first.
    fn first<'p>(self, places: impl Iterator<Item = &'p str>) -> Option<&'p str> {
        if self.descending { places.max() } else { places.min() }
    }

    /// The day after a place, in this order, and where it ends: a time alone is before every place of that time.
    fn day(self, place: &str) -> Option<(String, String)> {
        let time = recorded_at(place)?;
        if !self.descending {
            return Some((time.date(), start_of_day(time).plus_millis(DAY_MILLIS).to_string()));
        }
        let time = if place.contains('#') { time } else { time.plus_millis(-1) };
        Some((time.date(), start_of_day(time).to_string()))
    }
}

/// One shard of a day, as far as it was read.
struct Shard {
    partition: String,
    range: Range,
    /// What was read and not taken, in order.
    heads: VecDeque<HeadItem<'static>>,
    /// The place up to which it was read; `None` where it was read to its end.
    read_up_to: Option<String>,
}

impl Shard {
    fn new(partition: String, range: Range, position: &str) -> Self {
        Self { partition, range, heads: VecDeque::new(), read_up_to: Some(position.to_owned()) }
    }

    /// Whether it has to be read on before the walk goes beyond a position.
    fn is_behind(&self, order: Order, position: &str) -> bool {
        self.read_up_to.as_ref().is_some_and(|read_up_to| !order.precedes(position, read_up_to))
    }

    async fn read(&mut self, index: &impl Index, filter: &Filter, limit: Option<usize>) -> Result<(), ReadError> {
        self.range.limit = limit;
        let page = index.page(&self.partition, &self.range, filter).await?;
        self.heads.extend(page.items);
        self.read_up_to = page.after.as_ref().and_then(|key| text_of(key, "feed_at")).map(str::to_owned);
        self.range.after = page.after;
        Ok(())
    }
}

/// Takes the next entry of all shards, up to and including the place `known`.
fn next(shards: &mut [Shard], order: Order, known: &str) -> Option<HeadItem<'static>> {
    let first = |shard: &Shard| shard.heads.front().map(|head| place(head).to_owned());
    let places: Vec<String> = shards.iter().filter_map(first).collect();
    let next = order.first(places.iter().map(String::as_str)).filter(|next| !order.precedes(known, next))?;
    shards.iter_mut().find(|shard| first(shard).as_deref() == Some(next))?.heads.pop_front()
}

/// An entry's place; every entry of the index has one.
fn place<'h>(head: &'h HeadItem<'_>) -> &'h str {
    head.feed_at.as_deref().unwrap_or_default()
}

/// The text right after another one, so that an inclusive range begins behind it.
fn successor(place: &str) -> String {
    format!("{place}\u{0}")
}

fn start_of_day(time: Timestamp) -> Timestamp {
    time.plus_millis(-time.unix_millis().rem_euclid(DAY_MILLIS))
}
