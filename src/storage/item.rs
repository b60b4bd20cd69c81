//! Items: the attributes of what the table holds, in one type for writing and for reading.
//!
//! `change` is converted by hand, so that it keeps the digits that decoding gave it, because serde's numbers lose them: `1.10` would
//! become `1.1`, and 20 digits a float. The function `change` writes it; `details` reads it.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use crate::domain::callback::Callback;
use crate::domain::change::Detail;
use crate::domain::feed::Stamp;
use crate::domain::quarantine::{Quarantined, Undecoded};
use crate::domain::record::{Part, Raw, Record};
use crate::domain::timestamp::Timestamp;
use crate::storage::envelope::Envelope;

/// The largest item DynamoDB takes, less a margin: `size` follows its published rules, which leave the last bytes open.
const MAX_ITEM_BYTES: usize = 390 * 1024;

/// The attribute that says what changed.
pub(crate) const CHANGE: &str = "change";

/// An item, as the SDK has it.
pub type Item = HashMap<String, AttributeValue>;

/// What changed: values by name.
pub type Details = Vec<(Cow<'static, str>, Detail<'static>)>;

/// An item that is not what it should be. Says nothing of what it holds.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// It lacks an attribute, or has one of another type.
    #[error("the item cannot be read")]
    Unreadable(#[from] serde_dynamo::Error),
    /// Its `change` has a type in it that no record has.
    #[error("the item's change cannot be read")]
    Change,
    /// Its body is missing.
    #[error("the item has no body")]
    NoBody,
}

/// The item of an envelope under a sort key; a record's with its place in the feed, where it is written at `recorded_at`.
/// `None` where it would be larger than an item can be. What changed is spelled out
/// as far as there is room, because the raw body has it all.
#[must_use]
pub fn of(envelope: &Envelope<'_>, change_key: &str, recorded_at: Option<Timestamp>) -> Option<Item> {
    let item = match envelope {
        Envelope::Record(record) => serde_dynamo::to_item(RecordItem::of(record, change_key, recorded_at)),
        Envelope::Quarantined(quarantined) => serde_dynamo::to_item(QuarantinedItem::of(quarantined, change_key)),
        Envelope::Part(part) => serde_dynamo::to_item(PartItem::of(part, change_key)),
    };
    // Texts, numbers and bytes by name: none of them fails.
    let mut item: Item = item.ok()?;
    let rest = size(&item);
    if let Envelope::Record(record) = envelope
        && !record.details_omitted
    {
        let change = change(&record.change.details);
        if rest + attribute_size(&change) <= MAX_ITEM_BYTES {
            item.insert(CHANGE.to_owned(), change);
        }
    }
    (rest <= MAX_ITEM_BYTES).then_some(item)
}

/// The attributes of an item of the feed's index.
///
/// # Errors
///
/// If the item is none of it.
pub fn head(item: Item) -> Result<HeadItem<'static>, ItemError> {
    Ok(serde_dynamo::from_item(item)?)
}

/// The attributes of a record's item, and what changed; `None` where the item has no `change`.
///
/// # Errors
///
/// If the item is none of a record.
pub fn attributes(mut item: Item) -> Result<(RecordItem<'static>, Option<Details>), ItemError> {
    let change = item.remove(CHANGE);
    Ok((serde_dynamo::from_item(item)?, change.as_ref().map(details).transpose()?))
}

/// The body of a record's item.
///
/// # Errors
///
/// If the item has none.
pub fn raw(item: Item) -> Result<Raw<'static>, ItemError> {
    let item: RecordItem<'static> = serde_dynamo::from_item(item)?;
    item.raw.into_raw()
}

/// The callback that an item in quarantine holds.
///
/// # Errors
///
/// If the item is none of quarantine.
pub fn quarantined(item: Item) -> Result<Quarantined<'static>, ItemError> {
    let item: QuarantinedItem<'static> = serde_dynamo::from_item(item)?;
    item.into_quarantined()
}

