//! Where a callback's envelopes are stored: the ledger, or, while that does not take them, the fallback queue.

use std::fmt;
use std::time::{Duration, Instant};

use crate::domain::time_budget::TimeBudget;
use crate::panics::{caught, unwound};
use crate::storage::call::{CallError, Scope};
use crate::storage::circuit_breaker::{Breaker, Failure};
use crate::storage::envelope::Envelope;
use crate::storage::fallback_queue::{FallbackQueue, FallbackQueueError};
use crate::storage::item;
use crate::storage::ledger::{Ledger, LedgerError, Written};

/// The ledger, and the fallback queue beside it.
#[derive(Debug)]
pub struct Store {
    ledger: Ledger,
    fallback_queue: Option<FallbackQueue>,
    breaker: Breaker,
    queue_breaker: Breaker,
    /// How long one attempt of a call may take.
    attempt_timeout: Duration,
}

/// What the queue's circuit breaker is for: all groups.
const ALL: &str = "";

/// Where envelopes are durably kept.
#[derive(Debug, PartialEq, Eq)]
pub enum Stored {
    /// In the ledger.
    InLedger(Written),
    /// In the fallback queue, because of the fault.
    InFallbackQueue(Fault),
}

/// Why envelopes are not in the ledger, or nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why they are not in the ledger.
    pub ledger: LedgerError,
    /// Why they are not in the fallback queue, where that was tried.
    pub fallback_queue: Option<FallbackQueueError>,
}

/// Envelopes that are kept nowhere.
#[derive(Debug)]
pub struct NotStored {
    /// Why.
    pub fault: Fault,
    /// Their texts, for the log; none of what no item can hold, or of what met a defect.
    pub texts: Vec<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ledger)?;
        self.fallback_queue.as_ref().map_or(Ok(()), |error| write!(f, "; {error}"))
    }
}

