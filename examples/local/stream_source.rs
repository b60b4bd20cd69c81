//! Lambda's event source for the table's stream: takes batches of records, filters them as the template says, invokes a function
//! with them, and goes on where the function says. A batch whose function fails is halved, down to the record that it fails for.

use std::collections::VecDeque;

use anyhow::{Context, Result, anyhow};
use dynoxide::Database;
use rustack_events_core::pattern::{EventPattern, matches, parse_event_pattern};
use serde_json::{Value, json};

use crate::template::{StreamSettings, Template};

/// Switches the stream of a table on, as the template says; where to begin with it. What a stream that is on has was handed over by
/// an earlier process.
pub(crate) fn enable(database: &Database, template: &Template, table: &str) -> Result<Start> {
    Ok(if stream(database, table)?.is_none() {
        let view = template.stream()?.view;
        let specification = json!({ "StreamEnabled": true, "StreamViewType": view });
        let update = json!({ "TableName": table, "StreamSpecification": specification });
        database.update_table(serde_json::from_value(update)?)?;
        Start::TrimHorizon
    } else {
        Start::Latest
    })
}

/// The ARN of a table's stream, where it is on.
fn stream(database: &Database, table: &str) -> Result<Option<String>> {
    let description = database.describe_table(serde_json::from_value(json!({ "TableName": table }))?)?;
    let description = serde_json::to_value(description)?;
    let is_on = description["Table"]["StreamSpecification"]["StreamEnabled"] == true;
    Ok(description["Table"]["LatestStreamArn"].as_str().filter(|_| is_on).map(str::to_owned))
}

/// Where in the stream to begin.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// With the oldest record, as the template does.
    TrimHorizon,
    /// With what is written from now on.
    Latest,
}

/// A place in a table's stream.
pub(crate) struct StreamSource {
    database: Database,
    settings: StreamSettings,
    pattern: EventPattern,
    iterator: String,
    /// What was read and is not done.
    records: VecDeque<Value>,
    /// How many records the next batch may have: fewer after a failure.
    size: usize,
    /// How often the first of them was tried.
    attempts: u64,
    /// The records that were given up, which Lambda would tell the dead-letter queue of.
    pub(crate) given_up: Vec<Value>,
}

impl StreamSource {
    /// The stream of a table, which must be on.
    pub(crate) fn open(database: Database, template: &Template, table: &str, start: Start) -> Result<Self> {
        let arn = stream(&database, table)?.context("the table's stream is off")?;
        let description = database.describe_stream(serde_json::from_value(json!({ "StreamArn": arn }))?)?;
        // The emulator's streams have one shard.
        let shard = &description.stream_description.shards.first().context("the stream has no shard")?.shard_id;
        let kind = match start {
            Start::TrimHorizon => "TRIM_HORIZON",
            Start::Latest => "LATEST",
        };
        let ask = json!({ "StreamArn": arn, "ShardId": shard, "ShardIteratorType": kind });
        let iterator = database.get_shard_iterator(serde_json::from_value(ask)?)?.shard_iterator;
        let settings = template.stream()?;
        let pattern = parse_event_pattern(&settings.filter).map_err(|error| anyhow!("the filter: {error}"))?;
        Ok(Self {
            database,
            pattern,
            iterator: iterator.context("the shard has no iterator")?,
            records: VecDeque::new(),
            size: settings.batch_size,
            attempts: 0,
            given_up: Vec::new(),
            settings,
        })
    }

    /// Whether everything that is in the stream by now is done.
    pub(crate) fn is_done(&mut self) -> Result<bool> {
        self.read()?;
        Ok(self.records.is_empty())
    }

    /// Hands the next batch to `invoke`; how many records are done by it. Nothing where there are none.
    pub(crate) async fn poll<F>(&mut self, invoke: impl FnOnce(String) -> F) -> Result<usize>
    where
        F: Future<Output = Result<String>>,
    {
        if self.records.len() < self.settings.batch_size {
            self.read()?;
        }
        let batch: Vec<&Value> = self.records.iter().take(self.size).collect();
        if batch.is_empty() {
            return Ok(0);
        }
        let (length, event) = (batch.len(), json!({ "Records": batch }).to_string());
        let answer = invoke(event).await.ok().and_then(|answer| serde_json::from_str::<Value>(&answer).ok());
        let failures = answer.as_ref().and_then(|answer| answer["batchItemFailures"].as_array());
        let Some(failures) = failures else {
            // Halving counts as no attempt.
            if length > 1 {
                self.size = length.div_ceil(2);
            } else {
                self.count_attempt();
            }
            return Ok(0);
        };
        let failed = failures.iter().filter_map(|failure| failure["itemIdentifier"].as_str());
        let place =
            |failed: &str| self.records.iter().take(length).position(|one| one["dynamodb"]["SequenceNumber"] == failed);
        // What names no record stands for the whole batch.
        let done = failed.map(|failed| place(failed).unwrap_or(0)).min().unwrap_or(length);
        self.records.drain(..done);
        self.size = (self.size * 2).min(self.settings.batch_size);
        if done == 0 {
            self.count_attempt();
        } else {
            self.attempts = 0;
        }
        Ok(done)
    }

    /// Counts an attempt at the first record, and gives it up after the last.
    fn count_attempt(&mut self) {
        self.attempts += 1;
        if self.attempts > self.settings.retries {
            self.given_up.extend(self.records.pop_front());
            self.attempts = 0;
        }
    }

    /// Reads on.
    fn read(&mut self) -> Result<()> {
        loop {
            let page = self.database.get_records(serde_json::from_value(json!({ "ShardIterator": self.iterator }))?)?;
            let is_last = page.records.is_empty();
            for record in page.records {
                let record = serde_json::to_value(record)?;
                if matches(&self.pattern, &record) {
                    self.records.push_back(record);
                }
            }
            if let Some(next) = page.next_shard_iterator {
                self.iterator = next;
            }
            if is_last || self.records.len() >= self.settings.batch_size {
                return Ok(());
            }
        }
    }
}
