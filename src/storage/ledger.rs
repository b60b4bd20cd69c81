//! The ledger: DynamoDB, one conditional `PutItem` a record.
//!
//! The condition makes a second delivery of a callback harmless, and what DynamoDB returns when it fails tells, in the
//! same request, whether the key is held by our own earlier attempt, by the same callback or by another one.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Config;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure, ThrottlingReason};
use aws_types::SdkConfig;
use tokio::time::timeout;

use crate::domain::change::Detail;
use crate::domain::quarantine::Quarantined;
use crate::domain::record::{PARTITION_KEY, Part, Raw, Record, SORT_KEY, TIME_TO_LIVE};
use crate::domain::timestamp::Timestamp;
use crate::settings::{SettingError, Settings};
use crate::storage::call::{CallError, Scope, retries};
use crate::storage::envelope::Envelope;

/// How long warming up may take; a sender may be waiting for the function to start.
pub const WARM_UP_TIMEOUT: Duration = Duration::from_millis(300);

/// The largest item DynamoDB takes, less a margin: `size` follows its published rules, which leave the last bytes open.
const MAX_ITEM_BYTES: usize = 390 * 1024;

type Item = HashMap<String, AttributeValue>;

/// The table of records.
#[derive(Clone, Debug)]
pub struct Ledger {
    client: Client,
    table: String,
}

/// What became of an envelope that is durably in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was written.
    Recorded,
    /// The same callback was recorded before; that record stays as it is.
    Duplicate,
}

/// Why an envelope is not, or not surely, in the table. Says nothing of the envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The call failed.
    #[error("DynamoDB {0}")]
    Call(#[from] CallError),
    /// It is larger than an item can be, even without its body and its change.
    #[error("the record is too large")]
    TooLarge,
}

impl Ledger {
    /// The ledger of `TABLE_NAME`.
    ///
    /// # Errors
    ///
    /// Where that is not set.
    pub fn from_settings(settings: &Settings<'_>, config: &SdkConfig) -> Result<Self, SettingError> {
        let mut config = Config::from(config).to_builder();
        config
            .set_endpoint_url(settings.text("AWS_ENDPOINT_URL_DYNAMODB"))
            .set_retry_partition(Some(retries("DynamoDB")));
        Ok(Self { client: Client::from_conf(config.build()), table: settings.required("TABLE_NAME")? })
    }

    /// The client, for tools that do more than a function may.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Opens the connection, with a write whose condition does not hold: it changes nothing, needs no further permission
    /// than recording does, and finds a wrong table or role before a callback does. Costs one write unit a start.
    ///
    /// # Errors
    ///
    /// Where DynamoDB cannot be reached or would reject a record.
    pub async fn warm_up(&self) -> Result<(), LedgerError> {
        let key = || AttributeValue::S("warm-up".to_owned());
        let item = Item::from([(PARTITION_KEY.to_owned(), key()), (SORT_KEY.to_owned(), key())]);
        let put = self.put(item, "attribute_exists(group_key)");
        timeout(WARM_UP_TIMEOUT, put).await.map_err(|_| CallError::TimedOut)?.map(|_| ())
    }

