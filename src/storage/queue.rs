//! An SQS queue, for whoever sends to it or reads it.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::Config;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message};
use aws_types::SdkConfig;

use crate::settings::{SettingError, Settings};
use crate::storage::call::{CallError, retries};

/// How long SQS may take to answer, besides what it waits for messages.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// One queue.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    /// The queue whose URL a setting has; `None` where it is not set. `AWS_ENDPOINT_URL_SQS` is where SQS is, if not at AWS.
    ///
    /// # Errors
    ///
    /// If the setting is no URL.
    pub fn from_settings(
        settings: &Settings<'_>,
        config: &SdkConfig,
        name: &'static str,
    ) -> Result<Option<Self>, SettingError> {
        let Some(url) = settings.text(name) else { return Ok(None) };
        if !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(SettingError::new(name, "must be the URL of a queue"));
        }
        let mut config = Config::from(config).to_builder();
        config.set_endpoint_url(settings.text("AWS_ENDPOINT_URL_SQS")).set_retry_partition(Some(retries("SQS")));
        Ok(Some(Self { client: Client::from_conf(config.build()), url }))
    }

    /// The client, for tools that do more than a function may.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// If it is not, or not surely, in the queue.
    pub async fn send(&self, body: &str) -> Result<(), CallError> {
        self.client.send_message().queue_url(&self.url).message_body(body).send().await?;
        Ok(())
    }

    /// Receives up to ten messages, and waits for one for so many seconds: 20 at most.
    ///
    /// # Errors
    ///
    /// If the queue cannot be read.
    pub async fn receive(&self, wait_seconds: u8) -> Result<Vec<Message>, CallError> {
        let timeout = RECEIVE_TIMEOUT + Duration::from_secs(wait_seconds.into());
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(timeout).build();
        let receive = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10);
        let receive = receive.wait_time_seconds(wait_seconds.into()).customize();
        let received = receive.config_override(Config::builder().timeout_config(timeouts)).send().await?;
        Ok(received.messages.unwrap_or_default())
    }

    /// Deletes up to ten messages that were received, by their receipt handles; how many of them are deleted.
    ///
    /// # Errors
    ///
    /// If SQS rejects the request, or does not answer.
    pub async fn delete(&self, receipts: impl IntoIterator<Item = String>) -> Result<usize, CallError> {
        let entry = |(number, receipt): (usize, String)| {
            // Both required fields are set, so that `build` does not fail.
            DeleteMessageBatchRequestEntry::builder().id(number.to_string()).receipt_handle(receipt).build().ok()
        };
        let entries: Vec<_> = receipts.into_iter().enumerate().filter_map(entry).collect();
        if entries.is_empty() {
            return Ok(0);
        }
        let delete = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries));
        Ok(delete.send().await?.successful.len())
    }
}