/// The compressed bytes of an item that is a part of a body.
///
/// # Errors
///
/// If the item is none.
pub fn part(item: Item) -> Result<Vec<u8>, ItemError> {
    let PartItem { raw_gzip, .. } = serde_dynamo::from_item(item)?;
    Ok(raw_gzip.into_owned())
}

/// Whether an item can hold an envelope.
pub(crate) fn holds(envelope: &Envelope<'_>) -> bool {
    match envelope {
        Envelope::Record(record) => of(envelope, &record.change_key(), Some(record.received_at)).is_some(),
        Envelope::Quarantined(quarantined) => of(envelope, &quarantined.change_key(), None).is_some(),
        Envelope::Part(_) => true,
    }
}

/// What tells one write from another: two with the same identity are attempts of one write, two with the same digest are the
/// same callback.
#[derive(PartialEq, Eq, Deserialize)]
pub(crate) struct Identity<'r> {
    pub(crate) digest: Cow<'r, str>,
    #[serde(default)]
    request_id: Cow<'r, str>,
    received_at: Timestamp,
}

impl<'r> Identity<'r> {
    pub(crate) fn of_record(record: &'r Record<'_>) -> Self {
        Self {
            digest: Cow::Borrowed(&record.digest),
            request_id: Cow::Borrowed(&record.request_id),
            received_at: record.received_at,
        }
    }

    pub(crate) fn of_quarantined(quarantined: &'r Quarantined<'_>) -> Self {
        let callback = &quarantined.undecoded.callback;
        Self {
            digest: Cow::Borrowed(&quarantined.digest),
            request_id: Cow::Borrowed(&callback.request_id),
            received_at: callback.received_at,
        }
    }

    /// That of the write that an item came of; `None` where the item is none of ours.
    pub(crate) fn of_item(item: Item) -> Option<Self> {
        serde_dynamo::from_item(item).ok()
    }
}

/// The attributes of a record that the feed's index has too. The README says what each is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the README says what each is")]
pub struct HeadItem<'r> {
    pub group_key: Cow<'r, str>,
    pub change_key: Cow<'r, str>,
    pub platform: Cow<'r, str>,
    pub app_id: Cow<'r, str>,
    pub group_id: Cow<'r, str>,
    /// As text: a reader meets kinds that a later version wrote.
    pub kind: Cow<'r, str>,
    pub occurred_at: Timestamp,
    pub received_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Cow<'r, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_type: Option<Cow<'r, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed_key: Option<Cow<'r, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed_at: Option<Cow<'r, str>>,
}

/// A record's attributes, but for `change`.
#[derive(Deserialize, Serialize)]
#[expect(missing_docs, reason = "the README says what each is")]
pub struct RecordItem<'r> {
    #[serde(flatten)]
    pub head: HeadItem<'r>,
    pub command: Cow<'r, str>,
    pub occurred_at_source: OccurredAtSource,
    pub digest: Cow<'r, str>,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub request_id: Cow<'r, str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::domain::pairs")]
    pub source: Vec<(Cow<'static, str>, Cow<'r, str>)>,
    #[serde(flatten, borrow)]
    pub(crate) raw: RawAttributes<'r>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// Where a record's `occurred_at` comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OccurredAtSource {
    /// The callback says it.
    Callback,
    /// The callback does not: it is when it was received.
    Receipt,
}

/// The attributes of a callback in quarantine.
#[derive(Deserialize, Serialize)]
struct QuarantinedItem<'r> {
    group_key: Cow<'r, str>,
    change_key: Cow<'r, str>,
    platform: Cow<'r, str>,
    app_id: Cow<'r, str>,
    code: u32,
    reason: Cow<'r, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<Cow<'r, str>>,
    received_at: Timestamp,
    digest: Cow<'r, str>,
    #[serde(default, skip_serializing_if = "is_empty")]
    request_id: Cow<'r, str>,
    callback: CallbackAttributes<'r>,
    #[serde(flatten, borrow)]
    raw: RawAttributes<'r>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

