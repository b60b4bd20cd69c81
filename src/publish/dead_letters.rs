//! The publisher's dead letters: an SQS queue of what could not be published, as the record's keys and the reason.

use aws_types::SdkConfig;
use serde::{Deserialize, Serialize};

use crate::publish::sender::DeadLetters;
use crate::settings::{SettingError, Settings};
use crate::storage::call::CallError;
use crate::storage::queue::Queue;

/// What a dead letter says. The record itself stays in the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct DeadLetter {
    /// The group's key, where the record has a readable one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_key: Option<String>,
    /// The change's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change_key: Option<String>,
    /// The record's place in the table's stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence_number: Option<String>,
    /// Why it was not published: a sentence, or EventBridge's error code.
    pub reason: String,
}

/// The queue of `PUBLISHER_DEAD_LETTER_QUEUE_URL`.
#[derive(Clone, Debug)]
pub struct DeadLetterQueue(Queue);

impl DeadLetterQueue {
    /// The queue of `PUBLISHER_DEAD_LETTER_QUEUE_URL`.
    ///
    /// # Errors
    ///
    /// If that is not set, or no URL.
    pub fn from_settings(settings: &Settings<'_>, config: &SdkConfig) -> Result<Self, SettingError> {
        let name = "PUBLISHER_DEAD_LETTER_QUEUE_URL";
        Queue::from_settings(settings, config, name)?.map(Self).ok_or(SettingError::new(name, "is not set"))
    }
}

impl DeadLetters for DeadLetterQueue {
    async fn send(&self, letter: &DeadLetter) -> Result<(), CallError> {
        // Texts by name: none of them fails.
        let body = serde_json::to_string(letter).unwrap_or_default();
        self.0.send(&body).await
    }
}