    /// Writes a callback's envelopes, once each, in their order and within a time: what became of the last one, which
    /// refers to the others.
    ///
    /// # Errors
    ///
    /// Where one of them is not, or not surely, in the table.
    pub async fn write(&self, envelopes: &[Envelope<'_>], within: Duration) -> Result<Written, LedgerError> {
        let write = async {
            let mut stored = Written::Duplicate;
            for envelope in envelopes {
                stored = self.write_one(envelope).await?;
            }
            Ok(stored)
        };
        timeout(within, write).await.map_err(|_| CallError::TimedOut)?
    }

    /// Whether an item can hold an envelope.
    #[must_use]
    pub fn fits(envelope: &Envelope<'_>) -> bool {
        match envelope {
            Envelope::Record(record) => item(record).is_ok(),
            Envelope::Quarantined(kept) => quarantined_item(kept).is_ok(),
            Envelope::Part(_) => true,
        }
    }

    async fn write_one(&self, envelope: &Envelope<'_>) -> Result<Written, LedgerError> {
        match envelope {
            Envelope::Record(record) => {
                let identity = Identity {
                    digest: &record.digest,
                    request_id: &record.request_id,
                    received_at: record.received_at,
                    has_own_time: record.change.occurred_at.is_some(),
                };
                let keys = [Record::change_key, Record::collision_key].into_iter().map(|key| key(record));
                self.write_item(keys, &identity, || item(record)).await
            }
            Envelope::Quarantined(kept) => {
                let identity = Identity {
                    digest: &kept.digest,
                    request_id: &kept.request_id,
                    received_at: kept.received_at,
                    has_own_time: false,
                };
                let keys = [Quarantined::change_key, Quarantined::collision_key].into_iter().map(|key| key(kept));
                self.write_item(keys, &identity, || quarantined_item(kept)).await
            }
            // Where its key is held, it is held by this very part.
            Envelope::Part(part) => self.put(part_item(part), IS_FREE).await.map(|_| Written::Recorded),
        }
    }

    /// Puts an item under the first of its keys that no other callback holds.
    async fn write_item(
        &self,
        keys: impl Iterator<Item = String>,
        identity: &Identity<'_>,
        item: impl Fn() -> Result<Item, LedgerError>,
    ) -> Result<Written, LedgerError> {
        for key in keys {
            match self.put_new(&key, &item).await? {
                Put::Written => return Ok(Written::Recorded),
                Put::Held(holder) if identity.is_own(&holder) => return Ok(Written::Recorded),
                // Without a time of its own, a callback's repetition is an event of its own.
                Put::Held(holder) if identity.is_same(&holder) && identity.has_own_time => {
                    return Ok(Written::Duplicate);
                }
                Put::Held(_) => {}
            }
        }
        // The second key has the whole digest, or digest and request, in it: only this callback can hold it.
        Ok(Written::Duplicate)
    }

    /// Puts an item where its key is free. What DynamoDB would not take can only be in `change`, whose names and values
    /// are the callback's; the raw body has it all.
    async fn put_new(&self, key: &str, item: &impl Fn() -> Result<Item, LedgerError>) -> Result<Put, LedgerError> {
        let keyed = || {
            let mut item = item()?;
            item.insert(SORT_KEY.to_owned(), AttributeValue::S(key.to_owned()));
            Ok::<_, LedgerError>(item)
        };
        match self.put(keyed()?, IS_FREE).await {
            Err(LedgerError::Call(CallError::Rejected(code))) if code == "ValidationException" => {
                let mut item = keyed()?;
                item.remove("change");
                self.put(item, IS_FREE).await
            }
            put => put,
        }
    }

    async fn put(&self, item: Item, condition: &str) -> Result<Put, LedgerError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(condition)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(Put::Written),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failure)) => {
                    Ok(Put::Held(failure.item.clone().unwrap_or_default()))
                }
                Some(rejected) => Err(throttled(rejected).unwrap_or_else(|| CallError::from(error)).into()),
                None => Err(CallError::from(error).into()),
            },
        }
    }
}

/// What was throttled, where the table throttled a put.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ThrottlingReason.html>
fn throttled(error: &PutItemError) -> Option<CallError> {
    let scope = match error {
        PutItemError::ProvisionedThroughputExceededException(error) => scope(error.throttling_reasons()),
        PutItemError::ThrottlingException(error) => scope(error.throttling_reasons()),
        // The account's limit.
        PutItemError::RequestLimitExceeded(_) => Scope::Table,
        _ => return None,
    };
    Some(CallError::Throttled { code: error.code().unwrap_or("unknown").to_owned(), scope })
}

fn scope(reasons: &[ThrottlingReason]) -> Scope {
    // `TableWriteKeyRangeThroughputExceeded`
    let is_partition = |reason: &ThrottlingReason| reason.reason().is_some_and(|reason| reason.contains("KeyRange"));
    match reasons {
        [] => Scope::Unknown,
        reasons if reasons.iter().all(is_partition) => Scope::Partition,
        _ => Scope::Table,
    }
}

/// Nobody holds the key.
const IS_FREE: &str = "attribute_not_exists(group_key)";

/// What became of one put.
enum Put {
    Written,
    /// The condition failed; the item that holds the key.
    Held(Item),
}

/// What tells a write from another one.
struct Identity<'r> {
    digest: &'r str,
    request_id: &'r str,
    received_at: Timestamp,
    /// Whether the callback says when it happened, so that its repetition is the same event.
    has_own_time: bool,
}

impl Identity<'_> {
    /// Whether `holder` is what an earlier attempt of this very write left, whose answer was lost.
    fn is_own(&self, holder: &Item) -> bool {
        let request_id = (!self.request_id.is_empty()).then_some(self.request_id);
        self.is_same(holder)
            && holder_text(holder, "request_id") == request_id
            && holder_text(holder, "received_at") == Some(&self.received_at.to_string())
    }

    /// Whether `holder` is of the same callback.
    fn is_same(&self, holder: &Item) -> bool {
        holder_text(holder, "digest") == Some(self.digest)
    }
}

fn holder_text<'i>(holder: &'i Item, name: &str) -> Option<&'i str> {
    holder.get(name)?.as_s().ok().map(String::as_str)
}

