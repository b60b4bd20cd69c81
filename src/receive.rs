//! The way of a callback, from its request to what became of it.

use std::borrow::Cow;

use crate::ledger::{FUNCTION_TIMEOUTS, Ledger, StoreError, Stored};
use crate::platform::{Decoded, Platform, Undecodable};
use crate::quarantine::Quarantined;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::settings::{SettingError, Settings};

/// Receives the callbacks of one family.
#[derive(Debug)]
pub struct Receiver<P> {
    platform: P,
    ledger: Ledger,
    retention_days: Option<u32>,
    metrics_namespace: Option<String>,
}

/// The receipt of a callback: what became of it, and what it was.
#[derive(Debug, PartialEq)]
pub struct Receipt<'r> {
    /// What became of it.
    pub outcome: Outcome,
    /// Its command, where it is genuine and names one.
    pub command: Option<Cow<'r, str>>,
    /// The record's kind, where it is one that is recorded.
    pub kind: Option<&'static str>,
    /// The body of the answer, where it is not the platform's plain one.
    pub answer: Option<String>,
}

/// What became of a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the ledger.
    Recorded,
    /// It was in the ledger already.
    Duplicate,
    /// It is nothing that is recorded.
    Ignored,
    /// It is no callback but a console's check of the URL: an empty POST.
    UrlCheck,
    /// It was refused: nothing says that it is genuine.
    Refused(Refusal),
    /// It is genuine, was not understood, and is kept as it came.
    Quarantined(Refusal),
    /// It could not be stored.
    NotStored(StoreError),
}

impl Outcome {
    /// Why it is not answered as success, if it is not.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) | Self::Quarantined(refusal) => Some(*refusal),
            Self::NotStored(StoreError::TooLarge) => Some(Refusal::TooLarge),
            Self::NotStored(_) => Some(Refusal::NotStored),
            Self::Recorded | Self::Duplicate | Self::Ignored | Self::UrlCheck => None,
        }
    }

    /// Its name in the log.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::UrlCheck => "url_check",
            Self::Refused(_) => "refused",
            Self::Quarantined(_) => "quarantined",
            Self::NotStored(_) => "not_stored",
        }
    }
}

/// Why a request is not read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread<'r> {
    /// Nothing says that it is genuine.
    NotGenuine(Refusal),
    /// It is genuine, and not understood.
    Undecodable(Undecodable<'r>),
}

/// Verifies and decodes a request. Pure: the time is the request's.
///
/// # Errors
///
/// Where it is no genuine callback of this family.
pub fn read<'r, P: Platform>(platform: &P, request: &'r Request<'_>) -> Result<Decoded<'r>, Unread<'r>> {
    if request.method != "POST" {
        return Err(Unread::NotGenuine(Refusal::NotPost));
    }
    let url_command = P::url_command(request);
    if request.body.trim_ascii().is_empty() && url_command.is_none() {
        return Ok(Decoded::UrlCheck);
    }
    let verified = platform.verify(request).map_err(Unread::NotGenuine)?;
    let is_compressed = |encoding: &str| !encoding.eq_ignore_ascii_case("identity");
    let decoded = if request.headers.get("content-encoding").is_some_and(is_compressed) {
        Err(Refusal::Compressed.into())
    } else {
        P::decode(verified)
    };
    // What is not recorded is not kept either, understood or not: it may be what people say to each other.
    let is_unrecorded = |command: &str| !P::records(command);
    decoded.or_else(|reason| match (reason.refusal, url_command) {
        (Refusal::NotJson | Refusal::Compressed, Some(command)) if is_unrecorded(command) => {
            Ok(Decoded::ignored(Cow::Borrowed(command)))
        }
        (Refusal::CommandMismatch, command)
            if command.is_some_and(is_unrecorded) || reason.command.as_deref().is_some_and(is_unrecorded) =>
        {
            Err(Unread::NotGenuine(reason.refusal))
        }
        _ => Err(Unread::Undecodable(reason)),
    })
}

impl<P: Platform> Receiver<P> {
    /// The receiver that the settings describe.
    ///
    /// # Errors
    ///
    /// Where a setting is missing or wrong.
    pub fn from_settings(settings: &Settings<'_>) -> Result<Self, SettingError> {
        Ok(Self {
            platform: P::from_settings(settings)?,
            retention_days: settings.days("RETENTION_DAYS")?,
            metrics_namespace: settings.text("METRICS_NAMESPACE"),
            ledger: Ledger::from_settings(settings, FUNCTION_TIMEOUTS)?,
        })
    }

    /// The namespace of the metrics; `None` where there are none.
    #[must_use]
    pub fn metrics_namespace(&self) -> Option<&str> {
        self.metrics_namespace.as_deref()
    }

    /// Where the records go.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Verifies, decodes and records one request.
    pub async fn receive<'r>(&'r self, request: &'r Request<'_>) -> Receipt<'r> {
        let receipt = |outcome, command| Receipt { outcome, command, kind: None, answer: None };
        let change = match read(&self.platform, request) {
            Ok(Decoded::Change(change)) => change,
            Ok(Decoded::Ignored { command, answer }) => {
                return Receipt { answer, ..receipt(Outcome::Ignored, Some(command)) };
            }
            Ok(Decoded::UrlCheck) => return receipt(Outcome::UrlCheck, None),
            Err(Unread::NotGenuine(refusal)) => return receipt(Outcome::Refused(refusal), None),
            Err(Unread::Undecodable(reason)) => {
                let (refusal, command) = (reason.refusal, reason.command.clone());
                let kept = Quarantined::new::<P>(self.platform.app_id(), reason, request, self.retention_days);
                let outcome = match self.ledger.quarantine(&kept).await {
                    Ok(()) => Outcome::Quarantined(refusal),
                    Err(error) => Outcome::NotStored(error),
                };
                return receipt(outcome, command);
            }
        };
        let (command, kind) = (Some(change.command.clone()), Some(change.kind.as_str()));
        let record = Record::new(P::NAME, self.platform.app_id(), change, request, self.retention_days);
        let outcome = match self.ledger.record(&record).await {
            Ok(Stored::Recorded) => Outcome::Recorded,
            Ok(Stored::Duplicate) => Outcome::Duplicate,
            Err(error) => Outcome::NotStored(error),
        };
        Receipt { outcome, command, kind, answer: None }
    }
}
