//! Folds what the table has of a group.

use std::time::Instant;

use crate::domain::timestamp::Timestamp;
use crate::reading::history::{self, FIRST, LAST};
use crate::reading::state::fold::Fold;
use crate::reading::state::told::Told;
use crate::reading::state::{GroupKey, State, end_of};
use crate::storage::ledger::Ledger;
use crate::storage::read::{Filter, Range, ReadError};

/// Adds a group's records to `fold`, up to and including the time `at`, until it knows what was asked for or `deadline` has passed;
/// whether it came to the end. Folds a page at a time.
///
/// # Errors
///
/// Where the table cannot be read.
pub async fn fold(
    ledger: &Ledger,
    mut fold: Fold,
    at: Option<Timestamp>,
    deadline: Option<Instant>,
) -> Result<(Fold, bool), ReadError> {
    let wants_previous = fold.wants_more();
    let until = at.map_or_else(|| LAST.to_owned(), end_of);
    let mut range = Range { from: FIRST.to_owned(), until, descending: false, after: None, limit: None };
    let filter = Filter::default();
    loop {
        let page = ledger.history(fold.group_key(), &range, &filter).await?;
        for item in page.items {
            fold.add(history::change(ledger, item).await?);
        }
        range.after = page.after;
        if range.after.is_none() || (wants_previous && !fold.wants_more()) {
            return Ok((fold, true));
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok((fold, false));
        }
    }
}

/// The state of a group by all records up to and including the time `at`, or by all; `None` where there are none. After
/// `deadline`, the state as far as it was folded.
///
/// # Errors
///
/// Where the table cannot be read.
pub async fn state(
    ledger: &Ledger,
    told: &Told,
    key: GroupKey,
    at: Option<Timestamp>,
    deadline: Option<Instant>,
) -> Result<Option<State>, ReadError> {
    let now = Timestamp::now();
    let (mut fold, finished) = self::fold(ledger, Fold::new(key, now), at, deadline).await?;
    let is_told = is_told(ledger, told, &mut fold, now).await?;
    Ok(fold.finish(is_told, finished))
}

/// Whether the ledger shows the callbacks of joining and leaving to be switched on, as far as the fold's state depends on it.
///
/// # Errors
///
/// Where the index cannot be read.
pub(super) async fn is_told(ledger: &Ledger, told: &Told, fold: &mut Fold, now: Timestamp) -> Result<bool, ReadError> {
    for kind in fold.kinds_to_find() {
        if !told.has(ledger, fold.app(), kind, now).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
