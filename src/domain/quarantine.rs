//! Quarantine: genuine callbacks that were not understood, kept with their bytes.
//!
//! `make reprocess` decodes them again with the current decoder, so that a platform that changes a field's type loses nothing.
//! Rejected requests are not kept.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::domain::record::{Raw, base64_text, change_key, digest, raw};
use crate::domain::rejection::Rejection;
use crate::domain::timestamp::Timestamp;

/// A genuine callback as it came: what is kept of it to decode it again.
#[derive(Clone, Deserialize, Serialize)]
pub struct Callback<'r> {
    /// The platform's name.
    pub platform: Cow<'static, str>,
    /// The app's id.
    pub app_id: Cow<'r, str>,
    /// Why it was not understood, and its command as far as that was.
    pub reason: Undecodable<'r>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The body.
    #[serde(with = "base64_text")]
    pub body: Cow<'r, [u8]>,
    /// The receiver's id of the request; empty where it has none.
    pub request_id: Cow<'r, str>,
    /// The path's last segment where it is the command; the others may hold a secret.
    pub path: Cow<'r, str>,
    /// The query's parameters that decoding reads; the others may be what it was signed by.
    pub query: String,
    /// The headers that decoding reads.
    pub headers: Vec<(Cow<'static, str>, Cow<'r, str>)>,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// One callback in quarantine, as it is written.
#[derive(Deserialize, Serialize)]
pub struct Quarantined<'r> {
    /// `quarantine#{platform}#{app_id}#{YYYY-MM-DD}`, the day of its receipt.
    pub group_key: String,
    /// The platform's name.
    pub platform: Cow<'static, str>,
    /// The app's id.
    pub app_id: Cow<'r, str>,
    /// Why it was not understood, and its command as far as that was.
    pub reason: Undecodable<'r>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The body.
    pub raw: Raw<'r>,
    /// SHA-256 of platform, app and body: 64 hex digits.
    pub digest: String,
    /// The receiver's id of the request; empty where it has none.
    pub request_id: Cow<'r, str>,
    /// The path's last segment where it is the command.
    pub path: Cow<'r, str>,
    /// The query's parameters that decoding reads.
    pub query: String,
    /// The headers that decoding reads.
    pub headers: Vec<(Cow<'static, str>, Cow<'r, str>)>,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: Option<i64>,
}

impl<'r> From<Callback<'r>> for Quarantined<'r> {
    fn from(callback: Callback<'r>) -> Self {
        let Callback { platform, app_id, reason, received_at, body, request_id, path, query, headers, expires_at } =
            callback;
        Self {
            group_key: group_key(&platform, &app_id, &received_at.date()),
            digest: digest([&*platform, &*app_id].map(str::as_bytes), &body),
            raw: raw(body),
            platform,
            app_id,
            reason,
            received_at,
            request_id,
            path,
            query,
            headers,
            expires_at,
        }
    }
}

impl Quarantined<'_> {
    /// The sort key.
    #[must_use]
    pub fn change_key(&self) -> String {
        change_key(self.received_at, &self.digest)
    }

    /// The sort key of one whose [`change_key`](Self::change_key) another one holds.
    #[must_use]
    pub fn collision_key(&self) -> String {
        format!("{}#{}", self.change_key(), self.request_id)
    }
}

/// The partition key of a day (`YYYY-MM-DD`) in quarantine.
#[must_use]
pub fn group_key(platform: &str, app_id: &str, day: &str) -> String {
    format!("quarantine#{platform}#{app_id}#{day}")
}

/// Why a request was not understood, and its command as far as that was.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Undecodable<'r> {
    /// Why.
    pub rejection: Rejection,
    /// The command, where the request is genuine and names one.
    pub command: Option<Cow<'r, str>>,
}

impl From<Rejection> for Undecodable<'_> {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, command: None }
    }
}
