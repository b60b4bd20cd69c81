//! Reprocessing: decodes what is in quarantine again, with the current decoder.

use std::time::Duration;

use crate::domain::change::Kind;
use crate::domain::record::Record;
use crate::domain::rejection::Rejection;
use crate::ingest::read::{DecodeFailure, decode};
use crate::platform::{Decoded, Platform};
use crate::storage::call::CallError;
use crate::storage::envelope::Envelope;
use crate::storage::item::Item;
use crate::storage::ledger::{Ledger, LedgerError, Written};
use crate::storage::read::ReadError;

/// What became of a callback in quarantine.
#[derive(Debug, PartialEq, Eq)]
pub enum Reprocessed {
    /// It is a change, which is in the table; it has left quarantine.
    Recorded(Kind, Written),
    /// It is nothing that is recorded; it has left quarantine.
    Ignored,
    /// It is still not understood, and stays.
    StillQuarantined(Rejection),
}

/// Why a callback stays in quarantine that might have left it.
#[derive(Debug, thiserror::Error)]
pub enum ReprocessError {
    /// Its item cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// It was understood, and could not be recorded.
    #[error(transparent)]
    NotRecorded(#[from] LedgerError),
    /// Nothing more is to be done with it, and it could not be removed.
    #[error("it cannot be taken out of quarantine")]
    NotRemoved(#[source] CallError),
}

/// Decodes the callback of one item of quarantine, and writes its record within a time. Records before it removes, so that
/// nothing is lost in between; a record that is there already stays as it is.
///
/// # Errors
///
/// If the callback cannot be read, recorded or removed. Then it is still in quarantine.
pub async fn reprocess(
    ledger: &Ledger,
    platform: &dyn Platform,
    item: Item,
    within: Duration,
) -> Result<Reprocessed, ReprocessError> {
    let quarantined = ledger.quarantined_callback(item).await?;
    let reprocessed = match decode(platform, quarantined.callback()) {
        Ok(Decoded::Change(change)) => {
            let kind = change.kind;
            let mut record = Record::new(platform.name(), platform.app_id(), change, quarantined.callback(), None);
            record.expires_at = quarantined.undecoded.expires_at;
            let envelopes: Vec<Envelope<'_>> = record.into();
            Reprocessed::Recorded(kind, ledger.write(&envelopes, within).await?)
        }
        Ok(Decoded::Ignored(_)) => Reprocessed::Ignored,
        Err(DecodeFailure::Undecodable(reason)) => return Ok(Reprocessed::StillQuarantined(reason.rejection)),
        Err(DecodeFailure::Rejected(rejection)) => return Ok(Reprocessed::StillQuarantined(rejection)),
    };
    ledger.remove(&quarantined).await.map_err(ReprocessError::NotRemoved)?;
    Ok(reprocessed)
}
