//! The way of a callback, from its request to what became of it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::domain::change::GroupChange;
use crate::domain::quarantine::{Callback, Quarantined, Undecodable};
use crate::domain::record::Record;
use crate::domain::rejection::Rejection;
use crate::domain::request::{MAX_BODY_BYTES, Request};
use crate::domain::time_budget::TimeBudget;
use crate::ingest::handler::Observer;
use crate::ingest::reprocess::callback;
use crate::panics::unwound;
use crate::platform::{Decoded, Platform};
use crate::storage::call::CallError;
use crate::storage::ledger::{Ledger, LedgerError, Written};
use crate::storage::store::{Fault, NotStored, Store, Stored};

/// Receives the callbacks of one family.
#[derive(Debug)]
pub struct Receiver<P> {
    platform: P,
    store: Arc<Store>,
    retention_days: Option<u32>,
    observer: Option<Box<dyn Observer>>,
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
    /// Why the table did not take it.
    pub fault: Option<Fault>,
    /// What the log keeps, as texts of envelopes, where no store took it.
    pub unstored: Vec<String>,
}

impl Receipt<'_> {
    /// A receipt with only an outcome.
    #[must_use]
    pub fn of(outcome: Outcome) -> Self {
        Self { outcome, command: None, kind: None, fault: None, unstored: Vec::new() }
    }
}

/// What became of a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the ledger.
    Recorded,
    /// It was in the ledger already.
    Duplicate,
    /// It is in the fallback queue, from where the replay takes it to the ledger.
    Queued,
    /// It is nothing that is recorded.
    Ignored,
    /// It is no callback but a console's check of the URL: an empty POST.
    UrlCheck,
    /// It was rejected: nothing says that it is genuine, or of our app or user.
    Rejected(Rejection),
    /// It was rejected, though it names our app or user: it may be genuine, and our settings wrong.
    RejectedKnownCaller(Rejection),
    /// It is genuine, was not understood, and is kept as it came.
    Quarantined(Rejection),
    /// It could not be stored.
    NotStored,
    /// It met a defect of this program before it was known to be genuine, and is kept nowhere.
    Defect,
}

impl Outcome {
    /// Why it is not answered as success, if it is not.
    #[must_use]
    pub fn rejection(&self) -> Option<Rejection> {
        match self {
            Self::Rejected(rejection) | Self::RejectedKnownCaller(rejection) | Self::Quarantined(rejection) => {
                Some(*rejection)
            }
            Self::NotStored => Some(Rejection::NotStored),
            Self::Defect => Some(Rejection::Defect),
            Self::Recorded | Self::Duplicate | Self::Queued | Self::Ignored | Self::UrlCheck => None,
        }
    }

    /// Its name in the log.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Duplicate => "duplicate",
            Self::Queued => "queued",
            Self::Ignored => "ignored",
            Self::UrlCheck => "url_check",
            Self::Rejected(_) => "rejected",
            Self::RejectedKnownCaller(_) => "rejected_known_caller",
            Self::Quarantined(_) => "quarantined",
            Self::NotStored => "not_stored",
            Self::Defect => "defect",
        }
    }
}

/// Why a request is not read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread<'r> {
    /// Nothing says that it is genuine.
    NotGenuine(Rejection),
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
        return Err(Unread::NotGenuine(Rejection::NotPost));
    }
    if request.body.len() > MAX_BODY_BYTES {
        return Err(Unread::NotGenuine(Rejection::TooLarge));
    }
    let url_command = P::url_command(request);
    if request.body.trim_ascii().is_empty() && url_command.is_none() {
        return Ok(Decoded::UrlCheck);
    }
    let verified = platform.verify(request).map_err(Unread::NotGenuine)?;
    let is_compressed = |encoding: &str| !encoding.eq_ignore_ascii_case("identity");
    let decoded = if request.headers.get("content-encoding").is_some_and(is_compressed) {
        Err(Rejection::Compressed.into())
    } else {
        // A defect of the decoder must not lose what it was given.
        unwound(|| P::decode(verified)).unwrap_or_else(|| Err(Rejection::Defect.into()))
    };
    // Never quarantine commands that are not recorded: they may contain messages.
    let is_unrecorded = |command: &str| !P::records(command);
    let classify = || {
        decoded.or_else(|reason| {
            let (url_command, command) = (url_command.is_some_and(is_unrecorded), reason.command.as_deref());
            match reason.rejection {
                Rejection::NotJson | Rejection::Compressed | Rejection::Defect if url_command => {
                    Ok(Decoded::Ignored(Cow::Borrowed(P::url_command(request).unwrap_or_default())))
                }
                Rejection::CommandMismatch if url_command || command.is_some_and(is_unrecorded) => {
                    Err(Unread::NotGenuine(reason.rejection))
                }
                _ => Err(Unread::Undecodable(reason)),
            }
        })
    };
    unwound(classify).unwrap_or_else(|| Err(Unread::Undecodable(Rejection::Defect.into())))
}

