//! The ledger: DynamoDB, normally one conditional `PutItem` for each record.
//!
//! The condition makes writing idempotent. If the key is taken, DynamoDB returns the existing item in the same request, and
//! `write_one` compares it: our own earlier attempt, a duplicate, or a key collision.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::Config;
#[cfg(feature = "server")]
use aws_sdk_dynamodb::config::Intercept;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure, ThrottlingReason};
use aws_types::SdkConfig;
use tokio::time::timeout;

use crate::domain::record::{PARTITION_KEY, Part, SORT_KEY};
use crate::domain::timestamp::Clock;
use crate::settings::{SettingError, Settings};
use crate::storage::call::{CallError, Scope, retries};
use crate::storage::envelope::Envelope;
use crate::storage::item::{self, CHANGE, Identity, Item};

/// The table of records.
#[derive(Clone, Debug)]
pub struct Ledger {
    client: Client,
    table: String,
    /// Whether records get a place in the feed.
    feed: bool,
    clock: Clock,
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
    /// It was not called, because it failed a moment ago.
    #[error("DynamoDB was not called: its circuit breaker is open")]
    CircuitOpen,
}

impl Ledger {
    /// The ledger of `TABLE_NAME`.
    ///
    /// # Errors
    ///
    /// If that is not set, or `FEED` is neither `on` nor `off`.
    pub fn from_settings(settings: &Settings<'_>, config: &SdkConfig) -> Result<Self, SettingError> {
        let mut config = Config::from(config).to_builder();
        config
            .set_endpoint_url(settings.text("AWS_ENDPOINT_URL_DYNAMODB"))
            .set_retry_partition(Some(retries("DynamoDB")));
        Ok(Self {
            client: Client::from_conf(config.build()),
            table: settings.required("TABLE_NAME")?,
            feed: settings.switch_or("FEED", true)?,
            clock: Clock::system(),
        })
    }

    /// The same ledger with another clock, by which records get their places in the feed.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The same ledger, whose calls an interceptor sees.
    #[cfg(feature = "server")]
    #[must_use]
    pub fn intercepted(self, interceptor: impl Intercept + 'static) -> Self {
        let config = self.client.config().to_builder().interceptor(interceptor);
        Self { client: Client::from_conf(config.build()), ..self }
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
    /// than recording does, and finds a wrong table or role before a callback does. Costs one write unit.
    ///
    /// # Errors
    ///
    /// If DynamoDB cannot be reached within that time, or would reject a record.
    pub async fn warm_up(&self, within: Duration) -> Result<(), LedgerError> {
        let key = || AttributeValue::S("warm-up".to_owned());
        let item = Item::from([(PARTITION_KEY.to_owned(), key()), (SORT_KEY.to_owned(), key())]);
        let put = self.put(item, "attribute_exists(group_key)");
        timeout(within, put).await.map_err(|_| CallError::TimedOut)?.map(|_| ())
    }

    /// Writes a callback's envelopes, once each, in their order and within a time: what became of the last one, which
    /// refers to the others.
    ///
    /// # Errors
    ///
    /// If one of them is not, or not surely, in the table.
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

    async fn write_one(&self, envelope: &Envelope<'_>) -> Result<Written, LedgerError> {
        let (key, collision_key, identity, has_own_time) = match envelope {
            Envelope::Record(record) => {
                let has_own_time = record.change.occurred_at.is_some();
                (record.change_key(), record.collision_key(), Identity::of_record(record), has_own_time)
            }
            Envelope::Quarantined(quarantined) => {
                (quarantined.change_key(), quarantined.collision_key(), Identity::of_quarantined(quarantined), false)
            }
            // Where its key is held, it is held by this very part.
            Envelope::Part(_) => return self.put_new(envelope, Part::CHANGE_KEY).await.map(|_| Written::Recorded),
        };
        for key in [key, collision_key] {
            let Put::Held(holder) = self.put_new(envelope, &key).await? else { return Ok(Written::Recorded) };
            match Identity::of_item(holder) {
                // What an earlier attempt of this very write left, whose answer was lost.
                Some(holder) if holder == identity => return Ok(Written::Recorded),
                // Without a time of its own, a callback's repetition is an event of its own.
                Some(holder) if holder.digest == identity.digest && has_own_time => return Ok(Written::Duplicate),
                _ => {}
            }
        }
        // The second key has the whole digest, or digest and request, in it: only this callback can hold it.
        Ok(Written::Duplicate)
    }

    /// Puts an envelope where its key is free. What DynamoDB would not take can only be in `change`, whose names and values
    /// are the callback's; the raw body has it all.
    async fn put_new(&self, envelope: &Envelope<'_>, key: &str) -> Result<Put, LedgerError> {
        // Stamped just before each put, because the feed has the order of writing.
        let now = || self.feed.then(|| self.clock.now());
        let item = || item::of(envelope, key, now()).ok_or(LedgerError::TooLarge);
        match self.put(item()?, IS_FREE).await {
            Err(LedgerError::Call(CallError::Rejected(code))) if code == "ValidationException" => {
                let mut item = item()?;
                item.remove(CHANGE);
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
        // Boxed: else each future around it is 6 KB larger, and a first callback faults in 20 KB more of stack.
        match Box::pin(put.send()).await {
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
