//! The record: a change with its keys, its digest and the callback as it came.
//!
//! Its attributes are a contract; readers of the table depend on them. The README lists them.

use std::borrow::Cow;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::base64_text;
use crate::domain::callback::Callback;
use crate::domain::change::GroupChange;
use crate::domain::timestamp::Timestamp;

/// The attribute that is the table's partition key.
pub const PARTITION_KEY: &str = "group_key";
/// The attribute that is the table's sort key.
pub const SORT_KEY: &str = "change_key";
/// The attribute that tells DynamoDB when it may delete a record.
pub const TIME_TO_LIVE: &str = "expires_at";

/// The largest body that is kept as text; a larger one is kept compressed.
const MAX_RAW_TEXT_BYTES: usize = 64 * 1024;

/// The most of a compressed body that a part has: a message of a queue with it, in base64, stays far below 1 MiB.
const MAX_PART_BYTES: usize = 256 * 1024;

/// DynamoDB's limit for a partition key's value.
pub(crate) const MAX_PARTITION_KEY_BYTES: usize = 2048;

/// DynamoDB's limit for a sort key's value.
pub(crate) const MAX_SORT_KEY_BYTES: usize = 1024;

/// One record, as it is written.
#[derive(Clone, Deserialize, Serialize)]
pub struct Record<'r> {
    /// `{platform}#{app_id}#{group_id}`
    pub group_key: String,
    /// The platform's name.
    pub platform: Cow<'static, str>,
    /// The app's id.
    pub app_id: Cow<'r, str>,
    /// What changed.
    pub change: GroupChange<'r>,
    /// When it happened, by the callback or, where that does not say, by its receipt.
    pub occurred_at: Timestamp,
    /// When the callback was received.
    pub received_at: Timestamp,
    /// The body.
    pub raw: Raw<'r>,
    /// Whether what changed was left out on the way, for want of room.
    #[serde(default)]
    pub details_omitted: bool,
    /// What makes the callback the same callback: 64 hex digits.
    pub digest: String,
    /// The receiver's id of the request; empty where it has none.
    pub request_id: Cow<'r, str>,
    /// When DynamoDB may delete the record, in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// A body as it is kept.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Raw<'r> {
    /// As it came.
    Text(Cow<'r, str>),
    /// Compressed.
    Gzip(#[serde(with = "base64_text")] Vec<u8>),
    /// Compressed, in parts of its own.
    Parts {
        /// What the partition keys of the parts begin with.
        key: String,
        /// How many there are.
        count: usize,
    },
}

/// A part of a compressed body.
#[derive(Clone, Deserialize, Serialize)]
pub struct Part {
    /// `raw#{digest}#{time}#{…}#{number}`, counted from 0: a partition of its own, because one takes 1,000 write units a
    /// second.
    pub group_key: String,
    /// The compressed bytes.
    #[serde(with = "base64_text")]
    pub raw_gzip: Vec<u8>,
    /// As the record's.
    pub expires_at: Option<i64>,
}

impl Part {
    /// The sort key of every part.
    pub const CHANGE_KEY: &'static str = "raw";

    /// The partition key of a part, counted from 0, of a body whose parts have `key`.
    #[must_use]
    pub fn group_key(key: &str, number: usize) -> String {
        format!("{key}#{number}")
    }
}

impl Raw<'_> {
    /// Takes a compressed body apart, and leaves where its parts are; none of one that is not compressed.
    ///
    /// The parts' key is that of one record: its `digest`, its `time`, and its request, where each delivery is a record of
    /// its own. Where all deliveries are one record (`request_id` is `None`) it is the compressed bytes: a second delivery
    /// then finds the same parts there, and leaves no others behind.
    pub(crate) fn split(
        &mut self,
        digest: &str,
        time: Timestamp,
        request_id: Option<&str>,
        expires_at: Option<i64>,
    ) -> Vec<Part> {
        let Self::Gzip(gzip) = self else { return Vec::new() };
        let writer = request_id.map_or_else(|| hex::encode(Sha256::digest(&gzip)), str::to_owned);
        let key = format!("raw#{digest}#{time}#{writer}");
        let part = |(number, chunk): (usize, &[u8])| Part {
            group_key: Part::group_key(&key, number),
            raw_gzip: chunk.to_vec(),
            expires_at,
        };
        let parts: Vec<Part> = gzip.chunks(MAX_PART_BYTES).enumerate().map(part).collect();
        *self = Self::Parts { key, count: parts.len() };
        parts
    }
}

