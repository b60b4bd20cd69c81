//! Reports a callback: writes its line of log, and defines the observer that counts it.
//!
//! A line holds the platform, a sanitised command, the outcome, numbers and the request id; never a body, a query string, a user
//! id or a secret. Exception: if neither store took a callback, `recover` lines hold its envelope, or the callback itself after a
//! defect; `group-ledger recover` writes the record from them.

use std::fmt;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::ingest::receive::{Outcome, Receipt};
use crate::storage::envelope::{looks_like_text, pieces};

/// Who counts callbacks.
pub trait Observer: fmt::Debug + Send + Sync {
    /// A callback of `platform` was received and answered after `duration`.
    fn observe(&self, platform: &'static str, receipt: &Receipt, duration: Duration);
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
    let (request_id, caller_request_id) = (ids.request_id, ids.caller_request_id.map(loggable_id));
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

/// A command as it may be logged: a short word, in which `recover` finds no envelope. Anything else is "other".
fn loggable(command: &str) -> &str {
    let is_word = command.len() <= 64 && command.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    if is_word && !looks_like_text(command) { command } else { "other" }
}

/// An id as it may be logged: a stranger may have sent anything, an envelope for `recover` among it.
fn loggable_id(id: &str) -> &str {
    let is_id = !id.is_empty() && id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
    if is_id && !looks_like_text(id) { id } else { "other" }
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
            ("PIECE-a-0-3-H4sIAAAA", "other"),
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
            ("eyJjYWxsYmFjayI6e30", "other"),
            ("\u{7fa4}", "other"),
        ] {
            assert_eq!(loggable(command), logged);
        }
    }
}
