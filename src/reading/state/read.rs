//! Folds what the table has of a group.

use std::time::Instant;

use crate::domain::timestamp::Timestamp;
use crate::reading::group_key::GroupKey;
use crate::reading::records::{FIRST, LAST, change};
use crate::reading::state::callbacks::Callbacks;
use crate::reading::state::fold::{Fold, Folded};
use crate::reading::state::{State, end_of};
use crate::storage::ledger::Ledger;
use crate::storage::read::{Filter, Range, ReadError};

/// Adds a group's records to `fold`, a page at a time: all of them, or until it knows what was asked for, or until `deadline` has
/// passed.
///
/// # Errors
///
/// If the table cannot be read.
pub async fn fold(ledger: &Ledger, mut fold: Fold, deadline: Option<Instant>) -> Result<Folded, ReadError> {
    let wants_previous = fold.wants_more();
    let until = fold.reads_until().map_or_else(|| LAST.to_owned(), end_of);
    let mut range = Range { from: FIRST.to_owned(), until, descending: false, after: None, limit: None };
    let filter = Filter::default();
    loop {
        let page = ledger.history(fold.group_key(), &range, &filter).await?;
        for item in page.items {
            fold.add(change(ledger, item).await?);
        }
        range.after = page.after;
        if range.after.is_none() {
            return Ok(fold.end(true));
        }
        let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if is_late || (wants_previous && !fold.wants_more()) {
            return Ok(fold.end(false));
        }
    }
}

/// The state of a group by all records up to and including the time `at`, or by all; `None` where there are none. After
/// `deadline`, the state as far as it was folded.
///
/// # Errors
///
/// If the table cannot be read.
pub async fn state(
    ledger: &Ledger,
    callbacks: &Callbacks,
    key: GroupKey,
    at: Option<Timestamp>,
    deadline: Option<Instant>,
) -> Result<Option<State>, ReadError> {
    let now = Timestamp::now();
    let folded = fold(ledger, Fold::new(key, now).up_to(at), deadline).await?;
    let are_on = are_on(ledger, callbacks, &folded, now).await;
    Ok(folded.state(are_on))
}

/// Whether the ledger shows the callbacks of joining and leaving to be switched on, as far as the state depends on it.
pub(super) async fn are_on(ledger: &Ledger, callbacks: &Callbacks, folded: &Folded, now: Timestamp) -> bool {
    for kind in folded.kinds_to_find() {
        if !callbacks.are_on(ledger, folded.app(), kind, now).await {
            return false;
        }
    }
    true
}
