//! The publisher: takes a batch of the table's stream to the event bus.
//!
//! A record is done once it is on the bus, or among the dead letters, or found to be none. Lambda is told the first that is not done
//! and hands it over again with everything after it, so that each record arrives at least once. Consumers recognise duplicates by
//! (`group_key`, `change_key`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::domain::timestamp::Timestamp;
use crate::panics::caught;
use crate::publish::bus::EventBus;
use crate::publish::dead_letters::DeadLetterQueue;
use crate::publish::event::Event;
use crate::publish::sender::{Bus, DeadLetters, Pending, Sent, send};
use crate::publish::stream::{Batch, BatchResponse, StreamRecord, dead_letter, read, sequence_number};
use crate::reading::records;
use crate::settings::{SettingError, Settings};
use crate::storage::call::CallError;
use crate::storage::ledger::Ledger;
use crate::storage::read::ReadError;

/// The publisher: the table, for bodies that no item could hold, the bus and the dead letters.
#[derive(Clone, Debug)]
pub struct Publisher<B = EventBus, D = DeadLetterQueue> {
    ledger: Ledger,
    bus: B,
    dead_letters: D,
}

/// What a record of the stream comes to.
enum Read {
    /// An event.
    Event(Box<Event>),
    /// No record of the ledger's, or none that is new.
    Other,
    /// It can never be read: why.
    Unreadable(&'static str),
    /// It cannot be read now.
    NotNow(CallError),
}

impl Publisher {
    /// The publisher that the settings describe.
    ///
    /// # Errors
    ///
    /// If a setting is missing or wrong.
    pub fn from_settings(settings: &Settings<'_>, config: &aws_types::SdkConfig) -> Result<Self, SettingError> {
        Ok(Self {
            ledger: Ledger::from_settings(settings, config)?,
            bus: EventBus::from_settings(settings, config)?,
            dead_letters: DeadLetterQueue::from_settings(settings, config)?,
        })
    }
}

impl<B: Bus, D: DeadLetters> Publisher<B, D> {
    /// A publisher of these parts.
    pub fn new(ledger: Ledger, bus: B, dead_letters: D) -> Self {
        Self { ledger, bus, dead_letters }
    }

    /// Publishes a batch's records within a time, and returns where Lambda is to begin again.
    pub async fn publish(&self, batch: Batch, within: Duration) -> BatchResponse {
        let (reading_ends, ends) = (Instant::now() + within / 2, Instant::now() + within);
        let Some(records) = batch.records() else {
            error!("the event is not a batch of a stream");
            return BatchResponse::begin_again_at(String::new());
        };
        let (mut events, mut first_left, mut rejected, mut other, mut recorded_at) =
            (BTreeMap::new(), None, 0, 0, None);
        for (position, record) in records.iter().enumerate() {
            // What was read must still be sent.
            let Ok(read) = timeout_at(reading_ends, self.read_or_give_up(record)).await else {
                warn!("reading takes too long");
                first_left = Some(position);
                break;
            };
            match read {
                Read::Event(event) => {
                    recorded_at = recorded_at.or(event.change().recorded_at);
                    let pending = Pending { event: *event, sequence_number: sequence_number(record) };
                    events.insert(position, pending);
                }
                Read::Other => other += 1,
                Read::Unreadable(_) => rejected += 1,
                Read::NotNow(error) => {
                    warn!(%error, "a record cannot be read now");
                    first_left = Some(position);
                    break;
                }
            }
        }
        let sent = send(&self.bus, &self.dead_letters, events, ends).await;
        let Sent { published, rejected: rejected_by_bus, failure, .. } = &sent;
        let first_left = sent.first_left.into_iter().chain(first_left).min();
        // From the write of the batch's first record until all of the batch was sent.
        let lag_ms = recorded_at.map(|at| u64::try_from(at.until(Timestamp::now()).as_millis()).unwrap_or(u64::MAX));
        let (records_left, rejected) = (first_left.map(|first| records.len() - first), rejected + rejected_by_bus);
        info!(published, rejected, other, records_left, failure, lag_ms, "publish");
        match first_left {
            None => BatchResponse::default(),
            Some(first) => BatchResponse::begin_again_at(
                records.get(first).and_then(|record| sequence_number(record)).unwrap_or_default(),
            ),
        }
    }

    /// Reads a record. What can never be read becomes a dead letter.
    async fn read_or_give_up(&self, record: &RawValue) -> Read {
        let reason = match caught(self.read(record)).await {
            Some(Read::Unreadable(reason)) => reason,
            Some(read) => return read,
            None => "the record met a defect",
        };
        let letter = dead_letter(record, reason);
        match self.dead_letters.send(&letter).await {
            Ok(()) => {
                error!(sequence_number = letter.sequence_number, reason, "not published");
                Read::Unreadable(reason)
            }
            Err(error) => Read::NotNow(error),
        }
    }

    async fn read(&self, record: &RawValue) -> Read {
        match read(record) {
            StreamRecord::Other => Read::Other,
            StreamRecord::Unreadable => Read::Unreadable("the stream's record cannot be read"),
            StreamRecord::New(item) => match records::change_of_image(&self.ledger, item).await {
                Ok(change) => Read::Event(Box::new(Event::new(change))),
                Err(ReadError::Call(error)) => Read::NotNow(error),
                Err(_) => Read::Unreadable("the item is not a record of the ledger"),
            },
        }
    }
}
