//! A group's records, as changes: what histories and states read.

use crate::reading::change::Change;
use crate::storage::item::{self, CHANGE, Item};
use crate::storage::ledger::Ledger;
use crate::storage::read::ReadError;

/// Below and above every sort key: they begin with a year.
pub(crate) const FIRST: &str = "0";
pub(crate) const LAST: &str = ":";

/// The change of a record's item. Where that had no room for what changed, the body is decoded again, if it is all there.
///
/// # Errors
///
/// Where the table cannot be read.
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

/// The change of a record's whole item, as the table's stream has it: the table is read only for a body in parts.
///
/// # Errors
///
/// Where the item is none of a record, or the table cannot be read.
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
