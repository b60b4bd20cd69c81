//! The fallback queue: an SQS queue, where envelopes wait while the ledger does not take them. The replay takes them from there.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Config;
use aws_types::SdkConfig;
use tokio::time::timeout;

use crate::panics::caught;
use crate::settings::{SettingError, Settings};
use crate::storage::call::{CallError, retries};
use crate::storage::envelope::MAX_TEXT_BYTES;

/// The queue of envelopes.
#[derive(Clone, Debug)]
pub struct FallbackQueue {
    client: Client,
    queue_url: String,
}

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
    /// Where that is no URL.
    pub fn from_settings(settings: &Settings<'_>, config: &SdkConfig) -> Result<Option<Self>, SettingError> {
        let Some(queue_url) = settings.text("FALLBACK_QUEUE_URL") else { return Ok(None) };
        if !["https://", "http://"].iter().any(|scheme| queue_url.starts_with(scheme)) {
            return Err(SettingError::new("FALLBACK_QUEUE_URL", "must be the URL of a queue"));
        }
        let mut config = Config::from(config).to_builder();
        config.set_endpoint_url(settings.text("AWS_ENDPOINT_URL_SQS")).set_retry_partition(Some(retries("SQS")));
        Ok(Some(Self { client: Client::from_conf(config.build()), queue_url }))
    }

    /// The client, for tools that do more than a function may.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The queue's URL.
    #[must_use]
    pub fn queue_url(&self) -> &str {
        &self.queue_url
    }

    /// Sends the texts of a callback's envelopes, a message each, in their order and within a time. A message that was sent
    /// twice is written once.
    ///
    /// # Errors
    ///
    /// Where one of them is not, or not surely, in the queue.
    pub async fn send(&self, texts: &[String], within: Duration) -> Result<(), FallbackQueueError> {
        if texts.iter().any(|text| text.len() > MAX_TEXT_BYTES) {
            return Err(FallbackQueueError::TooLarge);
        }
        let send = async {
            for text in texts {
                let send = self.client.send_message().queue_url(&self.queue_url).message_body(text);
                send.send().await.map_err(CallError::from)?;
            }
            Ok(())
        };
        caught(timeout(within, send)).await.ok_or(CallError::Defect)?.map_err(|_| CallError::TimedOut)?
    }
}