impl<P: Platform> Receiver<P> {
    /// A receiver of `platform`'s callbacks, whose records go to `store` and may be deleted after `retention_days`.
    #[must_use]
    pub fn new(
        platform: P,
        store: Arc<Store>,
        retention_days: Option<u32>,
        observer: Option<Box<dyn Observer>>,
    ) -> Self {
        Self { platform, store, retention_days, observer }
    }

    /// Who counts callbacks.
    #[must_use]
    pub fn observer(&self) -> Option<&dyn Observer> {
        self.observer.as_deref()
    }

    /// The platform.
    #[must_use]
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// Whether there is a fallback queue.
    #[must_use]
    pub fn has_fallback_queue(&self) -> bool {
        self.store.has_fallback_queue()
    }

    /// Where the records go.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        self.store.ledger()
    }

    /// Verifies, decodes and records one request, within its budget.
    pub async fn receive<'r>(&'r self, request: &'r Request<'_>, budget: &TimeBudget) -> Receipt<'r> {
        match read(&self.platform, request) {
            Ok(Decoded::Change(change)) => self.record(change, request, budget).await,
            Err(Unread::Undecodable(reason)) => self.quarantine(reason, request, budget).await,
            Ok(Decoded::Ignored(command)) => Receipt { command: Some(command), ..Receipt::of(Outcome::Ignored) },
            Ok(Decoded::UrlCheck) => Receipt::of(Outcome::UrlCheck),
            // A scanner's GET, or a body of any size, says nothing of a release.
            Err(Unread::NotGenuine(rejection))
                if rejection.is_of_caller() && self.platform.is_known_caller(request) =>
            {
                Receipt::of(Outcome::RejectedKnownCaller(rejection))
            }
            Err(Unread::NotGenuine(rejection)) => Receipt::of(Outcome::Rejected(rejection)),
        }
    }

    /// Stores a change; keeps its callback in quarantine where no record can be made of it, or none that an item holds.
    async fn record<'r>(
        &'r self,
        change: GroupChange<'r>,
        request: &'r Request<'_>,
        budget: &TimeBudget,
    ) -> Receipt<'r> {
        let (command, kind) = (Some(change.command.clone()), Some(change.kind.as_str()));
        let undecodable = |rejection| Undecodable { rejection, command: command.clone() };
        let record = || Record::new(P::NAME, self.platform.app_id(), change, request, self.retention_days).into();
        let Some(envelopes) = unwound::<Vec<_>>(record) else {
            return Receipt { kind, ..self.quarantine(undecodable(Rejection::Defect), request, budget).await };
        };
        let receipt = Receipt { command: command.clone(), kind, ..Receipt::of(Outcome::Recorded) };
        match self.store.store(&envelopes, budget).await {
            Ok(Stored::InLedger(Written::Recorded)) => receipt,
            Ok(Stored::InLedger(Written::Duplicate)) => Receipt { outcome: Outcome::Duplicate, ..receipt },
            Ok(Stored::InFallbackQueue(fault)) => Receipt { outcome: Outcome::Queued, fault: Some(fault), ..receipt },
            Err(NotStored { fault, .. }) if fault.ledger == Some(LedgerError::TooLarge) => {
                return Receipt { kind, ..self.quarantine(undecodable(Rejection::TooLarge), request, budget).await };
            }
            Err(not_stored) => self.not_stored(not_stored, receipt, request),
        }
    }

    /// Keeps a genuine callback as it came.
    async fn quarantine<'r>(
        &'r self,
        reason: Undecodable<'r>,
        request: &'r Request<'_>,
        budget: &TimeBudget,
    ) -> Receipt<'r> {
        let outcome = Outcome::Quarantined(reason.rejection);
        let receipt = Receipt { command: reason.command.clone(), ..Receipt::of(outcome) };
        let Some(envelopes) = unwound::<Vec<_>>(|| Quarantined::from(self.callback(reason, request)).into()) else {
            let fault = Fault { ledger: Some(CallError::Defect.into()), fallback_queue: None };
            return self.not_stored(NotStored { fault, texts: Vec::new() }, receipt, request);
        };
        match self.store.store(&envelopes, budget).await {
            Ok(Stored::InLedger(_)) => receipt,
            Ok(Stored::InFallbackQueue(fault)) => Receipt { fault: Some(fault), ..receipt },
            Err(not_stored) => self.not_stored(not_stored, receipt, request),
        }
    }

    /// The receipt of a callback that no store took: the log keeps it, as it came where it has no texts.
    fn not_stored<'r>(
        &self,
        NotStored { fault, texts: mut unstored }: NotStored,
        receipt: Receipt<'r>,
        request: &Request<'_>,
    ) -> Receipt<'r> {
        if unstored.is_empty() {
            let reason = Undecodable { rejection: Rejection::Defect, command: receipt.command.clone() };
            unstored.extend(unwound(|| self.callback(reason, request).to_text()));
        }
        Receipt { outcome: Outcome::NotStored, fault: Some(fault), unstored, ..receipt }
    }

    fn callback<'r>(&'r self, reason: Undecodable<'r>, request: &'r Request<'_>) -> Callback<'r> {
        callback::<P>(self.platform.app_id(), reason, request, self.retention_days)
    }
}