impl Store {
    /// A store that sends what `ledger` does not take to `fallback_queue`, where there is one. `attempt_timeout` is that of
    /// their clients: a circuit breaker opens only after a call that had the time of a whole attempt.
    #[must_use]
    pub fn new(ledger: Ledger, fallback_queue: Option<FallbackQueue>, attempt_timeout: Duration) -> Self {
        Self { ledger, fallback_queue, breaker: Breaker::default(), queue_breaker: Breaker::default(), attempt_timeout }
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Whether there is a fallback queue.
    #[must_use]
    pub fn has_fallback_queue(&self) -> bool {
        self.fallback_queue.is_some()
    }

    /// Stores a callback's envelopes within its budget.
    ///
    /// # Errors
    ///
    /// If they are not, or not surely, stored anywhere.
    pub async fn store(&self, envelopes: &[Envelope<'_>], budget: &TimeBudget) -> Result<Stored, NotStored> {
        let ledger = match self.write(envelopes, budget).await {
            Ok(written) => return Ok(Stored::InLedger(written)),
            Err(error) => error,
        };
        let texts = match messages(envelopes, item::holds, Envelope::to_text) {
            Ok(texts) => texts,
            Err(error) => {
                return Err(NotStored { fault: Fault { ledger: error, fallback_queue: None }, texts: Vec::new() });
            }
        };
        match self.send(&texts, budget).await {
            Ok(()) => Ok(Stored::InFallbackQueue(Fault { ledger, fallback_queue: None })),
            Err(fallback_queue) => Err(NotStored { fault: Fault { ledger, fallback_queue }, texts }),
        }
    }

    /// Sends to the fallback queue, unless its circuit breaker is open; `None` where there is no queue.
    async fn send(&self, texts: &[String], budget: &TimeBudget) -> Result<(), Option<FallbackQueueError>> {
        let queue = self.fallback_queue.as_ref().ok_or(None)?;
        let now = Instant::now();
        let time = budget.for_fallback_queue(now);
        // Nothing is begun that cannot end: it would take the trial of a half-open breaker, and a connection.
        if time.is_zero() {
            return Err(Some(CallError::NoTime.into()));
        }
        if !self.queue_breaker.admits(ALL, now) {
            return Err(Some(FallbackQueueError::CircuitOpen));
        }
        let sent = queue.send(texts, time).await;
        match &sent {
            Ok(()) => self.queue_breaker.succeeded(ALL),
            // Only waiting costs the sender something; an error comes at once.
            Err(FallbackQueueError::Call(CallError::TimedOut)) if time >= self.attempt_timeout => {
                self.queue_breaker.failed(Failure::Service, ALL, Instant::now());
            }
            Err(_) => {}
        }
        sent.map_err(Some)
    }

    /// Writes to the ledger, unless the circuit breaker is open. Without a fallback queue there is nowhere else to go.
    async fn write(&self, envelopes: &[Envelope<'_>], budget: &TimeBudget) -> Result<Written, LedgerError> {
        let group = envelopes.last().map_or("", Envelope::group_key);
        let now = Instant::now();
        let time = budget.for_ledger(now);
        if time.is_zero() {
            return Err(CallError::NoTime.into());
        }
        if self.fallback_queue.is_some() && !self.breaker.admits(group, now) {
            return Err(LedgerError::CircuitOpen);
        }
        let written = caught(self.ledger.write(envelopes, time)).await.unwrap_or(Err(CallError::Defect.into()));
        match &written {
            Ok(_) => self.breaker.succeeded(group),
            Err(LedgerError::Call(error)) => {
                let failure = failure(error, time >= self.attempt_timeout);
                self.breaker.failed(failure, group, Instant::now());
            }
            Err(LedgerError::TooLarge | LedgerError::CircuitOpen) => {}
        }
        written
    }
}

/// The messages of envelopes.
///
/// # Errors
///
/// [`LedgerError::TooLarge`] where no item holds one, which would fail again on replay; a defect where making one panics.
fn messages<'e>(
    envelopes: &[Envelope<'e>],
    fits: impl Fn(&Envelope<'e>) -> bool,
    to_text: impl Fn(&Envelope<'e>) -> String,
) -> Result<Vec<String>, LedgerError> {
    let texts = unwound(|| envelopes.iter().all(fits).then(|| envelopes.iter().map(to_text).collect()));
    texts.ok_or(CallError::Defect)?.ok_or(LedgerError::TooLarge)
}

/// What a failed call says of the next ones. `had_an_attempt`: it had the time of a whole attempt.
fn failure(error: &CallError, had_an_attempt: bool) -> Failure {
    match error {
        CallError::TimedOut if !had_an_attempt => Failure::Nothing,
        CallError::Defect | CallError::NoTime => Failure::Nothing,
        CallError::Throttled { scope: Scope::Partition, .. } => Failure::PartitionThrottled,
        CallError::Throttled { scope: Scope::Unknown, .. } => Failure::Throttled,
        CallError::Rejected(code) if code == "ValidationException" => Failure::Request,
        _ => Failure::Service,
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, failure, messages};
    use crate::storage::call::{CallError, Scope};
    use crate::storage::circuit_breaker::Failure;
    use crate::storage::envelope::Envelope;
    use crate::storage::fallback_queue::FallbackQueueError;
    use crate::storage::ledger::LedgerError;

    #[test]
    fn only_service_failures_and_throttling_open_the_circuit_breaker() {
        let rejected = |code: &str| CallError::Rejected(code.to_owned());
        let throttled = |scope| CallError::Throttled { code: "ThrottlingException".to_owned(), scope };
        for (error, had_an_attempt, expected) in [
            (CallError::TimedOut, true, Failure::Service),
            (CallError::TimedOut, false, Failure::Nothing),
            (CallError::Unreachable, false, Failure::Service),
            (throttled(Scope::Table), true, Failure::Service),
            (throttled(Scope::Partition), true, Failure::PartitionThrottled),
            (throttled(Scope::Unknown), true, Failure::Throttled),
            (rejected("AccessDeniedException"), true, Failure::Service),
            (rejected("ValidationException"), true, Failure::Request),
            (CallError::Defect, true, Failure::Nothing),
            (CallError::NoTime, true, Failure::Nothing),
        ] {
            assert_eq!(failure(&error, had_an_attempt), expected, "{error} {had_an_attempt}");
        }
    }

    #[test]
    fn a_panic_in_making_a_message_is_a_defect() {
        let text = std::fs::read_to_string("tests/envelopes/record.txt").unwrap();
        let envelopes = Envelope::from_text(text.trim()).unwrap();
        let text = |_: &Envelope<'_>| "text".to_owned();
        assert_eq!(messages(&envelopes, |_| true, text), Ok(vec!["text".to_owned()]));
        assert_eq!(messages(&envelopes, |_| false, text), Err(LedgerError::TooLarge));
        assert_eq!(messages(&envelopes, |_| panic!("a defect"), text), Err(CallError::Defect.into()));
        assert_eq!(messages(&envelopes, |_| true, |_| panic!("a defect")), Err(CallError::Defect.into()));
    }

    #[test]
    fn a_fault_says_what_failed() {
        let ledger = LedgerError::Call(CallError::TimedOut);
        let fallback_queue = Some(FallbackQueueError::Call(CallError::Unreachable));
        for (fault, text) in [
            (Fault { ledger: ledger.clone(), fallback_queue: None }, "DynamoDB did not answer in time"),
            (
                Fault { ledger: LedgerError::CircuitOpen, fallback_queue: fallback_queue.clone() },
                "DynamoDB was not called: its circuit breaker is open; SQS could not be reached",
            ),
            (Fault { ledger, fallback_queue }, "DynamoDB did not answer in time; SQS could not be reached"),
        ] {
            assert_eq!(fault.to_string(), text);
        }
    }
}
