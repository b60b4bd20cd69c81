//! Quarantine: genuine callbacks that were not understood, kept with their bytes.
//!
//! `group-ledger reprocess` decodes them again with the current decoder, so that a platform that changes a field's type loses nothing.
//! Requests that fail verification are not stored.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::domain::callback::Callback;
use crate::domain::record::{Raw, change_key, digest, raw};
use crate::domain::rejection::Rejection;

/// The longest command that is shown beside a body: with one of the body's size, no item could hold both.
const MAX_COMMAND_BYTES: usize = 1_024;

/// A genuine callback that was not understood, with its body as received.
#[derive(Clone, Deserialize, Serialize)]
pub struct Undecoded<'r> {
    /// The platform's name.
    pub platform: Cow<'static, str>,
    /// The app's id.
    pub app_id: Cow<'r, str>,
    /// The code of the [`Rejection`] that its sender was told.
    pub code: u32,
    /// That rejection's sentence.
    pub reason: Cow<'static, str>,
    /// Its command, where it is known and has 1,024 bytes at most.
    pub command: Option<Cow<'r, str>>,
    /// The callback.
    pub callback: Callback<'r>,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: Option<i64>,
}

/// One callback in quarantine, as it is written.
#[derive(Clone, Deserialize, Serialize)]
pub struct Quarantined<'r> {
    /// `quarantine#{platform}#{app_id}#{YYYY-MM-DD}`, the day of its receipt.
    pub group_key: String,
    /// SHA-256 of platform, app and body: 64 hex digits.
    pub digest: String,
    /// The body.
    pub raw: Raw<'r>,
    /// The rest; its callback's body is empty, because `raw` has it.
    pub undecoded: Undecoded<'r>,
}

impl<'r> Undecoded<'r> {
    /// A callback of an app of `platform`, not understood for `reason`, deleted `retention_days` after its receipt.
    #[must_use]
    pub fn new(
        platform: &'static str,
        app_id: &'r str,
        reason: Undecodable<'r>,
        callback: Callback<'r>,
        retention_days: Option<u32>,
    ) -> Self {
        Self {
            platform: Cow::Borrowed(platform),
            app_id: Cow::Borrowed(app_id),
            code: reason.rejection.code(),
            reason: Cow::Borrowed(reason.rejection.sentence()),
            command: reason.command.filter(|command| command.len() <= MAX_COMMAND_BYTES),
            expires_at: retention_days.map(|days| callback.received_at.after_days(days)),
            callback,
        }
    }
}

impl<'r> From<Undecoded<'r>> for Quarantined<'r> {
    fn from(mut undecoded: Undecoded<'r>) -> Self {
        let Undecoded { platform, app_id, callback, .. } = &mut undecoded;
        let body = std::mem::take(&mut callback.body);
        Self {
            group_key: group_key(platform, app_id, &callback.received_at.date()),
            digest: digest([&**platform, &**app_id].map(str::as_bytes), &body),
            raw: raw(body),
            undecoded,
        }
    }
}

impl Quarantined<'_> {
    /// The sort key.
    #[must_use]
    pub fn change_key(&self) -> String {
        change_key(self.undecoded.callback.received_at, &self.digest)
    }

    /// The sort key of one whose [`change_key`](Self::change_key) another one holds.
    #[must_use]
    pub fn collision_key(&self) -> String {
        format!("{}#{}", self.change_key(), self.undecoded.callback.request_id)
    }
}

/// The partition key of a day (`YYYY-MM-DD`) in quarantine.
#[must_use]
pub fn group_key(platform: &str, app_id: &str, day: &str) -> String {
    format!("quarantine#{platform}#{app_id}#{day}")
}

/// Why a callback was not understood, and its command as far as that was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecodable<'r> {
    /// Why.
    pub rejection: Rejection,
    /// The command, where the callback names one.
    pub command: Option<Cow<'r, str>>,
}

impl From<Rejection> for Undecodable<'_> {
    fn from(rejection: Rejection) -> Self {
        Self { rejection, command: None }
    }
}
