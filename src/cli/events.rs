//! `group-ledger events`: shows the events that a rule sends to a queue, and takes them out of it.

use anyhow::{Context, Result};
use aws_sdk_sqs::types::Message;
use clap::ValueHint;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::connect::is_local;
use crate::cli::{Session, Usage, human};

/// How long to wait for a message, in seconds: the most that SQS allows.
const WAIT_SECONDS: u8 = 20;
/// How long to wait where an empty queue ends it.
const SHORT_WAIT_SECONDS: u8 = 1;

/// Show the events that a rule sends to a queue, until Ctrl-C
///
/// They are taken out of the queue, which is a rule's target, as in docs/publishing.md: whoever else reads it misses these. With
/// --json a line is the whole event as EventBridge wrote it.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  group-ledger events --queue-url http://127.0.0.1:9324/000000000000/events
  group-ledger events --queue-url https://sqs.us-east-1.amazonaws.com/123456789012/group-changes --json
  EVENTS_QUEUE_URL=… group-ledger events --until-empty --keep")]
pub(crate) struct Args {
    /// The queue
    #[arg(long, env = "EVENTS_QUEUE_URL", hide_env_values = true, value_name = "URL", value_hint = ValueHint::Url)]
    queue_url: Option<String>,
    /// SQS's address, where it is not AWS's own; else AWS_ENDPOINT_URL_SQS, AWS_ENDPOINT_URL, or for a queue of this machine its own
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    sqs_endpoint_url: Option<String>,
    /// End when the queue is empty
    #[arg(long)]
    until_empty: bool,
    /// Leave the messages in the queue: they are hidden for its visibility timeout, and then there again
    #[arg(long)]
    keep: bool,
}

/// What of an event is shown.
#[derive(Deserialize)]
struct Event<'e> {
    #[serde(borrow)]
    detail: &'e RawValue,
}

pub(crate) async fn run(args: Args, session: &mut Session) -> Result<()> {
    let queue_url = args.queue_url.filter(|url| !url.trim().is_empty());
    let queue_url = queue_url.ok_or_else(|| {
        Usage::new(
            "no queue is named: pass --queue-url URL or set EVENTS_QUEUE_URL; for `make run`, \
             http://127.0.0.1:9324/000000000000/events",
        )
    })?;
    let own_endpoint = || origin(&queue_url).filter(|url| is_local(url));
    let (queue, place) = session.options.queue(&queue_url, args.sqs_endpoint_url.or_else(own_endpoint)).await?;
    let wait = if args.until_empty { SHORT_WAIT_SECONDS } else { WAIT_SECONDS };
    loop {
        let messages = queue.receive(wait).await;
        let messages = messages.map_err(|error| place.failed("SQS", &error).context("the events cannot be read"))?;
        if messages.is_empty() && args.until_empty {
            return Ok(());
        }
        let mut lines = Vec::new();
        for message in &messages {
            lines.push(line(message, session)?);
        }
        session.output.lines(lines)?;
        if args.keep || messages.is_empty() {
            continue;
        }
        // What was shown and could not be deleted is shown again.
        let deleted = queue.delete(messages.into_iter().filter_map(|message| message.receipt_handle)).await;
        deleted.map_err(|error| place.failed("SQS", &error).context("an event cannot be deleted"))?;
    }
}

/// A message's line.
fn line(message: &Message, session: &Session) -> Result<String> {
    let body = message.body().unwrap_or_default();
    if session.options.json {
        // A line each, however the body is written.
        let event: &RawValue = serde_json::from_str(body).context("a message is not JSON: is it a queue of events?")?;
        return Ok(event.get().replace(['\n', '\r'], " "));
    }
    let event: Event<'_> = serde_json::from_str(body)
        .context("a message is not an event: is it the queue of a rule without input transformer?")?;
    human::line(&session.output, event.detail.get(), true)
}

/// Where a URL's service is: scheme, host and port.
fn origin(url: &str) -> Option<String> {
    let url: http::Uri = url.parse().ok()?;
    Some(format!("{}://{}", url.scheme_str()?, url.authority()?))
}
