//! The way of a callback, from its request to what became of it.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::aws::{self, FUNCTION_TIMEOUTS};
use crate::budget::Budget;
use crate::entry::Entry;
use crate::ledger::{Ledger, LedgerError, Stored};
use crate::platform::{Decoded, Platform, Undecodable};
use crate::quarantine::Quarantined;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::request::Request;
use crate::settings::{SettingError, Settings};
use crate::spill::Spill;
use crate::store::{Fault, Kept, NotKept, Store};

/// Receives the callbacks of one family.
#[derive(Debug)]
pub struct Receiver<P> {
    platform: P,
    store: Store,
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
    /// Why it is not in the ledger, where it should be.
    pub fault: Option<Fault>,
    /// Its entries as text, where they could not be stored but could be later.
    pub unstored: Vec<String>,
}

impl Receipt<'_> {
    /// The receipt of what is known by nothing but its outcome.
    #[must_use]
    pub fn of(outcome: Outcome) -> Self {
        Self { outcome, command: None, kind: None, answer: None, fault: None, unstored: Vec::new() }
    }
}

/// What became of a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the ledger.
    Recorded,
    /// It was in the ledger already.
    Duplicate,
    /// It is in the spill, from where the redrive takes it to the ledger.
    Spilled,
    /// It is nothing that is recorded.
    Ignored,
    /// It is no callback but a console's check of the URL: an empty POST.
    UrlCheck,
    /// It was refused: nothing says that it is genuine.
    Refused(Refusal),
    /// It is genuine, was not understood, and is kept as it came.
    Quarantined(Refusal),
    /// It could not be stored.
    NotStored(Refusal),
}

impl Outcome {
    /// Why it is not answered as success, if it is not.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused(refusal) | Self::Quarantined(refusal) | Self::NotStored(refusal) => Some(*refusal),
            Self::Recorded | Self::Duplicate | Self::Spilled | Self::Ignored | Self::UrlCheck => None,
        }
    }

    /// Its name in the log.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Duplicate => "duplicate",
            Self::Spilled => "spilled",
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
        // A defect of the decoder must not lose what it was given.
        catch_unwind(AssertUnwindSafe(|| P::decode(verified))).unwrap_or_else(|_| Err(Refusal::Defect.into()))
    };
    // What is not recorded is not kept either, understood or not: it may be what people say to each other.
    let is_unrecorded = |command: &str| !P::records(command);
    decoded.or_else(|reason| match (reason.refusal, url_command) {
        (Refusal::NotJson | Refusal::Compressed | Refusal::Defect, Some(command)) if is_unrecorded(command) => {
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
        let config = aws::config(settings, FUNCTION_TIMEOUTS)?;
        let spill = Spill::from_settings(settings, &config)?;
        Ok(Self {
            platform: P::from_settings(settings)?,
            retention_days: settings.days("RETENTION_DAYS")?,
            metrics_namespace: settings.text("METRICS_NAMESPACE"),
            store: Store::new(Ledger::from_settings(settings, &config)?, spill),
        })
    }

    /// The namespace of the metrics; `None` where there are none.
    #[must_use]
    pub fn metrics_namespace(&self) -> Option<&str> {
        self.metrics_namespace.as_deref()
    }

    /// Whether there is a spill.
    #[must_use]
    pub fn has_spill(&self) -> bool {
        self.store.has_spill()
    }

    /// Where the records go.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        self.store.ledger()
    }

    /// Verifies, decodes and records one request, within its budget.
    pub async fn receive<'r>(&'r self, request: &'r Request<'_>, budget: &Budget) -> Receipt<'r> {
        let (entries, receipt): (Vec<Entry<'_>>, _) = match read(&self.platform, request) {
            Ok(Decoded::Change(change)) => {
                let receipt = Receipt {
                    command: Some(change.command.clone()),
                    kind: Some(change.kind.as_str()),
                    ..Receipt::of(Outcome::Recorded)
                };
                let record = Record::new(P::NAME, self.platform.app_id(), change, request, self.retention_days);
                (record.into(), receipt)
            }
            Err(Unread::Undecodable(reason)) => {
                let outcome = Outcome::Quarantined(reason.refusal);
                let receipt = Receipt { command: reason.command.clone(), ..Receipt::of(outcome) };
                let kept = Quarantined::new::<P>(self.platform.app_id(), reason, request, self.retention_days);
                (kept.into(), receipt)
            }
            Ok(Decoded::Ignored { command, answer }) => {
                return Receipt { command: Some(command), answer, ..Receipt::of(Outcome::Ignored) };
            }
            Ok(Decoded::UrlCheck) => return Receipt::of(Outcome::UrlCheck),
            Err(Unread::NotGenuine(refusal)) => return Receipt::of(Outcome::Refused(refusal)),
        };
        self.store(&entries, receipt, budget).await
    }

    /// Stores the entries of a callback that is genuine; its receipt, which is that of a stored one so far.
    async fn store<'r>(&self, entries: &[Entry<'_>], receipt: Receipt<'r>, budget: &Budget) -> Receipt<'r> {
        let is_record = receipt.outcome == Outcome::Recorded;
        match self.store.keep(entries, budget).await {
            Ok(Kept::InLedger(Stored::Duplicate)) if is_record => Receipt { outcome: Outcome::Duplicate, ..receipt },
            Ok(Kept::InLedger(_)) => receipt,
            Ok(Kept::InSpill(fault)) => {
                let outcome = if is_record { Outcome::Spilled } else { receipt.outcome };
                Receipt { outcome, fault: Some(fault), ..receipt }
            }
            Err(NotKept { fault, texts }) => {
                let is_too_large = fault.ledger == Some(LedgerError::TooLarge);
                let refusal = if is_too_large { Refusal::TooLarge } else { Refusal::NotStored };
                Receipt { outcome: Outcome::NotStored(refusal), fault: Some(fault), unstored: texts, ..receipt }
            }
        }
    }
}
