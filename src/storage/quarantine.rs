//! Reading quarantine and emptying it, for the tool that decodes it again.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::domain::callback::Callback;
use crate::domain::quarantine::Undecoded;
use crate::domain::record::{PARTITION_KEY, Part, SORT_KEY};
use crate::storage::call::CallError;
use crate::storage::item::{self, Item};
use crate::storage::ledger::Ledger;
use crate::storage::read::ReadError;

/// One item of quarantine: where it is, and what it holds.
pub struct Kept {
    group_key: String,
    change_key: String,
    parts: Vec<String>,
    /// The callback, with its body.
    pub undecoded: Undecoded<'static>,
}

impl Kept {
    /// Its callback.
    #[must_use]
    pub fn callback(&self) -> &Callback<'static> {
        &self.undecoded.callback
    }
}

impl Ledger {
    /// What an item of quarantine holds, with its body.
    ///
    /// # Errors
    ///
    /// Where the item or a part of its body cannot be read.
    pub async fn kept(&self, item: Item) -> Result<Kept, ReadError> {
        let change_key = change_key(&item).to_owned();
        let mut quarantined = item::quarantined(item)?;
        let (body, parts) = self.body(quarantined.raw).await?;
        quarantined.undecoded.callback.body = body.into();
        Ok(Kept { group_key: quarantined.group_key, change_key, parts, undecoded: quarantined.undecoded })
    }

    /// Takes something out of quarantine; the parts of its body last, because without them it could not be read again.
    ///
    /// # Errors
    ///
    /// Where that is not, or not surely, done.
    pub async fn remove(&self, kept: &Kept) -> Result<(), CallError> {
        let own = (kept.group_key.as_str(), kept.change_key.as_str());
        let parts = kept.parts.iter().map(|part| (part.as_str(), Part::CHANGE_KEY));
        for (group_key, change_key) in [own].into_iter().chain(parts) {
            let delete = self.client().delete_item().table_name(self.table());
            let delete = delete.key(PARTITION_KEY, AttributeValue::S(group_key.to_owned()));
            let delete = delete.key(SORT_KEY, AttributeValue::S(change_key.to_owned()));
            delete.send().await?;
        }
        Ok(())
    }
}

/// The sort key of an item.
#[must_use]
pub fn change_key(item: &Item) -> &str {
    item.get(SORT_KEY).and_then(|key| key.as_s().ok()).map_or("", String::as_str)
}