/// What of a callback is needed to decode it again, besides its body.
#[derive(Deserialize, Serialize)]
struct CallbackAttributes<'r> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<Cow<'r, str>>,
    #[serde(with = "crate::domain::pairs")]
    parameters: Vec<(Cow<'static, str>, Cow<'r, str>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_encoding: Option<Cow<'r, str>>,
}

/// The attributes of a part of a body.
#[derive(Deserialize, Serialize)]
struct PartItem<'r> {
    group_key: Cow<'r, str>,
    change_key: Cow<'r, str>,
    #[serde(borrow, with = "serde_bytes")]
    raw_gzip: Cow<'r, [u8]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

/// The attributes of a body: its text, its compressed bytes, or where its parts are.
#[derive(Default, Deserialize, Serialize)]
pub(crate) struct RawAttributes<'r> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<Cow<'r, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none", borrow, with = "serde_bytes")]
    raw_gzip: Option<Cow<'r, [u8]>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw_key: Option<Cow<'r, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw_parts: Option<usize>,
}

impl<'r> RecordItem<'r> {
    fn of(record: &'r Record<'_>, change_key: &'r str, recorded_at: Option<Timestamp>) -> Self {
        let change = &record.change;
        let stamp = recorded_at.map(|at| Stamp::new(at, &record.digest, &record.request_id));
        let (feed_key, feed_at) = stamp.map(|Stamp { feed_key, feed_at }| (feed_key, feed_at)).unzip();
        let head = HeadItem {
            group_key: Cow::Borrowed(&record.group_key),
            change_key: Cow::Borrowed(change_key),
            platform: Cow::Borrowed(&record.platform),
            app_id: Cow::Borrowed(&record.app_id),
            group_id: Cow::Borrowed(&change.group_id),
            kind: Cow::Borrowed(change.kind.as_str()),
            occurred_at: record.occurred_at,
            received_at: record.received_at,
            operator: change.operator.as_deref().map(Cow::Borrowed),
            group_type: change.group_type.as_deref().map(Cow::Borrowed),
            feed_key: feed_key.map(Cow::Owned),
            feed_at: feed_at.map(Cow::Owned),
        };
        Self {
            head,
            command: Cow::Borrowed(&change.command),
            occurred_at_source: match change.occurred_at {
                Some(_) => OccurredAtSource::Callback,
                None => OccurredAtSource::Receipt,
            },
            digest: Cow::Borrowed(&record.digest),
            request_id: Cow::Borrowed(&record.request_id),
            source: borrowed(&change.source),
            raw: RawAttributes::of(&record.raw),
            expires_at: record.expires_at,
        }
    }
}

impl<'r> QuarantinedItem<'r> {
    fn of(quarantined: &'r Quarantined<'_>, change_key: &'r str) -> Self {
        let undecoded = &quarantined.undecoded;
        let callback = &undecoded.callback;
        Self {
            group_key: Cow::Borrowed(&quarantined.group_key),
            change_key: Cow::Borrowed(change_key),
            platform: Cow::Borrowed(&undecoded.platform),
            app_id: Cow::Borrowed(&undecoded.app_id),
            code: undecoded.code,
            reason: Cow::Borrowed(&undecoded.reason),
            command: undecoded.command.as_deref().map(Cow::Borrowed),
            received_at: callback.received_at,
            digest: Cow::Borrowed(&quarantined.digest),
            request_id: Cow::Borrowed(&callback.request_id),
            callback: CallbackAttributes {
                command: callback.command.as_deref().map(Cow::Borrowed),
                parameters: borrowed(&callback.parameters),
                content_encoding: callback.content_encoding.as_deref().map(Cow::Borrowed),
            },
            raw: RawAttributes::of(&quarantined.raw),
            expires_at: undecoded.expires_at,
        }
    }

