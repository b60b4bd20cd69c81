//! An envelope: one record, quarantined callback or part of a body. It can be serialised to text, for the queue and the log.
//!
//! The text is JSON, compressed, in base64: of characters that every queue and log takes, with a checksum, and
//! recognisable by its beginning (`H4sI`, gzip's first bytes). What is in a queue may be older than the code that reads it, so the
//! form is a contract; `tests/envelopes/` has samples of it.
//!
//! A text that is longer than a line of log is split into pieces, a line each. If building an envelope panics, the log holds the
//! callback itself, as JSON in base64 ([`undecoded_text`]).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::quarantine::{Quarantined, Undecoded};
use crate::domain::record::{Part, Raw, Record};
use crate::storage::item;

/// The longest text of an envelope, in bytes: SQS takes 1 MiB.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
pub const MAX_TEXT_BYTES: usize = 1_000_000;

/// The most of a text that a line of log has: a line of CloudWatch has 256 KiB at least.
pub const MAX_PIECE_BYTES: usize = 200 * 1024;

/// The most that an envelope's text is decompressed to; what changed is at most a body of 1 MiB.
const MAX_JSON_BYTES: u64 = 8 * 1024 * 1024;

/// How a text begins, with gzip's first bytes.
const TEXT: &str = "H4sI";
/// How a callback's text begins: `{"callback":` in base64.
const CALLBACK: &str = "eyJjYWxsYmFjayI6";
/// How a piece of a text begins.
const PIECE: &str = "PIECE-";

/// One thing that is written.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Envelope<'r> {
    /// A change.
    Record(Record<'r>),
    /// A callback that was not understood.
    Quarantined(Quarantined<'r>),
    /// A part of a body that is too large for its own envelope.
    Part(Part),
}

/// A text that is no envelope.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not an envelope")]
pub struct NotAnEnvelope;

impl Envelope<'_> {
    /// The envelope as text, of [`MAX_TEXT_BYTES`] or less where it can be: what changed is spelled out as far as there is room,
    /// because the raw body has it all.
    #[must_use]
    pub fn to_text(&self) -> String {
        let text = text_of(self);
        match self {
            Envelope::Record(record) if text.len() > MAX_TEXT_BYTES => {
                text_of(&Envelope::Record(record.without_details()))
            }
            _ => text,
        }
    }

    /// The partition key.
    #[must_use]
    pub fn group_key(&self) -> &str {
        match self {
            Envelope::Record(record) => &record.group_key,
            Envelope::Quarantined(quarantined) => &quarantined.group_key,
            Envelope::Part(part) => &part.group_key,
        }
    }

    /// The platform's name; none of a part.
    #[must_use]
    pub fn platform(&self) -> Option<&str> {
        match self {
            Envelope::Record(record) => Some(&record.platform),
            Envelope::Quarantined(quarantined) => Some(&quarantined.undecoded.platform),
            Envelope::Part(_) => None,
        }
    }

    /// The kind of change; none of what is no record.
    #[must_use]
    pub fn kind(&self) -> Option<&'static str> {
        match self {
            Envelope::Record(record) => Some(record.change.kind.as_str()),
            Envelope::Quarantined(_) | Envelope::Part(_) => None,
        }
    }
}

/// A callback as text, neither compressed nor split, where making its envelope met a defect.
#[must_use]
pub fn undecoded_text(undecoded: &Undecoded<'_>) -> String {
    // Neither a Vec nor a callback fails.
    BASE64_STANDARD.encode(serde_json::to_vec(&HashMap::from([("callback", undecoded)])).unwrap_or_default())
}

impl Envelope<'static> {
    /// Decodes a text into envelopes, in the order in which they are written: several where it is a callback's with a large
    /// body.
    ///
    /// # Errors
    ///
    /// If it is no text of an envelope.
    pub fn from_text(text: &str) -> Result<Vec<Self>, NotAnEnvelope> {
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| NotAnEnvelope)?;
        if text.starts_with(CALLBACK) {
            let mut callback: HashMap<String, Undecoded<'_>> =
                serde_json::from_slice(&bytes).map_err(|_| NotAnEnvelope)?;
            return Ok(Quarantined::from(callback.remove("callback").ok_or(NotAnEnvelope)?).into());
        }
        let mut json = Vec::new();
        GzDecoder::new(bytes.as_slice()).take(MAX_JSON_BYTES).read_to_end(&mut json).map_err(|_| NotAnEnvelope)?;
        Ok(vec![serde_json::from_slice(&json).map_err(|_| NotAnEnvelope)?])
    }
}

/// Whether [`Texts::find`] would take a logged text for an envelope.
#[must_use]
pub fn looks_like_text(text: &str) -> bool {
    [PIECE, TEXT, CALLBACK].iter().any(|beginning| text.contains(beginning))
}

