//! The fallback queue: an SQS queue, where envelopes wait while the ledger does not take them. The replay takes them from there.

use std::time::Duration;

use aws_types::SdkConfig;
use tokio::time::timeout;

use crate::panics::caught;
use crate::settings::{SettingError, Settings};
use crate::storage::call::CallError;
use crate::storage::envelope::MAX_TEXT_BYTES;
use crate::storage::queue::Queue;

/// The queue of envelopes.
#[derive(Clone, Debug)]
pub struct FallbackQueue(Queue);

/// Why an envelope is not, or not surely, in the queue. Says nothing of the envelope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FallbackQueueError {
    /// The call failed.
    #[error("SQS {0}")]
    Call(#[from] CallError),
    /// It was not called, because it timed out a moment ago.
    #[error("SQS was not called: its circuit breaker is open")]
    CircuitOpen,
    /// It is larger than a message can be.
    #[error("the record is too large for a message")]
    TooLarge,
}

impl FallbackQueue {
    /// The queue of `FALLBACK_QUEUE_URL`; `None` where there is none.
    ///
    /// # Errors
    ///
    /// If that is no URL.
    pub fn from_settings(settings: &Settings<'_>, config: &SdkConfig) -> Result<Option<Self>, SettingError> {
        Ok(Queue::from_settings(settings, config, "FALLBACK_QUEUE_URL")?.map(Self))
    }

    /// The queue itself, for whoever reads it.
    #[must_use]
    pub fn queue(&self) -> &Queue {
        &self.0
    }

    /// Sends the texts of a callback's envelopes, a message each, in their order and within a time. A message that was sent
    /// twice is written once.
    ///
    /// # Errors
    ///
    /// If one of them is not, or not surely, in the queue.
    pub async fn send(&self, texts: &[String], within: Duration) -> Result<(), FallbackQueueError> {
        if texts.iter().any(|text| text.len() > MAX_TEXT_BYTES) {
            return Err(FallbackQueueError::TooLarge);
        }
        let send = async {
            for text in texts {
                self.0.send(text).await?;
            }
            Ok(())
        };
        caught(timeout(within, send)).await.ok_or(CallError::Defect)?.map_err(|_| CallError::TimedOut)?
    }
}