    fn into_quarantined(self) -> Result<Quarantined<'r>, ItemError> {
        let CallbackAttributes { command, parameters, content_encoding } = self.callback;
        Ok(Quarantined {
            group_key: self.group_key.into_owned(),
            digest: self.digest.into_owned(),
            raw: self.raw.into_raw()?,
            undecoded: Undecoded {
                platform: Cow::Owned(self.platform.into_owned()),
                app_id: self.app_id,
                code: self.code,
                reason: Cow::Owned(self.reason.into_owned()),
                command: self.command,
                callback: Callback {
                    command,
                    parameters,
                    content_encoding,
                    body: Cow::Borrowed(&[]),
                    received_at: self.received_at,
                    request_id: self.request_id,
                },
                expires_at: self.expires_at,
            },
        })
    }
}

impl<'r> PartItem<'r> {
    fn of(part: &'r Part, change_key: &'r str) -> Self {
        Self {
            group_key: Cow::Borrowed(&part.group_key),
            change_key: Cow::Borrowed(change_key),
            raw_gzip: Cow::Borrowed(&part.raw_gzip),
            expires_at: part.expires_at,
        }
    }
}

impl<'r> RawAttributes<'r> {
    fn of(raw: &'r Raw<'_>) -> Self {
        match raw {
            Raw::Text(raw) => Self { raw: Some(Cow::Borrowed(raw)), ..Self::default() },
            Raw::Gzip(raw) => Self { raw_gzip: Some(Cow::Borrowed(raw)), ..Self::default() },
            Raw::Parts { key, count } => {
                Self { raw_key: Some(Cow::Borrowed(key)), raw_parts: Some(*count), ..Self::default() }
            }
        }
    }

    fn into_raw(self) -> Result<Raw<'r>, ItemError> {
        match self {
            Self { raw: Some(raw), .. } => Ok(Raw::Text(raw)),
            Self { raw_gzip: Some(raw), .. } => Ok(Raw::Gzip(raw.into_owned())),
            Self { raw_key: Some(key), raw_parts: Some(count), .. } => Ok(Raw::Parts { key: key.into_owned(), count }),
            _ => Err(ItemError::NoBody),
        }
    }
}

fn is_empty(text: &str) -> bool {
    text.is_empty()
}

fn borrowed<'r>(pairs: &'r [(Cow<'static, str>, Cow<'_, str>)]) -> Vec<(Cow<'static, str>, Cow<'r, str>)> {
    pairs.iter().map(|(name, value)| (name.clone(), Cow::Borrowed(value.as_ref()))).collect()
}

/// What changed, as the attribute `change`.
pub(crate) fn change(details: &[(Cow<'static, str>, Detail<'_>)]) -> AttributeValue {
    AttributeValue::M(details.iter().map(|(name, detail)| (name.to_string(), attribute(detail))).collect())
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

/// What changed, by the attribute `change`.
pub(crate) fn details(change: &AttributeValue) -> Result<Details, ItemError> {
    let AttributeValue::M(change) = change else { return Err(ItemError::Change) };
    by_name(change)
}

/// The values of a map, in the order of their names: a map has none of its own.
fn by_name(map: &Item) -> Result<Details, ItemError> {
    let value = |(name, value): (&String, _)| Ok((Cow::Owned(name.clone()), detail(value)?));
    let mut values: Vec<(Cow<'static, str>, _)> = map.iter().map(value).collect::<Result<_, ItemError>>()?;
    values.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(values)
}

fn detail(value: &AttributeValue) -> Result<Detail<'static>, ItemError> {
    Ok(match value {
        AttributeValue::S(text) => Detail::Text(Cow::Owned(text.clone())),
        AttributeValue::N(number) => Detail::Number(number.clone()),
        AttributeValue::Bool(flag) => Detail::Flag(*flag),
        AttributeValue::Null(_) => Detail::Nothing,
        AttributeValue::L(ids) => Detail::Ids(
            ids.iter()
                .map(|id| id.as_s().map(|id| Cow::Owned(id.clone())).map_err(|_| ItemError::Change))
                .collect::<Result<_, _>>()?,
        ),
        AttributeValue::M(map) => Detail::Map(by_name(map)?),
        _ => return Err(ItemError::Change),
    })
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
