//! Reading quarantine and emptying it, for the tool that decodes it again. No function does either.

use std::io::Read as _;

use aws_sdk_dynamodb::types::AttributeValue;
use flate2::read::GzDecoder;

use crate::domain::callback::Callback;
use crate::domain::quarantine::Undecoded;
use crate::domain::record::{PARTITION_KEY, Part, Raw, SORT_KEY};
use crate::storage::call::CallError;
use crate::storage::item::{self, Item, ItemError};
use crate::storage::ledger::Ledger;

/// How many items a page has: one may have 400 KB, and a page has at most 1 MB.
const PAGE_SIZE: i32 = 25;

/// Why something in quarantine cannot be read or removed.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// The call failed.
    #[error("DynamoDB {0}")]
    Call(#[from] CallError),
    /// Its item is not what it should be.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// A part of its body is not there.
    #[error("a part of the body is missing")]
    MissingPart,
    /// Its compressed body is damaged.
    #[error("the body cannot be decompressed")]
    Damaged,
}

/// The items of a partition of quarantine, a page at a time.
pub struct Pages<'l> {
    ledger: &'l Ledger,
    group_key: &'l str,
    after: Option<Item>,
    is_over: bool,
}

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

impl<'l> Pages<'l> {
    /// The items of the partition `group_key`.
    #[must_use]
    pub fn new(ledger: &'l Ledger, group_key: &'l str) -> Self {
        Self { ledger, group_key, after: None, is_over: false }
    }

    /// The next page; `None` after the last one.
    ///
    /// # Errors
    ///
    /// Where the table cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<Item>>, QuarantineError> {
        if self.is_over {
            return Ok(None);
        }
        let query = self.ledger.client().query().table_name(self.ledger.table()).limit(PAGE_SIZE);
        let query = query
            .key_condition_expression("group_key = :group_key")
            .expression_attribute_values(":group_key", AttributeValue::S(self.group_key.to_owned()))
            .set_exclusive_start_key(self.after.take());
        let page = query.send().await.map_err(CallError::from)?;
        self.after = page.last_evaluated_key;
        self.is_over = self.after.is_none();
        Ok(Some(page.items.unwrap_or_default()))
    }
}

impl Ledger {
    /// What an item of quarantine holds, with its body.
    ///
    /// # Errors
    ///
    /// Where the item or a part of its body cannot be read.
    pub async fn kept(&self, item: Item) -> Result<Kept, QuarantineError> {
        let change_key = change_key(&item).to_owned();
        let mut quarantined = item::quarantined(item)?;
        let (body, parts) = self.body(quarantined.raw).await?;
        quarantined.undecoded.callback.body = body.into();
        Ok(Kept { group_key: quarantined.group_key, change_key, parts, undecoded: quarantined.undecoded })
    }

    /// A body, and the partition keys of its parts.
    async fn body(&self, raw: Raw<'_>) -> Result<(Vec<u8>, Vec<String>), QuarantineError> {
        let (gzip, parts) = match raw {
            Raw::Text(raw) => return Ok((raw.into_owned().into_bytes(), Vec::new())),
            Raw::Gzip(gzip) => (gzip, Vec::new()),
            Raw::Parts { key, count } => {
                let parts: Vec<String> = (0..count).map(|number| Part::group_key(&key, number)).collect();
                let mut gzip = Vec::new();
                for part in &parts {
                    gzip.extend(self.part(part).await?);
                }
                (gzip, parts)
            }
        };
        let mut body = Vec::new();
        GzDecoder::new(gzip.as_slice()).read_to_end(&mut body).map_err(|_| QuarantineError::Damaged)?;
        Ok((body, parts))
    }

    async fn part(&self, group_key: &str) -> Result<Vec<u8>, QuarantineError> {
        let get = self.client().get_item().table_name(self.table());
        let get = get.key(PARTITION_KEY, AttributeValue::S(group_key.to_owned()));
        let get = get.key(SORT_KEY, AttributeValue::S(Part::CHANGE_KEY.to_owned()));
        let item = get.send().await.map_err(CallError::from)?.item.ok_or(QuarantineError::MissingPart)?;
        Ok(item::part(item)?)
    }

    /// Takes something out of quarantine; the parts of its body last, because without them it could not be read again.
    ///
    /// # Errors
    ///
    /// Where that is not, or not surely, done.
    pub async fn remove(&self, kept: &Kept) -> Result<(), QuarantineError> {
        let own = (kept.group_key.as_str(), kept.change_key.as_str());
        let parts = kept.parts.iter().map(|part| (part.as_str(), Part::CHANGE_KEY));
        for (group_key, change_key) in [own].into_iter().chain(parts) {
            let delete = self.client().delete_item().table_name(self.table());
            let delete = delete.key(PARTITION_KEY, AttributeValue::S(group_key.to_owned()));
            let delete = delete.key(SORT_KEY, AttributeValue::S(change_key.to_owned()));
            delete.send().await.map_err(CallError::from)?;
        }
        Ok(())
    }
}

/// The sort key of an item.
#[must_use]
pub fn change_key(item: &Item) -> &str {
    item.get(SORT_KEY).and_then(|key| key.as_s().ok()).map_or("", String::as_str)
}
