//! The JSON form of a record: the table's attribute names, `change` as plain JSON, no body.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::callback::Callback;
use crate::domain::change::Detail;
use crate::domain::feed::recorded_at;
use crate::domain::timestamp::Timestamp;
use crate::platform::{self, Decoded};
use crate::storage::item::{self, Details, HeadItem, OccurredAtSource, RecordItem};

/// One change of a group. The feed leaves out what its index does not have, unless details are asked for.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Change {
    /// The group's key.
    pub group_key: String,
    /// The change's key within the group.
    pub change_key: String,
    /// The platform's name.
    pub platform: String,
    /// The app's id.
    pub app_id: String,
    /// The group's id, as the platform sent it.
    pub group_id: String,
    /// What happened, as `group.created`.
    pub kind: String,
    /// The platform's command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// When it happened, in RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    pub occurred_at: Timestamp,
    /// Whether the callback says when it happened, or its receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub occurred_at_source: Option<OccurredAtSource>,
    /// When the callback was received, in RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    pub received_at: Timestamp,
    /// When the record was written, in RFC 3339; absent where the feed was off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub recorded_at: Option<Timestamp>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// The group's type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_type: Option<String>,
    /// What changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub change: Option<Plain>,
    /// What the fields that it sets were before, where that is asked for and known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub previous: Option<Plain>,
    /// SHA-256, in hex, of what makes the callback the same callback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Where the request for the change came from, as the sender says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<BTreeMap<String, String>>,
    /// The receiver's id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// When the record may be deleted, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// What changed, as plain JSON. Numbers keep their digits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plain(pub Details);

/// The value of one field, as plain JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct PlainValue(pub Detail<'static>);

impl Change {
    /// The change of an entry of the feed's index.
    #[must_use]
    pub fn of_head(head: HeadItem<'_>) -> Self {
        Self {
            group_key: head.group_key.into_owned(),
            change_key: head.change_key.into_owned(),
            platform: head.platform.into_owned(),
            app_id: head.app_id.into_owned(),
            group_id: head.group_id.into_owned(),
            kind: head.kind.into_owned(),
            command: None,
            occurred_at: head.occurred_at,
            occurred_at_source: None,
            received_at: head.received_at,
            recorded_at: head.feed_at.as_deref().and_then(recorded_at),
            operator: head.operator.map(Cow::into_owned),
            group_type: head.group_type.map(Cow::into_owned),
            change: None,
            previous: None,
            digest: None,
            source: None,
            request_id: None,
            expires_at: None,
        }
    }

    /// The change of a record.
    #[must_use]
    pub fn of_record(record: RecordItem<'_>, details: Option<Details>) -> Self {
        let source: BTreeMap<String, String> =
            record.source.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let request_id = record.request_id.into_owned();
        Self {
            command: Some(record.command.into_owned()),
            occurred_at_source: Some(record.occurred_at_source),
            change: details.map(Plain),
            digest: Some(record.digest.into_owned()),
            source: (!source.is_empty()).then_some(source),
            request_id: (!request_id.is_empty()).then_some(request_id),
            expires_at: record.expires_at,
            ..Self::of_head(record.head)
        }
    }

    /// Adds what changed by the body, where the item had no room for it.
    pub fn decode_again(&mut self, body: Option<&[u8]>) {
        if let (None, Some(body), Some(command)) = (&self.change, body, &self.command) {
            self.change = decoded(&self.platform, command, body, self.received_at).map(Plain);
        }
    }
}

/// What a body says that changed.
fn decoded(platform: &str, command: &str, body: &[u8], received_at: Timestamp) -> Option<Details> {
    let platform = platform::find(platform)?;
    let callback = Callback {
        command: Some(Cow::Borrowed(command)),
        parameters: Vec::new(),
        content_encoding: None,
        body: Cow::Borrowed(body),
        received_at,
        request_id: Cow::Borrowed(""),
    };
    match (platform.decode)(&callback) {
        // As an item would have it.
        Ok(Decoded::Change(change)) => item::details(&item::change(&change.details)).ok(),
        _ => None,
    }
}

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, detail)| (name, PlainDetail(detail))))
    }
}

impl Serialize for PlainValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PlainDetail(&self.0).serialize(serializer)
    }
}

struct PlainDetail<'d, 'a>(&'d Detail<'a>);

impl Serialize for PlainDetail<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Detail::Text(text) => serializer.serialize_str(text),
            Detail::Flag(flag) => serializer.serialize_bool(*flag),
            Detail::Nothing => serializer.serialize_unit(),
            Detail::Ids(ids) => serializer.collect_seq(ids),
            // What DynamoDB writes as a number is one in JSON too; the text stands in for what is not.
            Detail::Number(digits) => match RawValue::from_string(digits.clone()) {
                Ok(number) => number.serialize(serializer),
                Err(_) => serializer.serialize_str(digits),
            },
            Detail::Map(map) => {
                let mut plain = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map {
                    plain.serialize_entry(key, &PlainDetail(value))?;
                }
                plain.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Plain;
    use crate::domain::change::Detail;

    #[test]
    fn what_changed_is_plain_json_with_every_digit() {
        let number = |digits: &str| Detail::Number(digits.to_owned());
        let change = Plain(vec![
            ("a".into(), number("99999999999999999999")),
            ("b".into(), number("1.10")),
            ("c".into(), number("-0")),
            ("d".into(), number("no number")),
            ("e".into(), Detail::Text("1e400".into())),
            ("f".into(), Detail::Map(vec![("g".into(), Detail::Nothing), ("h".into(), Detail::Flag(true))])),
            ("i".into(), Detail::Ids(vec!["bob".into()])),
        ]);
        assert_eq!(
            serde_json::to_string(&change).unwrap(),
            r#"{"a":99999999999999999999,"b":1.10,"c":-0,"d":"no number","e":"1e400","f":{"g":null,"h":true},"i":["bob"]}"#
        );
    }
}
