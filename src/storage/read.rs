//! Table reads, for the reader and the tools. Receivers only write.

use std::collections::HashMap;
use std::io::Read as _;
use std::time::Duration;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use flate2::read::GzDecoder;
use tokio::time::sleep;

use crate::domain::change::Kind;
use crate::domain::record::{PARTITION_KEY, Part, Raw, SORT_KEY};
use crate::storage::call::{CallError, Scope};
use crate::storage::item::{self, HeadItem, Item, ItemError};
use crate::storage::ledger::Ledger;

/// The feed's index.
const FEED_INDEX: &str = "feed";
/// The attributes of a record without its body.
const WITHOUT_RAW: [&str; 18] = [
    "group_key",
    "change_key",
    "platform",
    "app_id",
    "group_id",
    "kind",
    "command",
    "occurred_at",
    "occurred_at_source",
    "received_at",
    "operator",
    "group_type",
    "change",
    "digest",
    "source",
    "request_id",
    "feed_at",
    "expires_at",
];
/// How many keys one request may ask for.
pub const MAX_BATCH: usize = 100;
/// How often a batch is asked for again that gave nothing; the first wait before that, which doubles.
const MAX_RETRIES: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(25);

/// Why something cannot be read. Says nothing of what is read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The call failed.
    #[error("DynamoDB {0}")]
    Call(#[from] CallError),
    /// An item is not what it should be.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// A part of a body is not there.
    #[error("a part of the body is missing")]
    MissingPart,
    /// A compressed body is damaged.
    #[error("the body cannot be decompressed")]
    Damaged,
}

/// What a query gives: items, and whether there may be more of them after the last one that was looked at.
#[derive(Debug)]
pub struct Page<T> {
    /// The items, in order.
    pub items: Vec<T>,
    /// The key that the next page begins after; `None` after the last page.
    pub after: Option<Item>,
}

/// The part of a partition to query: sort keys from `from` to `until`, both inclusive.
#[derive(Clone, Debug)]
pub struct Range {
    /// The lowest sort key.
    pub from: String,
    /// The highest sort key.
    pub until: String,
    /// Whether the highest comes first.
    pub descending: bool,
    /// The key that was read last.
    pub after: Option<Item>,
    /// The most items to look at; fewer are given where a filter drops some, or where a page of DynamoDB's ends.
    pub limit: Option<usize>,
}

/// Which records are wanted; an absent filter takes all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of these kinds.
    pub kinds: Vec<Kind>,
    /// By this operator.
    pub operator: Option<String>,
    /// Of this platform.
    pub platform: Option<String>,
    /// Of this app.
    pub app_id: Option<String>,
}

impl Filter {
    /// Whether it takes every record.
    #[must_use]
    pub fn takes_all(&self) -> bool {
        self.kinds.is_empty() && self.operator.is_none() && self.platform.is_none() && self.app_id.is_none()
    }

    fn apply(&self, mut query: QueryFluentBuilder) -> QueryFluentBuilder {
        let mut conditions = Vec::new();
        let own = [("operator", &self.operator), ("platform", &self.platform), ("app_id", &self.app_id)];
        for (name, value) in own.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            query = query.expression_attribute_names(format!("#{name}"), name);
            query = query.expression_attribute_values(format!(":{name}"), text(value));
            conditions.push(format!("#{name} = :{name}"));
        }
        if !self.kinds.is_empty() {
            query = query.expression_attribute_names("#kind", "kind");
            let names: Vec<String> = (0..self.kinds.len()).map(|number| format!(":kind{number}")).collect();
            for (name, kind) in names.iter().zip(&self.kinds) {
                query = query.expression_attribute_values(name, text(kind.as_str()));
            }
            conditions.push(format!("#kind IN ({})", names.join(", ")));
        }
        if conditions.is_empty() { query } else { query.filter_expression(conditions.join(" AND ")) }
    }
}

/// A record's attributes without its body, for a projection: their names by placeholder, and its expression.
fn without_raw() -> (HashMap<String, String>, String) {
    let names = WITHOUT_RAW.map(|name| (format!("#{name}"), name.to_owned()));
    (HashMap::from(names), WITHOUT_RAW.map(|name| format!("#{name}")).join(", "))
}

