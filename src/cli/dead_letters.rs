//! `group-ledger dead-letters`: counts the messages that the replay has given up, and moves them back into the fallback queue, from
//! where it takes them again.

use anyhow::{Context, Result, ensure};
use aws_sdk_sqs::types::QueueAttributeName;
use clap::{Subcommand, ValueHint};
use serde_json::json;

use crate::cli::connect::Place;
use crate::cli::{Session, Usage};
use crate::storage::call::CallError;
use crate::storage::queue::Queue;

/// Count the dead letters, or move them back into the fallback queue
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  group-ledger dead-letters --dead-letter-queue-url https://sqs.us-east-1.amazonaws.com/123456789012/dead-letters
  DEAD_LETTER_QUEUE_URL=… FALLBACK_QUEUE_URL=… group-ledger dead-letters redrive")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// The queue of the dead letters: the output `DeadLetterQueueUrl` of the deployment
    #[arg(long, global = true, env = "DEAD_LETTER_QUEUE_URL", hide_env_values = true, value_name = "URL", value_hint = ValueHint::Url)]
    dead_letter_queue_url: Option<String>,
    /// SQS's address, where it is not AWS's own; else AWS_ENDPOINT_URL_SQS or AWS_ENDPOINT_URL
    #[arg(long, global = true, value_name = "URL", value_hint = ValueHint::Url)]
    sqs_endpoint_url: Option<String>,
}

#[derive(Subcommand)]
enum Action {
    /// Move the dead letters back into the fallback queue, whose replay writes them
    ///
    /// Stopping it midway loses nothing: run it again.
    Redrive {
        /// The fallback queue: the output `FallbackQueueUrl` of the deployment
        #[arg(long, env = "FALLBACK_QUEUE_URL", hide_env_values = true, value_name = "URL", value_hint = ValueHint::Url)]
        fallback_queue_url: Option<String>,
    },
}

/// How many empty answers in a row mean an empty queue: SQS may answer from a subset of its servers.
const EMPTY_ANSWERS: u32 = 2;
/// How long to wait for a message, in seconds.
const WAIT_SECONDS: u8 = 1;

/// The dead letters.
struct DeadLetters {
    queue: Queue,
    place: Place,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<()> {
    let given = |url: Option<String>| url.filter(|url| !url.trim().is_empty());
    let queue_url = given(args.dead_letter_queue_url).ok_or_else(|| {
        Usage::new("no queue is named: pass --dead-letter-queue-url URL or set DEAD_LETTER_QUEUE_URL, the output DeadLetterQueueUrl")
    })?;
    let target = match args.action {
        None => None,
        Some(Action::Redrive { fallback_queue_url }) => Some(given(fallback_queue_url).ok_or_else(|| {
            Usage::new("no fallback queue is named: pass --fallback-queue-url URL or set FALLBACK_QUEUE_URL, the output FallbackQueueUrl")
        })?),
    };
    let (queue, place) = session.options.queue(&queue_url, args.sqs_endpoint_url.clone()).await?;
    let dead_letters = DeadLetters { queue, place };
    let Some(fallback_queue_url) = target else { return dead_letters.count(session).await };
    let (fallback_queue, _) = session.options.queue(&fallback_queue_url, args.sqs_endpoint_url).await?;
    dead_letters.redrive(&fallback_queue, session).await
}

impl DeadLetters {
    /// Says how many there are.
    async fn count(&self, session: &mut Session) -> Result<()> {
        let waiting = self.attribute(QueueAttributeName::ApproximateNumberOfMessages).await?;
        let in_flight = self.attribute(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await?;
        if session.options.json {
            return session.output.json(&json!({ "dead_letters": waiting, "in_flight": in_flight }));
        }
        session.output.line(format!("{waiting} dead letters, {in_flight} in flight."))
    }

    /// Moves them all.
    async fn redrive(&self, fallback_queue: &Queue, session: &mut Session) -> Result<()> {
        let (mut moved, mut empty) = (0, 0);
        while empty < EMPTY_ANSWERS {
            match self.move_some(fallback_queue).await? {
                0 => empty += 1,
                some => {
                    empty = 0;
                    moved += some;
                    if !session.options.json {
                        session.output.line(format!("{moved} moved"))?;
                    }
                }
            }
        }
        let in_flight = self.attribute(QueueAttributeName::ApproximateNumberOfMessagesNotVisible).await?;
        if session.options.json {
            session.output.json(&json!({ "moved": moved, "in_flight": in_flight }))?;
        } else {
            session
                .output
                .line(format!("{moved} dead letters are back in the fallback queue; {in_flight} are left."))?;
        }
        ensure!(in_flight == 0, "{in_flight} are still in flight: run this again in a minute");
        Ok(())
    }

    /// A numeric attribute of the queue.
    async fn attribute(&self, name: QueueAttributeName) -> Result<u32> {
        let get = self.queue.client().get_queue_attributes().queue_url(self.queue.url()).attribute_names(name.clone());
        let attributes =
            get.send().await.map_err(|error| self.failed(&error.into(), "the dead letters cannot be counted"))?;
        let count = attributes.attributes.as_ref().and_then(|attributes| attributes.get(&name)?.parse().ok());
        count.context("the queue does not say how many it holds")
    }

    /// Moves up to ten messages, and returns how many.
    async fn move_some(&self, to: &Queue) -> Result<usize> {
        let messages = self.queue.receive(WAIT_SECONDS).await;
        let messages = messages.map_err(|error| self.failed(&error, "the dead letters cannot be read"))?;
        for message in &messages {
            // Send before delete: a message in both queues is recorded once, a message in neither is lost.
            let sent = to.send(message.body().unwrap_or_default()).await;
            sent.map_err(|error| self.failed(&error, "a message cannot be put into the fallback queue"))?;
            let deleted = self.queue.delete(message.receipt_handle.clone()).await;
            let deleted = deleted.map_err(|error| self.failed(&error, "a dead letter cannot be deleted"))?;
            ensure!(deleted == 1, "a dead letter was moved and cannot be deleted: run this again");
        }
        Ok(messages.len())
    }

    fn failed(&self, error: &CallError, what: &'static str) -> anyhow::Error {
        self.place.failed("SQS", error).context(what)
    }
}