/// A text as lines of a log have it: whole, or in pieces that say of which text they are (`PIECE-{id}-{number}-{count}-…`).
#[must_use]
pub fn pieces(text: &str) -> Vec<Cow<'_, str>> {
    if text.len() <= MAX_PIECE_BYTES {
        return vec![Cow::Borrowed(text)];
    }
    let id: String = hex::encode(Sha256::digest(text)).chars().take(16).collect();
    let pieces: Vec<&[u8]> = text.as_bytes().chunks(MAX_PIECE_BYTES).collect();
    let count = pieces.len();
    // Base64 is ASCII, so no chunk ends within a character.
    let piece = |(number, piece)| format!("{PIECE}{id}-{number}-{count}-{}", String::from_utf8_lossy(piece)).into();
    pieces.into_iter().enumerate().map(piece).collect()
}

/// The texts in a log, in whatever form its lines are.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Texts<'l> {
    /// Those that are there whole.
    pub whole: Vec<Cow<'l, str>>,
    /// How many are not, because a piece is missing.
    pub incomplete: usize,
}

impl<'l> Texts<'l> {
    /// Finds the texts in a log.
    #[must_use]
    pub fn find(log: &'l str) -> Self {
        let is_ours = |char: char| char.is_ascii_alphanumeric() || "+/=-".contains(char);
        let mut texts = Self::default();
        let mut pieces: BTreeMap<(&str, usize), BTreeMap<usize, &str>> = BTreeMap::new();
        for run in log.split(|char| !is_ours(char)) {
            let from = |beginning| run.find(beginning).and_then(|at| run.get(at..));
            if let Some((id, number, count, piece)) = from(PIECE).and_then(read_piece) {
                pieces.entry((id, count)).or_default().insert(number, piece);
            } else if let Some(text) = from(TEXT).or_else(|| from(CALLBACK)) {
                texts.whole.push(text.split('-').next().unwrap_or_default().into());
            }
        }
        for ((_, count), pieces) in pieces {
            if pieces.len() == count {
                texts.whole.push(pieces.into_values().collect::<String>().into());
            } else {
                texts.incomplete += 1;
            }
        }
        texts
    }
}

/// A piece's id, number, count and text.
fn read_piece(piece: &str) -> Option<(&str, usize, usize, &str)> {
    let mut fields = piece.strip_prefix(PIECE)?.splitn(4, '-');
    Some((fields.next()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?, fields.next()?))
}

impl<'r> From<Record<'r>> for Vec<Envelope<'r>> {
    /// A record's envelopes, in the order in which they are written: parts of its body, where no item holds it whole, before
    /// the record that refers to them.
    fn from(record: Record<'r>) -> Self {
        let request_id = record.change.occurred_at.is_none().then(|| record.request_id.clone());
        let (digest, time, expires_at) = (record.digest.clone(), record.occurred_at, record.expires_at);
        envelopes(Envelope::Record(record), |raw| raw.split(&digest, time, request_id.as_deref(), expires_at))
    }
}

impl<'r> From<Quarantined<'r>> for Vec<Envelope<'r>> {
    /// As those of a record.
    fn from(quarantined: Quarantined<'r>) -> Self {
        let callback = &quarantined.undecoded.callback;
        let (digest, request_id) = (quarantined.digest.clone(), callback.request_id.clone());
        let (time, expires_at) = (callback.received_at, quarantined.undecoded.expires_at);
        envelopes(Envelope::Quarantined(quarantined), |raw| raw.split(&digest, time, Some(&request_id), expires_at))
    }
}

/// An envelope, with the parts of its body before it where no item holds it whole.
fn envelopes<'r>(mut envelope: Envelope<'r>, split: impl FnOnce(&mut Raw<'r>) -> Vec<Part>) -> Vec<Envelope<'r>> {
    // Only a compressed body may be that large; the item of any other is made once.
    let is_compressed = matches!(
        &envelope,
        Envelope::Record(Record { raw: Raw::Gzip(_), .. })
            | Envelope::Quarantined(Quarantined { raw: Raw::Gzip(_), .. })
    );
    if !is_compressed || item::holds(&envelope) {
        return vec![envelope];
    }
    let parts = match &mut envelope {
        Envelope::Record(record) => split(&mut record.raw),
        Envelope::Quarantined(quarantined) => split(&mut quarantined.raw),
        Envelope::Part(_) => Vec::new(),
    };
    // Parts of what no item holds even without its body would be left behind.
    let parts = if item::holds(&envelope) { parts } else { Vec::new() };
    parts.into_iter().map(Envelope::Part).chain([envelope]).collect()
}

fn text_of(envelope: &Envelope<'_>) -> String {
    // Quickly: a sender waits, and its body is compressed already where it is large.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    // Neither a Vec nor an envelope fails.
    let json = serde_json::to_vec(envelope).unwrap_or_default();
    let _ = gzip.write_all(&json);
    BASE64_STANDARD.encode(gzip.finish().unwrap_or_default())
}
