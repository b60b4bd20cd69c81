//! The history of a group: its changes in the order in which they happened.

use std::time::{Duration, Instant};

use crate::domain::record::SORT_KEY;
use crate::domain::timestamp::Timestamp;
use crate::reading::change::{Change, Plain};
use crate::reading::cursor::Binding;
use crate::reading::format::Format;
use crate::reading::group_key::GroupKey;
use crate::reading::page::{Capacity, MAX_LIMIT, Page};
use crate::reading::parameters::{Parameters, not_a_cursor};
use crate::reading::problem::Problem;
use crate::reading::records::{FIRST, LAST, change};
use crate::reading::state;
use crate::reading::state::fold::Fold;
use crate::storage::ledger::Ledger;
use crate::storage::read::{Filter, Range, ReadError, key_of, text_of};

/// How long a request may fold the history for what was before its changes.
const PREVIOUS_TIME: Duration = Duration::from_secs(10);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Query {
    group_key: String,
    filter: Filter,
    range: Range,
    binding: Binding,
    limit: usize,
    previous: bool,
}

impl Query {
    /// Reads the parameters of a history.
    ///
    /// # Errors
    ///
    /// If one is wrong.
    pub fn read(parameters: &mut Parameters) -> Result<Self, Problem> {
        let group_key = parameters.group_key()?;
        let (from, until) = (parameters.time("from")?, parameters.time("until")?);
        if from.zip(until).is_some_and(|(from, until)| from > until) {
            return Err(Problem::parameter("until", "is before from."));
        }
        let descending = parameters.descending()?;
        let filter = Filter { kinds: parameters.kinds()?, operator: parameters.one("operator")?, ..Filter::default() };
        let limit = parameters.number("limit", 100, 1, MAX_LIMIT)?;
        let previous = parameters.flag("previous")?;

        // No key is a time alone, so that `until` itself is above every key of an earlier time and below its own.
        let bound =
            |time: Option<Timestamp>, default: &str| time.map_or_else(|| default.to_owned(), |time| time.to_string());
        let (from, until) = (bound(from, FIRST), bound(until, LAST));
        let order = if descending { "desc" } else { "asc" };
        // Every parameter that selects changes is part of the binding.
        let kinds = filter.kinds.iter().map(|kind| kind.as_str());
        let operator = filter.operator.as_deref().unwrap_or_default();
        let binding = Binding::new(
            "history",
            [&group_key, &from, &until, order, operator].into_iter().map(AsRef::as_ref).chain(kinds),
        );
        let after = parameters.position("cursor", &binding)?;
        if after.as_ref().is_some_and(|key| !(from.as_str()..=until.as_str()).contains(&key.as_str())) {
            return Err(not_a_cursor("cursor"));
        }
        let after = after.map(|change_key| key_of(&group_key, &change_key));
        let range = Range { from, until, descending, after, limit: None };
        Ok(Self { group_key, filter, range, binding, limit, previous })
    }

    /// Reads a page.
    ///
    /// # Errors
    ///
    /// If the table cannot be read.
    pub async fn page(mut self, ledger: &Ledger, format: Format) -> Result<Page, ReadError> {
        let (mut room, mut rows, mut changes, mut more) = (Capacity::new(self.limit), Vec::new(), Vec::new(), true);
        'pages: while more && !room.is_full() {
            // With a filter DynamoDB looks at more than it gives.
            self.range.limit = self.filter.takes_all().then(|| room.items());
            let page = ledger.history(&self.group_key, &self.range, &self.filter).await?;
            for item in page.items {
                let change = change(ledger, item).await?;
                let row = format.row(&change);
                if !room.take(row.len()) {
                    break 'pages;
                }
                self.range.after = Some(key_of(&change.group_key, &change.change_key));
                if self.previous {
                    changes.push(change);
                } else {
                    rows.push(row);
                }
            }
            more = page.after.is_some();
            self.range.after = page.after.or(self.range.after);
        }
        let mut after = self.range.after.as_ref().and_then(|key| text_of(key, SORT_KEY)).map(str::to_owned);
        if !changes.is_empty() {
            self.add_previous(ledger, &mut changes).await?;
        }
        // What was before needs room too.
        let (mut room, mut last) = (Capacity::new(self.limit), None);
        for change in changes {
            let row = format.row(&change);
            if !room.take(row.len()) {
                (after, more) = (last, true);
                break;
            }
            rows.push(row);
            last = Some(change.change_key);
        }
        Ok(Page { rows, more, next: after.filter(|_| more).map(|key| self.binding.cursor(&key)) })
    }

    /// Adds what was before each change, as far as the history can be folded in time.
    async fn add_previous(&self, ledger: &Ledger, changes: &mut [Change]) -> Result<(), ReadError> {
        let Some(key) = GroupKey::parse(&self.group_key) else { return Ok(()) };
        let keys = changes.iter().map(|change| change.change_key.clone());
        let fold = Fold::new(key, Timestamp::now()).with_previous_of(keys);
        let folded = state::read::fold(ledger, fold, Some(Instant::now() + PREVIOUS_TIME)).await?;
        let mut previous = folded.into_previous();
        for change in changes {
            change.previous = previous.remove(&change.change_key).map(Plain);
        }
        Ok(())
    }
}
