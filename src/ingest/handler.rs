//! The handler: an [`http::Request`] in, an [`http::Response`] out, whoever received it. Logs one line for each callback.
//!
//! A line holds the platform, a sanitised command, the outcome, numbers and the request id; never a body, a query string, a user
//! id or a secret. Exception: if neither store took a callback, `recover` lines hold its envelope, or the callback itself after a
//! defect; `group-ledger recover` writes the record from them.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::domain::rejection::Rejection;
use crate::domain::request::{Deadline, Received, Request};
use crate::domain::time_budget::TimeBudget;
use crate::domain::timestamp::Timestamp;
use crate::ingest::receive::{Outcome, Receipt, Receiver};
use crate::panics::{caught, unwound};
use crate::storage::envelope::pieces;

/// Who counts callbacks.
pub trait Observer: fmt::Debug + Send + Sync {
    /// A callback of `platform` was received and answered after `duration`.
    fn observe(&self, platform: &'static str, receipt: &Receipt, duration: Duration);
}

impl Receiver {
    /// Answers one request, or what was received in place of one. A panic is answered too, and ends nothing else.
    pub async fn handle(&self, request: Result<http::Request<Bytes>, Rejection>) -> http::Response<String> {
        let (start, now) = (Instant::now(), Timestamp::now());
        let received = request.as_ref().ok().and_then(|request| request.extensions().get::<Received>());
        let request = request.as_ref().map_err(|rejection| *rejection);
        let request = request.and_then(|request| unwound(|| Request::of(request, now)).ok_or(Rejection::DEFECT));
        let waited = request.as_ref().map_or(Duration::ZERO, |request| request.received_at.until(now));
        let sender_timeout = self.platform().sender_timeout();
        let budget = match received.map_or(Deadline::None, |received| received.deadline) {
            Deadline::None => TimeBudget::new(start, sender_timeout, waited, None),
            Deadline::At(deadline) => TimeBudget::new(start, sender_timeout, waited, Some(deadline - start)),
            Deadline::Passed => TimeBudget::none(start, sender_timeout),
        };
        let receipt = match &request {
            Ok(request) => caught(self.receive(request, &budget)).await.unwrap_or(Receipt::of(Outcome::Defect)),
            Err(Rejection::DEFECT) => Receipt::of(Outcome::Defect),
            Err(rejection) => Receipt::of(Outcome::Rejected(*rejection)),
        };
        self.note(&receipt, received, start.elapsed());
        let rejection = receipt.outcome.rejection();
        // This sender retries only after a timeout. Delay the error answer until it has timed out.
        if self.platform().retries_after_timeout() && matches!(receipt.outcome, Outcome::NotStored | Outcome::Defect) {
            sleep(budget.until_given_up(Instant::now())).await;
        }
        let (request, outcome) = (request.as_ref().ok(), rejection.map_or(Ok(()), Err));
        unwound(|| self.platform().respond(request, outcome)).unwrap_or_else(|| self.platform().respond(None, outcome))
    }

    /// Logs and counts a request whose body was not read, by its head. Answer it without a body: `OpenIM` takes the fields of any
    /// JSON for those of a hook's answer.
    pub fn reject_head(&self, head: &http::Request<Bytes>, rejection: Rejection, duration: Duration) {
        let rejected = if self.vouches_for(head) { Outcome::RejectedKnownCaller } else { Outcome::Rejected };
        self.note(&Receipt::of(rejected(rejection)), head.extensions().get(), duration);
    }

    /// Logs and counts a callback.
    fn note(&self, receipt: &Receipt, received: Option<&Received>, duration: Duration) {
        let ids = Ids {
            request_id: received.map_or("", |received| &received.request_id),
            caller_request_id: received.and_then(|received| received.caller_request_id.as_deref()).map(loggable_id),
        };
        log(self.platform().name(), receipt, ids, duration);
        if let Some(observer) = self.observer() {
            observer.observe(self.platform().name(), receipt, duration);
        }
    }
}

/// What the log calls a request.
#[derive(Clone, Copy, Default)]
pub struct Ids<'r> {
    /// The host's id.
    pub request_id: &'r str,
    /// The sender's own.
    pub caller_request_id: Option<&'r str>,
}

/// Logs a callback in one line, which carries its metrics: `callbacks` counts it, and `platform`, `outcome` and `kind` are
/// always there.
pub fn log(platform: &str, receipt: &Receipt, ids: Ids<'_>, duration: Duration) {
    let Ids { request_id, caller_request_id } = ids;
    let (callbacks, duration_us) = (1_u64, u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    let (kind, outcome) = (receipt.kind.unwrap_or("none"), receipt.outcome.as_str());
    let command = receipt.command.as_deref().map(loggable);
    let error = receipt.fault.as_ref().map(tracing::field::display);
    match &receipt.outcome {
        Outcome::NotStored | Outcome::Defect => {
            error!(
                platform,
                command, kind, outcome, error, callbacks, duration_us, request_id, caller_request_id, "callback"
            );
        }
        Outcome::Rejected(rejection) | Outcome::RejectedKnownCaller(rejection) | Outcome::Quarantined(rejection) => {
            let (code, reason) = (rejection.code(), tracing::field::display(rejection));
            warn!(
                platform,
                command,
                kind,
                outcome,
                code,
                reason,
                error,
                callbacks,
                duration_us,
                request_id,
                caller_request_id,
                "callback"
            );
        }
        Outcome::Queued => {
            warn!(
                platform,
                command, kind, outcome, error, callbacks, duration_us, request_id, caller_request_id, "callback"
            );
        }
        _ => info!(platform, command, kind, outcome, callbacks, duration_us, request_id, caller_request_id, "callback"),
    }
    // The last resort.
    for envelope in receipt.unstored.iter().flat_map(|text| pieces(text)) {
        error!(platform, envelope = envelope.as_ref(), request_id, "recover");
    }
}

/// A command as it may be logged: commands are short words, and what is not may be anything.
fn loggable(command: &str) -> &str {
    let is_word = command.len() <= 64 && command.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    if is_word { command } else { "other" }
}

/// An id as it may be logged: a stranger may have sent anything.
fn loggable_id(id: &str) -> &str {
    let is_id = !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
    if is_id { id } else { "other" }
}

#[cfg(test)]
mod tests {
    use super::{loggable, loggable_id};

    #[test]
    fn an_id_is_logged_only_where_it_looks_like_one() {
        let (longest, longer) = ("i".repeat(128), "i".repeat(129));
        for (id, logged) in [
            ("0197f0c2-7d", "0197f0c2-7d"),
            ("Root=1-67891233;Sampled=1", "Root=1-67891233;Sampled=1"),
            (&longest, &longest),
            (&longer, "other"),
            ("", "other"),
            ("two words", "other"),
            ("\u{7fa4}", "other"),
        ] {
            assert_eq!(loggable_id(id), logged);
        }
    }

    #[test]
    fn a_command_is_logged_only_where_it_is_a_short_word() {
        let (longest, longer) = ("c".repeat(64), "c".repeat(65));
        for (command, logged) in [
            ("Group.CallbackAfterGroupFull", "Group.CallbackAfterGroupFull"),
            ("callback1", "callback1"),
            ("", ""),
            (&longest, &longest),
            (&longer, "other"),
            ("a message", "other"),
            ("u-secret", "other"),
            ("\u{7fa4}", "other"),
        ] {
            assert_eq!(loggable(command), logged);
        }
    }
}
