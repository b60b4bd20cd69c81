//! Which callbacks of an app are switched on. Each has its own switch in the platform's console; only recorded changes show its
//! position.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::time::timeout;
use tracing::warn;

use crate::domain::change::Kind;
use crate::domain::feed::partitions;
use crate::domain::timestamp::{DAY_MILLIS, Timestamp};
use crate::reading::feed::Index;
use crate::reading::records::{FIRST, LAST};
use crate::storage::read::{Filter, Range, ReadError};

/// How many days of the feed are looked at, today among them.
const DAYS: i64 = 7;
/// How long looking may take.
const TIME: Duration = Duration::from_secs(3);
/// How long an answer counts before the feed is asked again.
const ASKED_AGAIN_AFTER: Duration = Duration::from_mins(10);

/// An app of a platform, and a kind of its changes.
type Asked = (String, String, &'static str);

/// What is known about each app.
#[derive(Debug, Default)]
pub struct Callbacks(Mutex<HashMap<Asked, (bool, Instant)>>);

impl Callbacks {
    /// Whether the feed's last week has a change of `kind` of an app: looks at the newest megabyte of each of its partitions. A
    /// failed or slow read counts as off, so that the state is still answered.
    pub async fn are_on(&self, index: &impl Index, app: (&str, &str), kind: Kind, now: Timestamp) -> bool {
        let asked = (app.0.to_owned(), app.1.to_owned(), kind.as_str());
        if let Some((known, at)) = self.0.lock().ok().and_then(|known| known.get(&asked).copied())
            && at.elapsed() < ASKED_AGAIN_AFTER
        {
            return known;
        }
        match timeout(TIME, find(index, app, kind, now)).await {
            Ok(Ok(found)) => {
                if let Ok(mut known) = self.0.lock() {
                    known.insert(asked, (found, Instant::now()));
                }
                found
            }
            Ok(Err(error)) => {
                warn!(%error, "the feed cannot be read");
                false
            }
            Err(_) => false,
        }
    }
}

async fn find(
    index: &impl Index,
    (platform, app_id): (&str, &str),
    kind: Kind,
    now: Timestamp,
) -> Result<bool, ReadError> {
    let filter = Filter {
        kinds: vec![kind],
        platform: Some(platform.to_owned()),
        app_id: Some(app_id.to_owned()),
        ..Filter::default()
    };
    let newest = Range { from: FIRST.to_owned(), until: LAST.to_owned(), descending: true, after: None, limit: None };
    for day in 0..DAYS {
        let day: Vec<String> = partitions(&now.plus_millis(-day * DAY_MILLIS).date()).collect();
        let pages = try_join_all(day.iter().map(|partition| index.page(partition, &newest, &filter))).await?;
        if pages.iter().any(|page| !page.items.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}