impl Ledger {
    /// The records of a group, without their bodies.
    ///
    /// # Errors
    ///
    /// If the table cannot be read.
    pub async fn history(&self, group_key: &str, range: &Range, filter: &Filter) -> Result<Page<Item>, ReadError> {
        let mut query = filter.apply(self.range(PARTITION_KEY, SORT_KEY, group_key, range));
        let (names, projection) = without_raw();
        for (placeholder, name) in names {
            query = query.expression_attribute_names(placeholder, name);
        }
        let page = query.projection_expression(projection).send().await.map_err(CallError::from)?;
        Ok(Page { items: page.items.unwrap_or_default(), after: page.last_evaluated_key })
    }

    /// What a partition of the feed's index has.
    ///
    /// # Errors
    ///
    /// If the index cannot be read.
    pub async fn feed(
        &self,
        feed_key: &str,
        range: &Range,
        filter: &Filter,
    ) -> Result<Page<HeadItem<'static>>, ReadError> {
        let query = filter.apply(self.range("feed_key", "feed_at", feed_key, range)).index_name(FEED_INDEX);
        let page = query.send().await.map_err(CallError::from)?;
        let items = page.items.unwrap_or_default().into_iter().map(item::head).collect::<Result<_, _>>()?;
        Ok(Page { items, after: page.last_evaluated_key })
    }

    fn range(&self, partition_key: &str, sort_key: &str, key: &str, range: &Range) -> QueryFluentBuilder {
        let limit = range.limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX));
        self.client()
            .query()
            .table_name(self.table())
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :until")
            .expression_attribute_names("#pk", partition_key)
            .expression_attribute_names("#sk", sort_key)
            .expression_attribute_values(":pk", text(key))
            .expression_attribute_values(":from", text(&range.from))
            .expression_attribute_values(":until", text(&range.until))
            .scan_index_forward(!range.descending)
            .set_exclusive_start_key(range.after.clone())
            .set_limit(limit)
    }

    /// What quarantine or another partition has: whole items.
    ///
    /// # Errors
    ///
    /// If the table cannot be read.
    pub async fn partition(&self, group_key: &str, after: Option<Item>, limit: usize) -> Result<Page<Item>, ReadError> {
        let query = self
            .client()
            .query()
            .table_name(self.table())
            .key_condition_expression("group_key = :group_key")
            .expression_attribute_values(":group_key", text(group_key))
            .set_exclusive_start_key(after)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let page = query.send().await.map_err(CallError::from)?;
        Ok(Page { items: page.items.unwrap_or_default(), after: page.last_evaluated_key })
    }

    /// The records of the whole table, in no order: neither quarantine nor parts of bodies. Without their bodies, unless asked
    /// for.
    ///
    /// # Errors
    ///
    /// If the table cannot be read.
    pub async fn scan(&self, after: Option<Item>, limit: Option<usize>, bodies: bool) -> Result<Page<Item>, ReadError> {
        let mut scan = self
            .client()
            .scan()
            .table_name(self.table())
            // Nothing else has a kind.
            .filter_expression("attribute_exists(#kind)")
            .expression_attribute_names("#kind", "kind")
            .set_exclusive_start_key(after)
            .set_limit(limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX)));
        if !bodies {
            let (names, projection) = without_raw();
            for (placeholder, name) in names {
                scan = scan.expression_attribute_names(placeholder, name);
            }
            scan = scan.projection_expression(projection);
        }
        let page = scan.send().await.map_err(CallError::from)?;
        Ok(Page { items: page.items.unwrap_or_default(), after: page.last_evaluated_key })
    }

    /// A whole item; `None` where there is none.
    ///
    /// # Errors
    ///
    /// If the table cannot be read.
    pub async fn get(&self, group_key: &str, change_key: &str) -> Result<Option<Item>, ReadError> {
        let get = self.client().get_item().table_name(self.table()).set_key(Some(key_of(group_key, change_key)));
        Ok(get.send().await.map_err(CallError::from)?.item)
    }

    /// The items of at most [`MAX_BATCH`] keys without their bodies, in no order; those that are gone are left out.
    ///
    /// # Errors
    ///
    /// If the table cannot be read.
    pub async fn get_all(&self, keys: impl Iterator<Item = (&str, &str)>) -> Result<Vec<Item>, ReadError> {
        let (names, projection) = without_raw();
        let keys: Vec<Item> = keys.map(|(group_key, change_key)| key_of(group_key, change_key)).collect();
        let mut left = if keys.is_empty() { None } else { Some(keys) };
        let (mut items, mut failures) = (Vec::new(), 0);
        while let Some(keys) = left.take() {
            let asked = keys.len();
            let request = KeysAndAttributes::builder()
                .set_keys(Some(keys))
                .set_expression_attribute_names(Some(names.clone()))
                // A replica may not have yet what the index has.
                .consistent_read(true)
                .projection_expression(&projection)
                .build()
                .map_err(|_| CallError::Defect)?;
            let answer = self.client().batch_get_item().request_items(self.table(), request).send().await;
            let answer = answer.map_err(CallError::from)?;
            items.extend(answer.responses.into_iter().flatten().flat_map(|(_, items)| items));
            // What did not fit into one answer, or was throttled: the SDK does not ask again, because the call as such succeeded.
            let unprocessed = answer.unprocessed_keys.and_then(|mut left| left.remove(self.table()));
            left = unprocessed.map(|unprocessed| unprocessed.keys).filter(|keys| !keys.is_empty());
            if left.as_ref().is_none_or(|left| left.len() < asked) {
                failures = 0;
            } else if failures < MAX_RETRIES {
                sleep(FIRST_WAIT * 2_u32.pow(failures)).await;
                failures += 1;
            } else {
                let code = "UnprocessedKeys".to_owned();
                return Err(CallError::Throttled { code, scope: Scope::Unknown }.into());
            }
        }
        Ok(items)
    }

    /// A body; `None` where a part of it is not there, because it is not written yet or deleted already, or it is damaged.
    ///
    /// # Errors
    ///
    /// If the table cannot be read.
    pub async fn whole_body(&self, raw: Raw<'_>) -> Result<Option<Vec<u8>>, ReadError> {
        match self.body(raw).await {
            Ok((body, _)) => Ok(Some(body)),
            Err(ReadError::MissingPart | ReadError::Damaged) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A body, and the partition keys of its parts.
    ///
    /// # Errors
    ///
    /// If a part of it cannot be read, or it is damaged.
    pub async fn body(&self, raw: Raw<'_>) -> Result<(Vec<u8>, Vec<String>), ReadError> {
        let (gzip, parts) = match raw {
            Raw::Text(raw) => return Ok((raw.into_owned().into_bytes(), Vec::new())),
            Raw::Gzip(gzip) => (gzip, Vec::new()),
            Raw::Parts { key, count } => {
                let parts: Vec<String> = (0..count).map(|number| Part::group_key(&key, number)).collect();
                let mut gzip = Vec::new();
                for part in &parts {
                    let item = self.get(part, Part::CHANGE_KEY).await?.ok_or(ReadError::MissingPart)?;
                    gzip.extend(item::part(item)?);
                }
                (gzip, parts)
            }
        };
        let mut body = Vec::new();
        GzDecoder::new(gzip.as_slice()).read_to_end(&mut body).map_err(|_| ReadError::Damaged)?;
        Ok((body, parts))
    }
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// The key of an item.
#[must_use]
pub fn key_of(group_key: &str, change_key: &str) -> Item {
    Item::from([(PARTITION_KEY.to_owned(), text(group_key)), (SORT_KEY.to_owned(), text(change_key))])
}

/// The value of a key's attribute.
#[must_use]
pub fn text_of<'k>(key: &'k Item, name: &str) -> Option<&'k str> {
    key.get(name)?.as_s().ok().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::WITHOUT_RAW;
    use crate::domain::timestamp::Timestamp;
    use crate::storage::envelope::Envelope;
    use crate::storage::item;

    /// What is not among these reads as absent.
    #[test]
    fn every_attribute_of_a_record_but_its_body_is_read() {
        let text = std::fs::read_to_string("tests/envelopes/record.txt").unwrap();
        let envelopes = Envelope::from_text(text.trim()).unwrap();
        let item = item::of(&envelopes[0], "key", Some(Timestamp::now())).unwrap();
        let names = item.keys().map(String::as_str).filter(|name| !["raw", "feed_key"].contains(name));
        assert_eq!(names.collect::<BTreeSet<_>>(), WITHOUT_RAW.into());
    }
}
