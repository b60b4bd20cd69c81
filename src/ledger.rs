//! The ledger: DynamoDB, one conditional `PutItem` a record.
//!
//! The condition makes a second delivery of a callback harmless, and what DynamoDB returns when it fails tells, in the
//! same request, whether the key is held by our own earlier attempt, by the same callback or by another one.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use aws_smithy_http_client::tls;
use tokio::time::timeout;

use crate::change::Detail;
use crate::quarantine::Quarantined;
use crate::record::{PARTITION_KEY, Raw, Record, SORT_KEY, TIME_TO_LIVE};
use crate::settings::{SettingError, Settings};
use crate::timestamp::Timestamp;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Recording, with every retry.
    pub record: Duration,
    /// One attempt.
    pub attempt: Duration,
    /// Connecting, with TLS.
    pub connect: Duration,
}

/// A function's: inside Tencent's 2 s, with room for API Gateway and a cold start. DynamoDB's own latency is a few
/// milliseconds.
pub const FUNCTION_TIMEOUTS: Timeouts = Timeouts {
    record: Duration::from_millis(1200),
    attempt: Duration::from_millis(400),
    connect: Duration::from_millis(250),
};
/// How long warming up may take; a sender may be waiting for the function to start.
pub const WARM_UP_TIMEOUT: Duration = Duration::from_millis(300);
const ATTEMPTS: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(25);

/// The largest item DynamoDB takes, less a margin: `size` follows its published rules, which leave the last bytes open.
const MAX_ITEM_BYTES: usize = 390 * 1024;

/// The largest compressed body that is kept in its own item. Even 1 MiB of members compresses to less, unless their ids are
/// random; what does not is kept in items of its own, written before the item that refers to them.
const MAX_RAW_BYTES: usize = 256 * 1024;
/// The size of one of several parts of a body.
const PART_BYTES: usize = 380 * 1024;

type Item = HashMap<String, AttributeValue>;

/// The table of records.
#[derive(Clone, Debug)]
pub struct Ledger {
    client: Client,
    table: String,
    timeouts: Timeouts,
}

/// What became of a record that is durably in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was written.
    Recorded,
    /// The same callback was recorded before; that record stays as it is.
    Duplicate,
}

/// Why a record is not in the table. Says nothing of the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No answer in time.
    #[error("DynamoDB did not answer in time")]
    TimedOut,
    /// No connection, or one that broke.
    #[error("DynamoDB could not be reached")]
    Unreachable,
    /// DynamoDB refused, with its error code (`AccessDeniedException`, `ThrottlingException`, …).
    #[error("DynamoDB refused: {0}")]
    Refused(String),
    /// The record is larger than an item can be, even without its body and its change.
    #[error("the record is too large")]
    TooLarge,
}

