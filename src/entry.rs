//! An entry: one thing that is written, and its form as text, in which a queue or a log carries it to the ledger.
//!
//! The text is JSON, compressed, in base64: of characters that every queue and log takes, with a checksum, and
//! recognisable by its beginning (`H4sIA`, gzip's). What is in a queue may be older than the code that reads it, so the
//! form is a contract; `tests/entries/` has samples of it.

use std::io::{Read, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::quarantine::Quarantined;
use crate::record::{Part, Raw, Record};
use crate::timestamp::Timestamp;

/// The longest text of an entry, in bytes: SQS takes 256 KiB at least, and CloudWatch a line of as much.
pub const MAX_TEXT_BYTES: usize = 200 * 1024;

/// The most that an entry's text is decompressed to; what changed is at most a body of 1 MiB.
const MAX_JSON_BYTES: u64 = 8 * 1024 * 1024;

/// One thing that is written.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry<'r> {
    /// A change.
    Record(Record<'r>),
    /// A callback that was not understood.
    Quarantined(Quarantined<'r>),
    /// A part of a body that is too large for its own entry.
    Part(Part),
}

/// A text that is no entry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no entry")]
pub struct NotAnEntry;

impl Entry<'_> {
    /// The entry as text, of [`MAX_TEXT_BYTES`] or less where it can be: what changed is spelled out as far as there is room,
    /// because the raw body has it all.
    #[must_use]
    pub fn to_text(&self) -> String {
        let text = text_of(self);
        match self {
            Entry::Record(record) if text.len() > MAX_TEXT_BYTES => text_of(&Entry::Record(record.without_details())),
            _ => text,
        }
    }

    /// The platform's name; none of a part.
    #[must_use]
    pub fn platform(&self) -> Option<&str> {
        match self {
            Entry::Record(record) => Some(&record.platform),
            Entry::Quarantined(kept) => Some(&kept.platform),
            Entry::Part(_) => None,
        }
    }

    /// The kind of change; none of what is no record.
    #[must_use]
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Entry::Record(record) => Some(record.change.kind.as_str()),
            Entry::Quarantined(_) | Entry::Part(_) => None,
        }
    }
}

impl Entry<'static> {
    /// Reads an entry's text.
    ///
    /// # Errors
    ///
    /// Where it is none.
    pub fn from_text(text: &str) -> Result<Self, NotAnEntry> {
        let gzip = BASE64_STANDARD.decode(text).map_err(|_| NotAnEntry)?;
        let mut json = Vec::new();
        GzDecoder::new(gzip.as_slice()).take(MAX_JSON_BYTES).read_to_end(&mut json).map_err(|_| NotAnEntry)?;
        serde_json::from_slice(&json).map_err(|_| NotAnEntry)
    }
}

impl<'r> From<Record<'r>> for Vec<Entry<'r>> {
    /// A record's entries, in the order in which they are written: parts of its body, if there are any, before the record
    /// that refers to them.
    fn from(mut record: Record<'r>) -> Self {
        let mut entries = split(&mut record.raw, &record.digest, record.received_at, record.expires_at);
        entries.push(Entry::Record(record));
        entries
    }
}

impl<'r> From<Quarantined<'r>> for Vec<Entry<'r>> {
    /// As those of a record.
    fn from(mut kept: Quarantined<'r>) -> Self {
        let mut entries = split(&mut kept.raw, &kept.digest, kept.received_at, kept.expires_at);
        entries.push(Entry::Quarantined(kept));
        entries
    }
}

/// Takes a body that is too large for its own entry apart.
fn split<'r>(raw: &mut Raw<'_>, digest: &str, received_at: Timestamp, expires_at: Option<i64>) -> Vec<Entry<'r>> {
    let parts = raw.split(digest, received_at, expires_at);
    parts.into_iter().map(Entry::Part).collect()
}

fn text_of(entry: &Entry<'_>) -> String {
    // Quickly: a sender waits, and its body is compressed already where it is large.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    // Neither a Vec nor an entry fails.
    let json = serde_json::to_vec(entry).unwrap_or_default();
    let _ = gzip.write_all(&json);
    BASE64_STANDARD.encode(gzip.finish().unwrap_or_default())
}
