//! Lambda's event source: takes messages from a queue, invokes a function with them, and deletes those that it does not
//! report as failed.

use anyhow::{Context, Result};
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::types::Message;
use serde_json::{Value, json};

use crate::queue::Queues;

/// The most messages of one invocation, as the template's `BatchSize`.
const BATCH: i32 = 10;

/// Takes one batch of messages from the fallback queue, waiting for up to a second, and hands it to `invoke`; how many there were.
pub(crate) async fn poll<F>(queues: &Queues, invoke: impl FnOnce(String) -> F) -> Result<usize>
where
    F: Future<Output = Result<String>>,
{
    let receive = queues.client.receive_message().queue_url(&queues.fallback_queue);
    let received = receive.max_number_of_messages(BATCH).wait_time_seconds(1).send().await;
    let messages = received.map_err(SdkError::into_service_error)?.messages.unwrap_or_default();
    if messages.is_empty() {
        return Ok(0);
    }
    let answer = invoke(event(&messages)).await?;
    let answer: Value = serde_json::from_str(&answer).context("the function's answer is not JSON")?;
    let failed = answer["batchItemFailures"].as_array().context("the function failed")?;
    for message in &messages {
        let id = message.message_id.as_deref();
        if !failed.iter().any(|failure| failure["itemIdentifier"].as_str() == id) {
            let delete = queues.client.delete_message().queue_url(&queues.fallback_queue);
            let delete = delete.set_receipt_handle(message.receipt_handle.clone()).send().await;
            delete.map_err(SdkError::into_service_error)?;
        }
    }
    Ok(messages.len())
}

/// The event that Lambda makes of messages.
fn event(messages: &[Message]) -> String {
    let records = messages.iter().map(|message| {
        json!({
            "messageId": message.message_id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": {},
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:fallback-queue",
            "awsRegion": "us-east-1",
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() }).to_string()
}
