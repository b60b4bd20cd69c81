//! Where a callback's entries are stored: the ledger, or, while that does not take them, the spill.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::budget::Budget;
use crate::entry::Entry;
use crate::ledger::{Ledger, LedgerError, Stored};
use crate::spill::{Spill, SpillError};

/// How long the ledger is left alone after it failed. Waiting for it with every callback would stall OpenIM's two workers,
/// whose queue then overflows.
const REST: Duration = Duration::from_secs(5);

/// The ledger, and the spill beside it.
#[derive(Debug)]
pub struct Store {
    ledger: Ledger,
    spill: Option<Spill>,
    /// Until when the ledger is left alone.
    rests_until: Mutex<Option<Instant>>,
}

/// Where entries are durably kept.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    /// In the ledger.
    InLedger(Stored),
    /// In the spill, because of the fault.
    InSpill(Fault),
}

/// Why entries are not in the ledger, or nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why they are not in the ledger; `None` where that was left alone, because it failed a moment ago.
    pub ledger: Option<LedgerError>,
    /// Why they are not in the spill, where that was tried.
    pub spill: Option<SpillError>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ledger {
            Some(error) => write!(f, "{error}")?,
            None => f.write_str("DynamoDB failed a moment ago")?,
        }
        self.spill.as_ref().map_or(Ok(()), |error| write!(f, "; {error}"))
    }
}

impl Store {
    /// A store that keeps what `ledger` does not take in `spill`, where there is one.
    #[must_use]
    pub fn new(ledger: Ledger, spill: Option<Spill>) -> Self {
        Self { ledger, spill, rests_until: Mutex::new(None) }
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Keeps a callback's entries within its budget.
    ///
    /// # Errors
    ///
    /// Where they are not, or not surely, kept anywhere.
    pub async fn keep(&self, entries: &[Entry<'_>], budget: &Budget) -> Result<Kept, Fault> {
        let ledger = match self.write(entries, budget).await {
            Ok(stored) => return Ok(Kept::InLedger(stored)),
            Err(error) => error,
        };
        let Some(spill) = self.spill.as_ref().filter(|_| ledger != Some(LedgerError::TooLarge)) else {
            return Err(Fault { ledger, spill: None });
        };
        match spill.send(entries, budget.for_spill(Instant::now())).await {
            Ok(()) => Ok(Kept::InSpill(Fault { ledger, spill: None })),
            Err(error) => Err(Fault { ledger, spill: Some(error) }),
        }
    }

    /// Writes to the ledger, unless it rests.
    async fn write(&self, entries: &[Entry<'_>], budget: &Budget) -> Result<Stored, Option<LedgerError>> {
        let now = Instant::now();
        if self.spill.is_some() && self.rests_until().is_some_and(|until| now < until) {
            return Err(None);
        }
        let written = self.ledger.write(entries, budget.for_ledger(now)).await;
        *self.rests_until() = match written {
            Err(LedgerError::Call(_)) => Some(Instant::now() + REST),
            Ok(_) | Err(LedgerError::TooLarge) => None,
        };
        written.map_err(Some)
    }

    fn rests_until(&self) -> impl std::ops::DerefMut<Target = Option<Instant>> + '_ {
        // A time that a panic left behind is as good as any.
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