impl Ledger {
    /// The ledger of `TABLE_NAME`, with the region and credentials that Lambda sets. Loads the root certificates, so it
    /// belongs in a function's start.
    ///
    /// # Errors
    ///
    /// Where one of these is not set.
    pub fn from_settings(settings: &Settings<'_>, timeouts: Timeouts) -> Result<Self, SettingError> {
        let table = settings.required("TABLE_NAME")?;
        // From the environment and nowhere else: the SDK's whole chain of providers costs milliseconds and a megabyte.
        let credentials = Credentials::new(
            settings.required("AWS_ACCESS_KEY_ID")?,
            settings.required("AWS_SECRET_ACCESS_KEY")?,
            settings.text("AWS_SESSION_TOKEN"),
            None,
            "environment",
        );
        let http_client = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http_client)
            .region(Region::new(settings.required("AWS_REGION")?))
            .credentials_provider(credentials)
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(timeouts.connect)
                    .operation_attempt_timeout(timeouts.attempt)
                    .build(),
            )
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_BACKOFF))
            // Watches the throughput of long streams; the time-outs above watch ours.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        config.set_endpoint_url(settings.text("AWS_ENDPOINT_URL_DYNAMODB"));
        Ok(Self { client: Client::from_conf(config.build()), table, timeouts })
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
    /// Where DynamoDB cannot be reached or would refuse a record.
    pub async fn warm_up(&self) -> Result<(), StoreError> {
        let key = || AttributeValue::S("warm-up".to_owned());
        let item = Item::from([(PARTITION_KEY.to_owned(), key()), (SORT_KEY.to_owned(), key())]);
        let put = self.put(item, "attribute_exists(group_key)");
        timeout(WARM_UP_TIMEOUT, put).await.map_err(|_| StoreError::TimedOut)?.map(|_| ())
    }

    /// Writes a record, once.
    ///
    /// # Errors
    ///
    /// Where the record is not, or not surely, in the table.
    pub async fn record(&self, record: &Record<'_>) -> Result<Stored, StoreError> {
        let identity = Identity {
            digest: &record.digest,
            request_id: record.request_id,
            received_at: record.received_at,
            has_own_time: record.change.occurred_at.is_some(),
        };
        let keys = [record.change_key(), record.clash_key()];
        self.write(keys, &identity, &record.raw, record.expires_at, || item(record)).await
    }

    /// Keeps a callback that was not understood. A repetition is kept too.
    ///
    /// # Errors
    ///
    /// Where it is not, or not surely, in the table.
    pub async fn quarantine(&self, kept: &Quarantined<'_>) -> Result<(), StoreError> {
        let identity = Identity {
            digest: &kept.digest,
            request_id: kept.request_id,
            received_at: kept.received_at,
            has_own_time: false,
        };
        let keys = [kept.change_key(), kept.clash_key()];
        self.write(keys, &identity, &kept.raw, kept.expires_at, || quarantined_item(kept)).await.map(|_| ())
    }

    /// Puts an item and the parts of its body, in the time there is.
    async fn write(
        &self,
        keys: [String; 2],
        identity: &Identity<'_>,
        raw: &Raw<'_>,
        expires_at: Option<i64>,
        item: impl Fn() -> Result<Item, StoreError>,
    ) -> Result<Stored, StoreError> {
        let write = async {
            self.write_parts(raw, identity, expires_at).await?;
            self.write_item(keys, identity, item).await
        };
        timeout(self.timeouts.record, write).await.map_err(|_| StoreError::TimedOut)?
    }

    /// Puts the parts of a body that no item could hold, before the item that refers to them.
    async fn write_parts(
        &self,
        raw: &Raw<'_>,
        identity: &Identity<'_>,
        expires_at: Option<i64>,
    ) -> Result<(), StoreError> {
        for (number, part) in parts(raw).enumerate() {
            let text = |text: String| AttributeValue::S(text);
            let mut item = Item::from([
                // A partition of its own: one takes 1,000 write units a second, and a part is 380 of them.
                (PARTITION_KEY.to_owned(), text(part_key(identity.digest, &identity.received_at.to_string(), number))),
                (SORT_KEY.to_owned(), text("raw".to_owned())),
                ("raw_gzip".to_owned(), AttributeValue::B(Blob::new(part))),
            ]);
            insert_expiry(&mut item, expires_at);
            // Where it is held, it is held by this very part.
            self.put(item, "attribute_not_exists(group_key)").await?;
        }
        Ok(())
    }

    /// Puts an item under the first of its keys that no other callback holds.
    async fn write_item(
        &self,
        keys: [String; 2],
        identity: &Identity<'_>,
        item: impl Fn() -> Result<Item, StoreError>,
    ) -> Result<Stored, StoreError> {
        for key in keys {
            match self.put_new(&key, &item).await? {
                Put::Written => return Ok(Stored::Recorded),
                Put::Held(holder) if identity.is_own(&holder) => return Ok(Stored::Recorded),
                // Without a time of its own, a callback's repetition is an event of its own.
                Put::Held(holder) if identity.is_same(&holder) && identity.has_own_time => {
                    return Ok(Stored::Duplicate);
                }
                Put::Held(_) => {}
            }
        }
        // The second key has the whole digest, or digest and request, in it: only this callback can hold it.
        Ok(Stored::Duplicate)
    }

    /// Puts an item where its key is free. What DynamoDB would not take can only be in `change`, whose names and values
    /// are the callback's; the raw body has it all.
    async fn put_new(&self, key: &str, item: &impl Fn() -> Result<Item, StoreError>) -> Result<Put, StoreError> {
        const CONDITION: &str = "attribute_not_exists(group_key)";
        let keyed = || {
            let mut item = item()?;
            item.insert(SORT_KEY.to_owned(), AttributeValue::S(key.to_owned()));
            Ok(item)
        };
        match self.put(keyed()?, CONDITION).await {
            Err(StoreError::Refused(code)) if code == "ValidationException" => {
                let mut item = keyed()?;
                item.remove("change");
                self.put(item, CONDITION).await
            }
            put => put,
        }
    }

    async fn put(&self, item: Item, condition: &str) -> Result<Put, StoreError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(condition)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(Put::Written),
            Err(SdkError::ServiceError(error)) => match error.into_err() {
                PutItemError::ConditionalCheckFailedException(failure) => {
                    Ok(Put::Held(failure.item.unwrap_or_default()))
                }
                error => Err(StoreError::Refused(error.code().unwrap_or("unknown").to_owned())),
            },
            Err(SdkError::TimeoutError(_)) => Err(StoreError::TimedOut),
            Err(SdkError::DispatchFailure(failure)) if failure.is_timeout() => Err(StoreError::TimedOut),
            Err(_) => Err(StoreError::Unreachable),
        }
    }
}

