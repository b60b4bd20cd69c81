//! The table's stream, as Lambda hands it over: records, each read by itself, so that one that cannot be read keeps no other from
//! being published.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::domain::record::{PARTITION_KEY, SORT_KEY};
use crate::publish::dead_letters::DeadLetter;
use crate::storage::item::Item;

/// A batch of the stream's records.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>
#[derive(Debug)]
pub struct Batch(Option<Vec<Box<RawValue>>>);

/// The answer to a batch: where Lambda is to begin again; nothing where all is done.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    /// The first record that is not done. The empty text stands for the whole batch.
    pub batch_item_failures: Vec<BatchItemFailure>,
}

/// A record that is not done.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    /// Its sequence number.
    pub item_identifier: String,
}

impl BatchResponse {
    /// Lambda is to begin again at a record.
    #[must_use]
    pub fn begin_again_at(sequence_number: String) -> Self {
        Self { batch_item_failures: vec![BatchItemFailure { item_identifier: sequence_number }] }
    }
}

/// What a record of the stream is.
#[derive(Debug)]
pub enum StreamRecord {
    /// A new record of the ledger: its item.
    New(Item),
    /// Anything else in the table, or nothing new.
    Other,
    /// Nothing that can be read.
    Unreadable,
}

impl<'de> Deserialize<'de> for Batch {
    /// Takes any JSON: what is no batch is answered, and no failed invocation.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Event {
            #[serde(rename = "Records")]
            records: Vec<Box<RawValue>>,
        }
        let event = <&RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(event.get()).ok().map(|event: Event| event.records)))
    }
}

impl Batch {
    /// The records, in order; `None` where it is no batch.
    #[must_use]
    pub fn records(self) -> Option<Vec<Box<RawValue>>> {
        self.0
    }
}

/// Where a record stands in the stream; `None` where it does not say.
#[must_use]
pub fn sequence_number(record: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Record {
        dynamodb: Place,
    }
    #[derive(Deserialize)]
    struct Place {
        #[serde(rename = "SequenceNumber")]
        sequence_number: String,
    }
    let record: Record = serde_json::from_str(record.get()).ok()?;
    Some(record.dynamodb.sequence_number)
}

/// What can be told of a record that cannot be published.
#[must_use]
pub fn dead_letter(record: &RawValue, reason: &str) -> DeadLetter {
    #[derive(Deserialize)]
    struct Record {
        dynamodb: Keys,
    }
    #[derive(Deserialize)]
    struct Keys {
        #[serde(rename = "Keys")]
        keys: HashMap<String, HashMap<String, String>>,
    }
    let keys = serde_json::from_str(record.get()).map(|record: Record| record.dynamodb.keys).unwrap_or_default();
    let key = |name| keys.get(name).and_then(|value| value.get("S")).cloned();
    DeadLetter {
        group_key: key(PARTITION_KEY),
        change_key: key(SORT_KEY),
        sequence_number: sequence_number(record),
        reason: reason.to_owned(),
    }
}

/// Reads a record.
#[must_use]
pub fn read(record: &RawValue) -> StreamRecord {
    #[derive(Deserialize)]
    struct Record {
        #[serde(rename = "eventName")]
        event_name: String,
        dynamodb: Images,
    }
    #[derive(Deserialize)]
    struct Images {
        #[serde(rename = "NewImage")]
        new_image: Option<serde_dynamo::Item>,
    }
    let Ok(record) = serde_json::from_str::<Record>(record.get()) else { return StreamRecord::Unreadable };
    if record.event_name != "INSERT" {
        return StreamRecord::Other;
    }
    match record.dynamodb.new_image.map(Item::from) {
        // Nothing else has a kind: neither quarantine nor parts of bodies.
        Some(item) if item.contains_key("kind") => StreamRecord::New(item),
        Some(_) => StreamRecord::Other,
        None => StreamRecord::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::{Batch, BatchResponse, StreamRecord, dead_letter, read, sequence_number};

    fn record(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn only_a_new_record_of_the_ledger_is_one() {
        let new = r#"{"eventName":"INSERT","dynamodb":{"NewImage":{"kind":{"S":"group.full"},"n":{"N":"1.10"}}}}"#;
        assert!(matches!(read(&record(new)), StreamRecord::New(item) if item["n"].as_n().unwrap() == "1.10"));
        for other in [
            r#"{"eventName":"REMOVE","dynamodb":{}}"#,
            r#"{"eventName":"MODIFY","dynamodb":{"NewImage":{"kind":{"S":"group.full"}}}}"#,
            r#"{"eventName":"INSERT","dynamodb":{"NewImage":{"raw_gzip":{"B":"AA=="}}}}"#,
        ] {
            assert!(matches!(read(&record(other)), StreamRecord::Other), "{other}");
        }
        for unreadable in [
            "1",
            "{}",
            r#"{"eventName":"INSERT","dynamodb":{}}"#,
            r#"{"eventName":"INSERT","dynamodb":{"NewImage":{"kind":{"X":"1"}}}}"#,
            r#"{"eventName":"INSERT","dynamodb":{"NewImage":{"kind":{"B":"?"}}}}"#,
        ] {
            assert!(matches!(read(&record(unreadable)), StreamRecord::Unreadable), "{unreadable}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_as_far_as_it_can() {
        let whole =
            r#"{"dynamodb":{"SequenceNumber":"7","Keys":{"group_key":{"S":"g"},"change_key":{"S":"c"}},"NewImage":1}}"#;
        let letter = dead_letter(&record(whole), "why");
        let told = [&letter.group_key, &letter.change_key, &letter.sequence_number].map(Option::as_deref);
        assert_eq!((told, letter.reason.as_str()), ([Some("g"), Some("c"), Some("7")], "why"));
        let letter = dead_letter(&record(r#"{"dynamodb":{"SequenceNumber":"7"}}"#), "why");
        assert_eq!((letter.group_key, letter.sequence_number.as_deref()), (None, Some("7")));
        assert_eq!(sequence_number(&record("1")), None);
    }

    #[test]
    fn a_batch_is_any_json() {
        let records = |json: &str| serde_json::from_str::<Batch>(json).unwrap().records().map(|records| records.len());
        assert_eq!(
            [r#"{"Records":[1,{}]}"#, r#"{"Records":[]}"#, "{}", "1"].map(records),
            [Some(2), Some(0), None, None]
        );
    }

    #[test]
    fn an_answer_has_lambdas_form() {
        let json = |response: BatchResponse| serde_json::to_string(&response).unwrap();
        assert_eq!(json(BatchResponse::default()), r#"{"batchItemFailures":[]}"#);
        assert_eq!(
            json(BatchResponse::begin_again_at("7".to_owned())),
            r#"{"batchItemFailures":[{"itemIdentifier":"7"}]}"#
        );
    }
}