/// The record's attributes but the sort key.
fn item(record: &Record<'_>) -> Result<Item, LedgerError> {
    let change = &record.change;
    let mut item = Item::with_capacity(20);
    let mut text = |name: &str, value: &str| item.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
    text(PARTITION_KEY, &record.group_key);
    text("platform", &record.platform);
    text("app_id", &record.app_id);
    text("group_id", &change.group_id);
    text("kind", change.kind.as_str());
    text("command", &change.command);
    text("occurred_at", &record.occurred_at.to_string());
    text("occurred_at_source", record.occurred_at_source());
    text("received_at", &record.received_at.to_string());
    text("digest", &record.digest);
    if let Some(operator) = &change.operator {
        text("operator", operator);
    }
    if let Some(group_type) = &change.group_type {
        text("group_type", group_type);
    }
    if !record.request_id.is_empty() {
        text("request_id", &record.request_id);
    }
    insert_raw(&mut item, &record.raw);
    insert_expiry(&mut item, record.expires_at);
    if !change.source.is_empty() {
        item.insert("source".to_owned(), texts(&change.source));
    }

    let details = change.details.iter().map(|(name, detail)| (name.to_string(), attribute(detail)));
    let details = AttributeValue::M(details.collect());
    let rest = size(&item);
    if rest > MAX_ITEM_BYTES {
        return Err(LedgerError::TooLarge);
    }
    // The raw body has it all; what changed is spelled out as far as there is room.
    if !record.details_omitted && rest + attribute_size(&details) <= MAX_ITEM_BYTES {
        item.insert("change".to_owned(), details);
    }
    Ok(item)
}

/// The attributes of what is in quarantine but the sort key.
fn quarantined_item(kept: &Quarantined<'_>) -> Result<Item, LedgerError> {
    let mut item = Item::with_capacity(16);
    let mut text = |name: &str, value: &str| item.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
    text(PARTITION_KEY, &kept.group_key);
    text("platform", &kept.platform);
    text("app_id", &kept.app_id);
    text("received_at", &kept.received_at.to_string());
    text("reason", &kept.reason.rejection.to_string());
    text("digest", &kept.digest);
    if let Some(command) = &kept.reason.command {
        text("command", command);
    }
    if !kept.request_id.is_empty() {
        text("request_id", &kept.request_id);
    }
    insert_raw(&mut item, &kept.raw);
    insert_expiry(&mut item, kept.expires_at);
    item.insert("code".to_owned(), AttributeValue::N(kept.reason.rejection.code().to_string()));
    let request = HashMap::from([
        ("path".to_owned(), AttributeValue::S(kept.path.clone().into_owned())),
        ("query".to_owned(), AttributeValue::S(kept.query.clone())),
        ("headers".to_owned(), texts(&kept.headers)),
    ]);
    item.insert("request".to_owned(), AttributeValue::M(request));
    if size(&item) > MAX_ITEM_BYTES { Err(LedgerError::TooLarge) } else { Ok(item) }
}

/// The attributes of a part of a body.
fn part_item(part: &Part) -> Item {
    let mut item = Item::from([
        (PARTITION_KEY.to_owned(), AttributeValue::S(part.group_key.clone())),
        (SORT_KEY.to_owned(), AttributeValue::S(Part::CHANGE_KEY.to_owned())),
        ("raw_gzip".to_owned(), AttributeValue::B(Blob::new(part.raw_gzip.as_slice()))),
    ]);
    insert_expiry(&mut item, part.expires_at);
    item
}

fn insert_raw(item: &mut Item, raw: &Raw<'_>) {
    match raw {
        Raw::Text(raw) => item.insert("raw".to_owned(), AttributeValue::S(raw.clone().into_owned())),
        Raw::Gzip(raw) => item.insert("raw_gzip".to_owned(), AttributeValue::B(Blob::new(raw.as_slice()))),
        Raw::Parts { key, count } => {
            item.insert("raw_key".to_owned(), AttributeValue::S(key.clone()));
            item.insert("raw_parts".to_owned(), AttributeValue::N(count.to_string()))
        }
    };
}

fn insert_expiry(item: &mut Item, expires_at: Option<i64>) {
    if let Some(expires_at) = expires_at {
        item.insert(TIME_TO_LIVE.to_owned(), AttributeValue::N(expires_at.to_string()));
    }
}

fn texts(texts: &[(Cow<'_, str>, Cow<'_, str>)]) -> AttributeValue {
    AttributeValue::M(
        texts.iter().map(|(name, text)| (name.to_string(), AttributeValue::S(text.to_string()))).collect(),
    )
}

fn attribute(detail: &Detail<'_>) -> AttributeValue {
    match detail {
        Detail::Text(text) => AttributeValue::S(text.to_string()),
        Detail::Number(number) => AttributeValue::N(number.clone()),
        Detail::Flag(flag) => AttributeValue::Bool(*flag),
        Detail::Nothing => AttributeValue::Null(true),
        Detail::Ids(ids) => AttributeValue::L(ids.iter().map(|id| AttributeValue::S(id.to_string())).collect()),
        Detail::Map(map) => {
            AttributeValue::M(map.iter().map(|(key, value)| (key.to_string(), attribute(value))).collect())
        }
    }
}

/// An item's size by DynamoDB's rules, rounded up: names and values in UTF-8, 3 bytes and 1 an element for a list or map.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + 1 + attribute_size(value)).sum()
}

fn attribute_size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::N(digits) => digits.len() / 2 + 2,
        AttributeValue::L(items) => 3 + items.iter().map(|item| 1 + attribute_size(item)).sum::<usize>(),
        AttributeValue::M(map) => 3 + size(map),
        _ => 1,
    }
}
