//! Replay: writes what is in the fallback queue to the table, under the keys that it would have had.

use std::time::Duration;

use tracing::{error, info, warn};

use crate::panics::caught;
use crate::storage::envelope::Envelope;
use crate::storage::ledger::{Ledger, Written};

/// Writes one message's envelope, within a time; whether it is in the table.
pub async fn replay(ledger: &Ledger, message_id: &str, body: &str, within: Duration) -> bool {
    caught(write(ledger, message_id, body, within)).await == Some(true)
}

async fn write(ledger: &Ledger, message_id: &str, body: &str, within: Duration) -> bool {
    let envelopes = match Envelope::from_text(body) {
        Ok(envelopes) => envelopes,
        Err(error) => {
            error!(message_id, %error, "replay");
            return false;
        }
    };
    let envelope = envelopes.last();
    let (platform, kind) = (envelope.and_then(Envelope::platform), envelope.and_then(Envelope::kind));
    match ledger.write(&envelopes, within).await {
        Ok(stored) => {
            let outcome = if stored == Written::Recorded { "recorded" } else { "duplicate" };
            info!(platform, kind, outcome, message_id, "replay");
            true
        }
        Err(error) => {
            warn!(platform, kind, outcome = "not_stored", %error, message_id, "replay");
            false
        }
    }
}
