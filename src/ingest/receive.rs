//! The path of a callback, from its request to what became of it.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::domain::callback::Callback;
use crate::domain::change::GroupChange;
use crate::domain::quarantine::{Quarantined, Undecodable, Undecoded};
use crate::domain::record::Record;
use crate::domain::rejection::Rejection;
use crate::domain::request::Request;
use crate::domain::time_budget::TimeBudget;
use crate::domain::timestamp::Timestamp;
use crate::ingest::read::{self, DecodeFailure};
use crate::ingest::report::Observer;
use crate::panics::unwound;
use crate::platform::{Decoded, Platform};
use crate::storage::call::CallError;
use crate::storage::envelope;
use crate::storage::ledger::{LedgerError, Written};
use crate::storage::store::{Fault, NotStored, Store, Stored};

/// Receives the callbacks of one family.
#[derive(Debug)]
pub struct Receiver {
    platform: Box<dyn Platform>,
    store: Arc<Store>,
    retention_days: Option<u32>,
    observer: Option<Box<dyn Observer>>,
}

/// The receipt of a callback: what became of it, and what it was.
#[derive(Debug, PartialEq)]
pub struct Receipt {
    /// What became of it.
    pub outcome: Outcome,
    /// Its command, where it is genuine and names one.
    pub command: Option<String>,
    /// The record's kind, where it is one that is recorded.
    pub kind: Option<&'static str>,
    /// Why the table did not take it.
    pub fault: Option<Fault>,
    /// What the log keeps, as texts of envelopes, where no store took it.
    pub unstored: Vec<String>,
}

impl Receipt {
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
            Self::NotStored => Some(Rejection::NOT_STORED),
            Self::Defect => Some(Rejection::DEFECT),
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

impl Receiver {
    /// A receiver of `platform`'s callbacks, whose records go to `store` and may be deleted after `retention_days`.
    #[must_use]
    pub fn new(
        platform: Box<dyn Platform>,
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
    pub fn platform(&self) -> &dyn Platform {
        &*self.platform
    }

    /// Where the records go.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whether a request is genuine by its head alone. False for a platform that signs bodies.
    #[must_use]
    pub fn vouches_for(&self, head: &http::Request<Bytes>) -> bool {
        unwound(|| self.platform.verify(&Request::of(head, Timestamp::now())).is_ok()).unwrap_or(false)
    }

    /// Verifies, decodes and records one request, within its budget.
    pub async fn receive(&self, request: &Request<'_>, budget: &TimeBudget) -> Receipt {
        let verified = match read::verify(self.platform(), request) {
            Ok(Some(verified)) => verified,
            Ok(None) => return Receipt::of(Outcome::UrlCheck),
            // Only a 401 or 403 can mean that our secret is wrong.
            Err(rejection) if rejection.is_of_caller() && self.platform.is_known_caller(request) => {
                return Receipt::of(Outcome::RejectedKnownCaller(rejection));
            }
            Err(rejection) => return Receipt::of(Outcome::Rejected(rejection)),
        };
        let (callback, is_parsed) = read::parse(self.platform(), verified);
        let decoded = if is_parsed {
            read::decode(self.platform(), &callback)
        } else {
            read::classify(self.platform(), &callback, Rejection::DEFECT.into())
        };
        match decoded {
            Ok(Decoded::Change(change)) => self.record(change, &callback, budget).await,
            Ok(Decoded::Ignored(command)) => {
                Receipt { command: Some(command.into_owned()), ..Receipt::of(Outcome::Ignored) }
            }
            Err(DecodeFailure::Undecodable(reason)) => self.quarantine(reason, &callback, budget).await,
            Err(DecodeFailure::Rejected(rejection)) => Receipt::of(Outcome::Rejected(rejection)),
        }
    }

    /// Stores a change; keeps its callback in quarantine where no record can be made of it, or none that an item holds.
    async fn record(&self, change: GroupChange<'_>, callback: &Callback<'_>, budget: &TimeBudget) -> Receipt {
        let (command, kind) = (change.command.clone().into_owned(), change.kind.as_str());
        let undecodable = |rejection| Undecodable { rejection, command: Some(Cow::Borrowed(command.as_str())) };
        let record = || {
            let app_id = self.platform.app_id();
            Record::new(self.platform.name(), app_id, change, callback, self.retention_days).into()
        };
        let receipt = match unwound::<Vec<_>>(record) {
            None => self.quarantine(undecodable(Rejection::DEFECT), callback, budget).await,
            Some(envelopes) => match self.store.store(&envelopes, budget).await {
                Err(NotStored { fault, .. }) if fault.ledger == LedgerError::TooLarge => {
                    self.quarantine(undecodable(Rejection::TOO_LARGE), callback, budget).await
                }
                stored => self.receipt(stored, Outcome::Recorded, Some(&command), callback),
            },
        };
        Receipt { kind: Some(kind), ..receipt }
    }

    /// Keeps a genuine callback as it came.
    async fn quarantine(&self, reason: Undecodable<'_>, callback: &Callback<'_>, budget: &TimeBudget) -> Receipt {
        let (outcome, command) = (Outcome::Quarantined(reason.rejection), reason.command.clone());
        let quarantined = || Quarantined::from(self.undecoded(reason, callback)).into();
        let stored = match unwound::<Vec<_>>(quarantined) {
            Some(envelopes) => self.store.store(&envelopes, budget).await,
            None => Err(NotStored {
                fault: Fault { ledger: CallError::Defect.into(), fallback_queue: None },
                texts: Vec::new(),
            }),
        };
        self.receipt(stored, outcome, command.as_deref(), callback)
    }

    /// The receipt of a callback of which `outcome` became if the table or the queue took it. What neither took the log
    /// keeps: as it came where it has no texts.
    fn receipt(
        &self,
        stored: Result<Stored, NotStored>,
        outcome: Outcome,
        command: Option<&str>,
        callback: &Callback<'_>,
    ) -> Receipt {
        let receipt = Receipt { command: command.map(str::to_owned), ..Receipt::of(outcome) };
        match stored {
            Ok(Stored::InLedger(Written::Duplicate)) if receipt.outcome == Outcome::Recorded => {
                Receipt { outcome: Outcome::Duplicate, ..receipt }
            }
            Ok(Stored::InLedger(_)) => receipt,
            Ok(Stored::InFallbackQueue(fault)) if receipt.outcome == Outcome::Recorded => {
                Receipt { outcome: Outcome::Queued, fault: Some(fault), ..receipt }
            }
            Ok(Stored::InFallbackQueue(fault)) => Receipt { fault: Some(fault), ..receipt },
            Err(NotStored { fault, texts: mut unstored }) => {
                if unstored.is_empty() {
                    let command = command.map(Cow::Borrowed);
                    let reason = Undecodable { rejection: Rejection::DEFECT, command };
                    unstored.extend(unwound(|| envelope::undecoded_text(&self.undecoded(reason, callback))));
                }
                Receipt { outcome: Outcome::NotStored, fault: Some(fault), unstored, ..receipt }
            }
        }
    }

    fn undecoded<'c>(&'c self, reason: Undecodable<'c>, callback: &'c Callback<'_>) -> Undecoded<'c> {
        let app_id = self.platform.app_id();
        Undecoded::new(self.platform.name(), app_id, reason, callback.clone(), self.retention_days)
    }
}
