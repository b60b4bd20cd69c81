//! A group's records, as changes: what histories and states read.

use std::collections::HashMap;

use crate::domain::record::{PARTITION_KEY, SORT_KEY};
use crate::reading::change::Change;
use crate::storage::item::{self, CHANGE, Item};
use crate::storage::ledger::Ledger;
use crate::storage::read::{ReadError, text_of};

/// Below and above every sort key: they begin with a year.
pub(crate) const FIRST: &str = "0";
pub(crate) const LAST: &str = ":";

/// The items of at most [`MAX_BATCH`](crate::storage::read::MAX_BATCH) keys, by group and change, without their bodies; those that
/// are gone are left out.
///
/// # Errors
///
/// If the table cannot be read.
pub async fn by_key<'k>(
    ledger: &Ledger,
    keys: impl Iterator<Item = (&'k str, &'k str)>,
) -> Result<HashMap<(String, String), Item>, ReadError> {
    let attribute = |item: &Item, name| text_of(item, name).unwrap_or_default().to_owned();
    let items = ledger.get_all(keys).await?.into_iter();
    Ok(items.map(|item| ((attribute(&item, PARTITION_KEY), attribute(&item, SORT_KEY)), item)).collect())
}

/// The change of a record's item. Where that had no room for what changed, the body is decoded again, if it is all there.
///
/// # Errors
///
/// If the table cannot be read.
pub async fn change(ledger: &Ledger, item: Item) -> Result<Change, ReadError> {
    let (record, details) = item::attributes(item)?;
    let mut change = Change::of_record(record, details);
    if change.change.is_none()
        && let Some(whole) = ledger.get(&change.group_key, &change.change_key).await?
    {
        let body = ledger.whole_body(item::raw(whole)?).await?;
        change.decode_again(body.as_deref());
    }
    Ok(change)
}

/// The change of a record's whole item, and its body; `None` where a part of that is missing.
///
/// # Errors
///
/// If the item is none of a record, or the table cannot be read.
pub async fn change_with_body(ledger: &Ledger, item: Item) -> Result<(Change, Option<Vec<u8>>), ReadError> {
    let body = ledger.whole_body(item::raw(item.clone())?).await?;
    let (record, details) = item::attributes(item)?;
    let mut change = Change::of_record(record, details);
    change.decode_again(body.as_deref());
    Ok((change, body))
}

/// The change of a record's whole item, as the table's stream has it: the table is read only for a body in parts.
///
/// # Errors
///
/// If the item is none of a record, or the table cannot be read.
pub async fn change_of_image(ledger: &Ledger, item: Item) -> Result<Change, ReadError> {
    let raw = if item.contains_key(CHANGE) { None } else { Some(item::raw(item.clone())?) };
    let (record, details) = item::attributes(item)?;
    let mut change = Change::of_record(record, details);
    if let Some(raw) = raw {
        let body = ledger.whole_body(raw).await?;
        change.decode_again(body.as_deref());
    }
    Ok(change)
}
