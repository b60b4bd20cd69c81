//! Where a callback's entries are stored: the ledger, or, while that does not take them, the spill.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::aws::{CallError, FUNCTION_TIMEOUTS};
use crate::budget::Budget;
use crate::entry::Entry;
use crate::lambda::caught;
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

/// Entries that are kept nowhere.
#[derive(Debug)]
pub struct NotKept {
    /// Why.
    pub fault: Fault,
    /// Their texts, for the log; none of what no item can hold.
    pub texts: Vec<String>,
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

    /// Whether there is a spill.
    #[must_use]
    pub fn has_spill(&self) -> bool {
        self.spill.is_some()
    }

    /// Keeps a callback's entries within its budget.
    ///
    /// # Errors
    ///
    /// Where they are not, or not surely, kept anywhere.
    pub async fn keep(&self, entries: &[Entry<'_>], budget: &Budget) -> Result<Kept, NotKept> {
        let ledger = match self.write(entries, budget).await {
            Ok(stored) => return Ok(Kept::InLedger(stored)),
            Err(error) => error,
        };
        // What no item can hold would come out of the spill in vain.
        if !entries.iter().all(Ledger::fits) {
            return Err(NotKept {
                fault: Fault { ledger: Some(LedgerError::TooLarge), spill: None },
                texts: Vec::new(),
            });
        }
        let texts: Vec<String> = entries.iter().map(Entry::to_text).collect();
        let Some(spill) = &self.spill else {
            return Err(NotKept { fault: Fault { ledger, spill: None }, texts });
        };
        match spill.send(&texts, budget.for_spill(Instant::now())).await {
            Ok(()) => Ok(Kept::InSpill(Fault { ledger, spill: None })),
            Err(error) => Err(NotKept { fault: Fault { ledger, spill: Some(error) }, texts }),
        }
    }

    /// Writes to the ledger, unless it rests.
    async fn write(&self, entries: &[Entry<'_>], budget: &Budget) -> Result<Stored, Option<LedgerError>> {
        let now = Instant::now();
        if self.spill.is_some() && self.rests_until().is_some_and(|until| now < until) {
            return Err(None);
        }
        let time = budget.for_ledger(now);
        let written = caught(self.ledger.write(entries, time)).await.unwrap_or(Err(CallError::Defect.into()));
        match &written {
            Ok(_) => *self.rests_until() = None,
            Err(LedgerError::Call(error)) if tells_of_the_service(error, time) => {
                *self.rests_until() = Some(Instant::now() + REST);
            }
            Err(_) => {}
        }
        written.map_err(Some)
    }

    fn rests_until(&self) -> impl std::ops::DerefMut<Target = Option<Instant>> + '_ {
        // A time that a panic left behind is as good as any.
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the next callback would fare alike: not where this one had too little time, or is what the service refuses.
fn tells_of_the_service(error: &CallError, time: Duration) -> bool {
    match error {
        CallError::TimedOut => time >= FUNCTION_TIMEOUTS.attempt,
        CallError::Unreachable => true,
        CallError::Refused(code) => code != "ValidationException",
        CallError::Defect => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, tells_of_the_service};
    use crate::aws::{CallError, FUNCTION_TIMEOUTS};
    use crate::ledger::LedgerError;
    use crate::spill::SpillError;

    #[test]
    fn only_what_the_next_callback_would_meet_too_makes_the_ledger_rest() {
        let attempt = FUNCTION_TIMEOUTS.attempt;
        let refused = |code: &str| CallError::Refused(code.to_owned());
        for (error, time, rests) in [
            (CallError::TimedOut, attempt, true),
            (CallError::TimedOut, attempt / 2, false),
            (CallError::Unreachable, attempt / 2, true),
            (refused("ThrottlingException"), attempt, true),
            (refused("ValidationException"), attempt, false),
            (CallError::Defect, attempt, false),
        ] {
            assert_eq!(tells_of_the_service(&error, time), rests, "{error} after {time:?}");
        }
    }

    #[test]
    fn a_fault_says_what_failed() {
        let ledger = Some(LedgerError::Call(CallError::TimedOut));
        let spill = Some(SpillError::Call(CallError::Unreachable));
        for (fault, text) in [
            (Fault { ledger: ledger.clone(), spill: None }, "DynamoDB did not answer in time"),
            (Fault { ledger: None, spill: spill.clone() }, "DynamoDB failed a moment ago; SQS could not be reached"),
            (Fault { ledger, spill }, "DynamoDB did not answer in time; SQS could not be reached"),
        ] {
            assert_eq!(fault.to_string(), text);
        }
    }
}
