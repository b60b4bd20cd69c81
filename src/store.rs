//! Where a callback's entries are stored: the ledger, or, while that does not take them, the spill.

use std::fmt;
use std::time::{Duration, Instant};

use crate::aws::{CallError, FUNCTION_TIMEOUTS, Scope};
use crate::breaker::{Breaker, Failure};
use crate::budget::Budget;
use crate::entry::Entry;
use crate::lambda::{caught, unwound};
use crate::ledger::{Ledger, LedgerError, Stored};
use crate::spill::{Spill, SpillError};

/// The ledger, and the spill beside it.
#[derive(Debug)]
pub struct Store {
    ledger: Ledger,
    spill: Option<Spill>,
    breaker: Breaker,
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
    /// Their texts, for the log; none of what no item can hold, or of what met a defect.
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
        Self { ledger, spill, breaker: Breaker::default() }
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
        let Some(texts) = texts(entries, Entry::to_text) else {
            let spill = self.spill.is_some().then_some(SpillError::Call(CallError::Defect));
            return Err(NotKept { fault: Fault { ledger, spill }, texts: Vec::new() });
        };
        let Some(spill) = &self.spill else {
            return Err(NotKept { fault: Fault { ledger, spill: None }, texts });
        };
        match spill.send(&texts, budget.for_spill(Instant::now())).await {
            Ok(()) => Ok(Kept::InSpill(Fault { ledger, spill: None })),
            Err(error) => Err(NotKept { fault: Fault { ledger, spill: Some(error) }, texts }),
        }
    }

    /// Writes to the ledger, unless the circuit breaker is open. Without a spill there is nowhere else to go.
    async fn write(&self, entries: &[Entry<'_>], budget: &Budget) -> Result<Stored, Option<LedgerError>> {
        let group = entries.last().map_or("", Entry::group_key);
        let now = Instant::now();
        if self.spill.is_some() && !self.breaker.admits(group, now) {
            return Err(None);
        }
        let time = budget.for_ledger(now);
        let written = caught(self.ledger.write(entries, time)).await.unwrap_or(Err(CallError::Defect.into()));
        match &written {
            Ok(_) => self.breaker.succeeded(group),
            Err(LedgerError::Call(error)) => self.breaker.failed(failure(error, time), group, Instant::now()),
            Err(LedgerError::TooLarge) => self.breaker.failed(Failure::Nothing, group, Instant::now()),
        }
        written.map_err(Some)
    }
}

/// The texts of entries; `None` where making one panics.
fn texts<'e>(entries: &[Entry<'e>], to_text: impl Fn(&Entry<'e>) -> String) -> Option<Vec<String>> {
    unwound(|| entries.iter().map(to_text).collect())
}

/// What a failed call, which had `time`, says of the next ones.
fn failure(error: &CallError, time: Duration) -> Failure {
    match error {
        CallError::TimedOut if time < FUNCTION_TIMEOUTS.attempt => Failure::Nothing,
        CallError::Defect => Failure::Nothing,
        CallError::Throttled { scope: Scope::Partition, .. } => Failure::PartitionThrottled,
        CallError::Throttled { scope: Scope::Unknown, .. } => Failure::Throttled,
        CallError::Refused(code) if code == "ValidationException" => Failure::Request,
        _ => Failure::Service,
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, failure, texts};
    use crate::aws::{CallError, FUNCTION_TIMEOUTS, Scope};
    use crate::breaker::Failure;
    use crate::entry::Entry;
    use crate::ledger::LedgerError;
    use crate::spill::SpillError;

    #[test]
    fn only_service_failures_and_throttling_open_the_circuit_breaker() {
        let attempt = FUNCTION_TIMEOUTS.attempt;
        let refused = |code: &str| CallError::Refused(code.to_owned());
        let throttled = |scope| CallError::Throttled { code: "ThrottlingException".to_owned(), scope };
        for (error, time, expected) in [
            (CallError::TimedOut, attempt, Failure::Service),
            (CallError::TimedOut, attempt / 2, Failure::Nothing),
            (CallError::Unreachable, attempt / 2, Failure::Service),
            (throttled(Scope::Table), attempt, Failure::Service),
            (throttled(Scope::Partition), attempt, Failure::PartitionThrottled),
            (throttled(Scope::Unknown), attempt, Failure::Throttled),
            (refused("AccessDeniedException"), attempt, Failure::Service),
            (refused("ValidationException"), attempt, Failure::Request),
            (CallError::Defect, attempt, Failure::Nothing),
        ] {
            assert_eq!(failure(&error, time), expected, "{error} after {time:?}");
        }
    }

    #[test]
    fn a_text_that_panics_is_none() {
        let text = std::fs::read_to_string("tests/entries/record.txt").unwrap();
        let entries = Entry::from_text(text.trim()).unwrap();
        assert_eq!(texts(&entries, |_| panic!("a defect")), None);
        assert_eq!(texts(&entries, |_| "text".to_owned()), Some(vec!["text".to_owned()]));
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
