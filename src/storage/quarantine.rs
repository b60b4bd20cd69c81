//! Reading quarantine and emptying it, for reprocessing.

use crate::domain::callback::Callback;
use crate::domain::quarantine::Undecoded;
use crate::domain::record::{Part, SORT_KEY};
use crate::storage::call::CallError;
use crate::storage::item::{self, Item};
use crate::storage::ledger::Ledger;
use crate::storage::read::{ReadError, key_of, text_of};

/// One item of quarantine: where it is, and what it holds.
pub struct QuarantinedCallback {
    group_key: String,
    change_key: String,
    parts: Vec<String>,
    /// The callback, with its body.
    pub undecoded: Undecoded<'static>,
}

impl QuarantinedCallback {
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
    /// If the item or a part of its body cannot be read.
    pub async fn quarantined_callback(&self, item: Item) -> Result<QuarantinedCallback, ReadError> {
        let change_key = text_of(&item, SORT_KEY).unwrap_or_default().to_owned();
        let mut quarantined = item::quarantined(item)?;
        let (body, parts) = self.body(quarantined.raw).await?;
        quarantined.undecoded.callback.body = body.into();
        Ok(QuarantinedCallback {
            group_key: quarantined.group_key,
            change_key,
            parts,
            undecoded: quarantined.undecoded,
        })
    }

    /// Takes something out of quarantine; the parts of its body last, because without them it could not be read again.
    ///
    /// # Errors
    ///
    /// If that is not, or not surely, done.
    pub async fn remove(&self, callback: &QuarantinedCallback) -> Result<(), CallError> {
        let own = (callback.group_key.as_str(), callback.change_key.as_str());
        let parts = callback.parts.iter().map(|part| (part.as_str(), Part::CHANGE_KEY));
        for (group_key, change_key) in [own].into_iter().chain(parts) {
            let delete = self.client().delete_item().table_name(self.table());
            delete.set_key(Some(key_of(group_key, change_key))).send().await?;
        }
        Ok(())
    }
}
