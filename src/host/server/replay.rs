//! Writes what waits in the fallback queue, in this process: for a server without the function `replay`.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::Message;
use futures_util::future::join_all;
use tokio::time::sleep;
use tracing::{error, info};

use crate::host::server::metrics::Metrics;
use crate::ingest::replay::replay;
use crate::storage::ledger::Ledger;
use crate::storage::queue::Queue;

/// How long to wait for a message, in seconds: the most that SQS allows.
const WAIT_SECONDS: u8 = 20;
/// How long one message may take, as in the function.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause after SQS could not be read, or a message could not be written.
const PAUSE: Duration = Duration::from_secs(5);

/// The replay of a queue to a ledger.
pub(super) struct Replay {
    queue: Queue,
    ledger: Ledger,
    metrics: Arc<Metrics>,
}

impl Replay {
    pub(super) fn new(queue: Queue, ledger: Ledger, metrics: Arc<Metrics>) -> Self {
        Self { queue, ledger, metrics }
    }

    /// Replays until `stopped`. Messages that were received by then are still written.
    pub(super) async fn run(self, stopped: impl Future<Output = ()>) {
        tokio::pin!(stopped);
        loop {
            let pause = tokio::select! {
                biased;
                () = &mut stopped => return,
                received = self.queue.receive(WAIT_SECONDS) => match received {
                    Ok(messages) => !self.write(messages).await,
                    Err(error) => {
                        error!(%error, "the fallback queue cannot be read");
                        true
                    }
                },
            };
            if pause {
                tokio::select! {
                    () = &mut stopped => return,
                    () = sleep(PAUSE) => {}
                }
            }
        }
    }

    /// Writes messages, and takes those out of the queue that are in the table; whether all are. The others are hidden for the
    /// queue's visibility timeout, and then there again.
    async fn write(&self, messages: Vec<Message>) -> bool {
        let received = messages.len();
        let written = join_all(messages.into_iter().map(async |message| {
            let (id, body) = (message.message_id.unwrap_or_default(), message.body.unwrap_or_default());
            let is_written = replay(&self.ledger, &id, &body, MESSAGE_TIMEOUT).await;
            self.metrics.count_replayed(is_written);
            message.receipt_handle.filter(|_| is_written)
        }));
        let written: Vec<_> = written.await.into_iter().flatten().collect();
        let all = written.len() == received;
        if !written.is_empty() {
            // One that stays is written again, which changes nothing.
            match self.queue.delete(written).await {
                Ok(deleted) => info!(deleted, "replayed"),
                Err(error) => error!(%error, "a replayed message cannot be deleted"),
            }
        }
        all
    }
}