/// The partition key of a part of the body of the item with this `digest` and `received_at`.
#[must_use]
pub fn part_key(digest: &str, received_at: &str, number: usize) -> String {
    format!("raw#{digest}#{received_at}#{number}")
}

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
fn item(record: &Record<'_>) -> Result<Item, StoreError> {
    let change = &record.change;
    let mut item = Item::with_capacity(20);
    let mut text = |name: &str, value: &str| item.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
    text(PARTITION_KEY, &record.group_key);
    text("platform", record.platform);
    text("app_id", record.app_id);
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
        text("request_id", record.request_id);
    }
    insert_raw(&mut item, &record.raw);
    insert_expiry(&mut item, record.expires_at);
    if !change.source.is_empty() {
        item.insert("source".to_owned(), texts(change.source.iter().map(|(name, value)| (*name, value.as_ref()))));
    }

    let details = change.details.iter().map(|(name, detail)| ((*name).to_owned(), attribute(detail)));
    let details = AttributeValue::M(details.collect());
    let rest = size(&item);
    if rest > MAX_ITEM_BYTES {
        return Err(StoreError::TooLarge);
    }
    // The raw body has it all; what changed is spelled out as far as there is room.
    if rest + attribute_size(&details) <= MAX_ITEM_BYTES {
        item.insert("change".to_owned(), details);
    }
    Ok(item)
}

/// The attributes of what is in quarantine but the sort key.
fn quarantined_item(kept: &Quarantined<'_>) -> Result<Item, StoreError> {
    let mut item = Item::with_capacity(16);
    let mut text = |name: &str, value: &str| item.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
    text(PARTITION_KEY, &kept.group_key);
    text("platform", kept.platform);
    text("app_id", kept.app_id);
    text("received_at", &kept.received_at.to_string());
    text("reason", &kept.reason.refusal.to_string());
    text("digest", &kept.digest);
    if let Some(command) = &kept.reason.command {
        text("command", command);
    }
    if !kept.request_id.is_empty() {
        text("request_id", kept.request_id);
    }
    insert_raw(&mut item, &kept.raw);
    insert_expiry(&mut item, kept.expires_at);
    item.insert("code".to_owned(), AttributeValue::N(kept.reason.refusal.code().to_string()));
    let request = HashMap::from([
        ("path".to_owned(), AttributeValue::S(kept.path.to_owned())),
        ("query".to_owned(), AttributeValue::S(kept.query.clone())),
        ("headers".to_owned(), texts(kept.headers.iter().copied())),
    ]);
    item.insert("request".to_owned(), AttributeValue::M(request));
    if size(&item) > MAX_ITEM_BYTES { Err(StoreError::TooLarge) } else { Ok(item) }
}

fn insert_raw(item: &mut Item, raw: &Raw<'_>) {
    let parts = parts(raw).len();
    match raw {
        Raw::Text(raw) => item.insert("raw".to_owned(), AttributeValue::S((*raw).to_owned())),
        Raw::Gzip(_) if parts > 0 => item.insert("raw_parts".to_owned(), AttributeValue::N(parts.to_string())),
        Raw::Gzip(raw) => item.insert("raw_gzip".to_owned(), AttributeValue::B(Blob::new(raw.as_slice()))),
    };
}

/// The parts of a body that is too large for its own item; none of one that is not.
fn parts<'r>(raw: &'r Raw<'_>) -> impl ExactSizeIterator<Item = &'r [u8]> {
    let gzip: &[u8] = match raw {
        Raw::Gzip(gzip) if gzip.len() > MAX_RAW_BYTES => gzip,
        _ => &[],
    };
    gzip.chunks(PART_BYTES)
}

fn insert_expiry(item: &mut Item, expires_at: Option<i64>) {
    if let Some(expires_at) = expires_at {
        item.insert(TIME_TO_LIVE.to_owned(), AttributeValue::N(expires_at.to_string()));
    }
}

fn texts<'t>(texts: impl Iterator<Item = (&'t str, &'t str)>) -> AttributeValue {
    AttributeValue::M(texts.map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned()))).collect())
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
