//! The spill: an SQS queue, where entries wait while the ledger does not take them. The redrive takes them from there.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Config;
use aws_types::SdkConfig;
use tokio::time::timeout;

use crate::aws::CallError;
use crate::entry::Entry;
use crate::settings::Settings;

/// The queue of entries.
#[derive(Clone, Debug)]
pub struct Spill {
    client: Client,
    queue_url: String,
}

/// Why an entry is not, or not surely, in the queue. Says nothing of the entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpillError {
    /// The call failed.
    #[error("SQS {0}")]
    Call(#[from] CallError),
    /// It is larger than a message can be.
    #[error("the record is too large for a message")]
    TooLarge,
}

impl Spill {
    /// The queue of `SPILL_QUEUE_URL`; `None` where there is none.
    #[must_use]
    pub fn from_settings(settings: &Settings<'_>, config: &SdkConfig) -> Option<Self> {
        let queue_url = settings.text("SPILL_QUEUE_URL")?;
        let mut config = Config::from(config).to_builder();
        config.set_endpoint_url(settings.text("AWS_ENDPOINT_URL_SQS"));
        Some(Self { client: Client::from_conf(config.build()), queue_url })
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

    /// Sends a callback's entries, a message each, in their order and within a time. A message that was sent twice is
    /// written once.
    ///
    /// # Errors
    ///
    /// Where one of them is not, or not surely, in the queue.
    pub async fn send(&self, entries: &[Entry<'_>], within: Duration) -> Result<(), SpillError> {
        let send = async {
            for entry in entries {
                let text = entry.to_text().ok_or(SpillError::TooLarge)?;
                let send = self.client.send_message().queue_url(&self.queue_url).message_body(text);
                send.send().await.map_err(CallError::from)?;
            }
            Ok(())
        };
        timeout(within, send).await.map_err(|_| CallError::TimedOut)?
    }
}