impl<'r> Record<'r> {
    /// The record of a change that `callback` brought to an app of `platform`, deleted `retention_days` after its receipt.
    #[must_use]
    pub fn new(
        platform: &'static str,
        app_id: &'r str,
        change: GroupChange<'r>,
        callback: &'r Callback<'_>,
        retention_days: Option<u32>,
    ) -> Self {
        let received_at = callback.received_at;
        Self {
            group_key: group_key(platform, app_id, &change.group_id),
            platform: Cow::Borrowed(platform),
            app_id: Cow::Borrowed(app_id),
            occurred_at: change.occurred_at.unwrap_or(received_at),
            received_at,
            raw: raw(Cow::Borrowed(&callback.body)),
            details_omitted: false,
            digest: digest([platform, app_id, &change.command, &change.identity].map(str::as_bytes), &callback.body),
            request_id: Cow::Borrowed(&callback.request_id),
            expires_at: retention_days.map(|days| received_at.after_days(days)),
            change,
        }
    }

    /// The record without what changed, which its raw body tells.
    pub(crate) fn without_details(&self) -> Self {
        let change = GroupChange { details: Vec::new(), ..self.change.clone() };
        Self { change, details_omitted: true, ..self.clone() }
    }

    /// The sort key: the time, so that a group's records are its history in order, then the digest's beginning, so that
    /// two callbacks of one millisecond have two keys and the same callback twice has one.
    #[must_use]
    pub fn change_key(&self) -> String {
        change_key(self.occurred_at, &self.digest)
    }

    /// The sort key of a callback whose [`change_key`](Self::change_key) another one holds. A callback without a time of
    /// its own is told apart by its request, because byte-identical ones are often two events; any other by its whole
    /// digest, because it merely began like another's.
    #[must_use]
    pub fn collision_key(&self) -> String {
        match self.change.occurred_at {
            Some(time) => format!("{time}#{}", self.digest),
            None => format!("{}#{}", self.change_key(), self.request_id),
        }
    }
}

/// A time, and the beginning of what tells apart what happened then.
pub(crate) fn change_key(time: Timestamp, digest: &str) -> String {
    format!("{time}#{}", cut(digest, 16))
}

/// The beginning of a text, of at most `bytes` bytes.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// The partition key. A group id that would not fit is represented by its digest: the record has the id in full, and no
/// genuine id is that long on Tencent Chat (48 bytes), while OpenIM takes any.
pub(crate) fn group_key(platform: &str, app_id: &str, group_id: &str) -> String {
    let key = format!("{platform}#{app_id}#{group_id}");
    if key.len() <= MAX_PARTITION_KEY_BYTES {
        return key;
    }
    format!("{platform}#{app_id}#sha256:{}", hex::encode(Sha256::digest(group_id)))
}

/// SHA-256 of `parts`, each after its length so that no two lists of parts read alike, and of `body`.
pub(crate) fn digest<const N: usize>(parts: [&[u8]; N], body: &[u8]) -> String {
    let mut sha256 = Sha256::new();
    for part in parts {
        sha256.update((part.len() as u64).to_be_bytes());
        sha256.update(part);
    }
    sha256.update(body);
    hex::encode(sha256.finalize())
}

/// The body as it is kept.
pub(crate) fn raw(body: Cow<'_, [u8]>) -> Raw<'_> {
    if body.len() > MAX_RAW_TEXT_BYTES {
        return Raw::Gzip(gzip(&body));
    }
    let text = match body {
        Cow::Borrowed(body) => str::from_utf8(body).map(Cow::Borrowed).map_err(|_| gzip(body)),
        Cow::Owned(body) => String::from_utf8(body).map(Cow::Owned).map_err(|error| gzip(error.as_bytes())),
    };
    text.map_or_else(Raw::Gzip, Raw::Text)
}

pub(crate) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to a Vec does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{MAX_PART_BYTES, Raw};
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn a_compressed_body_is_split_without_a_byte_lost() {
        let now = Timestamp::now();
        for (bytes, expected) in [(1, 1), (MAX_PART_BYTES, 1), (MAX_PART_BYTES + 1, 2), (3 * MAX_PART_BYTES, 3)] {
            let mut raw = Raw::Gzip(vec![0; bytes]);
            let parts = raw.split("digest", now, Some("request"), Some(1));
            assert!(
                matches!(&raw, Raw::Parts { key, count } if *count == expected && parts.iter().all(|part| part.group_key.starts_with(key)))
            );
            assert_eq!(parts.iter().map(|part| part.raw_gzip.len()).sum::<usize>(), bytes);
        }
        assert!(Raw::Text("text".into()).split("digest", now, None, None).is_empty());
    }

    #[test]
    fn deliveries_share_parts_where_they_share_a_record() {
        let now = Timestamp::now();
        let key = |bytes: &[u8], request_id| {
            let parts = Raw::Gzip(bytes.to_vec()).split("digest", now, request_id, None);
            parts[0].group_key.clone()
        };
        assert_eq!(key(b"body", None), key(b"body", None));
        assert_ne!(key(b"body", None), key(b"as another version compresses it", None));
        assert_ne!(key(b"body", Some("request-1")), key(b"body", Some("request-2")));
    }
}
