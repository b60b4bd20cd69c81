//! Moves the dead letters, which the replay has given up, back into the fallback queue, from where it takes them again.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

use std::env;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::types::QueueAttributeName;
use group_ledger::host::aws;
use group_ledger::settings::Settings;
use group_ledger::storage::fallback_queue::FallbackQueue;

use crate::tool::{TIMEOUTS, ended, helped};

mod tool;

const HELP: &str = "\
Moves the dead letters back into the fallback queue. Stopping it midway loses nothing: run it again.

The queues and who may use them, from the environment: DEAD_LETTER_QUEUE_URL and FALLBACK_QUEUE_URL (outputs of the
deployment), AWS_REGION and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
(`aws configure export-credentials --format env` prints them); AWS_ENDPOINT_URL_SQS for a local one. It needs
sqs:ReceiveMessage, DeleteMessage and GetQueueAttributes on the one, sqs:SendMessage on the other.";

/// Empty answers in a row that say that the queue is empty: one alone may come of a part of it.
const EMPTY_ANSWERS: u32 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if env::args().len() > 1 {
        return helped(HELP);
    }
    ended(run().await)
}

async fn run() -> Result<()> {
    let settings = Settings::from_env();
    let dead_letters = settings.required("DEAD_LETTER_QUEUE_URL")?;
    let fallback_queue = FallbackQueue::from_settings(&settings, &aws::config(&settings, TIMEOUTS)?)?;
    let fallback_queue = fallback_queue.context("FALLBACK_QUEUE_URL is not set")?;
    let (mut moved, mut empty) = (0, 0);
    while empty < EMPTY_ANSWERS {
        match move_some(fallback_queue.client(), &dead_letters, fallback_queue.queue_url()).await? {
            0 => empty += 1,
            some => {
                empty = 0;
                moved += some;
                println!("{moved} moved");
            }
        }
    }
    let in_flight = in_flight(fallback_queue.client(), &dead_letters).await?;
    println!("{moved} dead letters are back in the fallback queue; {in_flight} are left.");
    ensure!(
        in_flight == 0,
        "somebody is at {in_flight} of them, or an earlier run was stopped: run this again in a minute"
    );
    Ok(())
}

/// How many messages were received a moment ago, and cannot be received again yet.
async fn in_flight(client: &Client, queue_url: &str) -> Result<u32> {
    let name = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
    let attributes = client.get_queue_attributes().queue_url(queue_url).attribute_names(name.clone()).send().await;
    let attributes = attributes.map_err(SdkError::into_service_error).context("the dead letters cannot be counted")?;
    let count = attributes.attributes.as_ref().and_then(|attributes| attributes.get(&name)?.parse().ok());
    count.context("the queue does not say how many it holds")
}

/// Moves up to ten messages; how many.
async fn move_some(client: &Client, from: &str, to: &str) -> Result<usize> {
    let receive = client.receive_message().queue_url(from).max_number_of_messages(10).wait_time_seconds(1).send().await;
    let receive = receive.map_err(SdkError::into_service_error).context("the dead letters cannot be read")?;
    let messages = receive.messages.unwrap_or_default();
    for message in &messages {
        // In both queues rather than in none: an entry that is written twice is recorded once.
        let send = client.send_message().queue_url(to).set_message_body(message.body.clone()).send().await;
        send.map_err(SdkError::into_service_error).context("a message cannot be put into the fallback queue")?;
        let delete = client.delete_message().queue_url(from).set_receipt_handle(message.receipt_handle.clone());
        delete.send().await.map_err(SdkError::into_service_error).context("a dead letter cannot be deleted")?;
    }
    Ok(messages.len())
}
