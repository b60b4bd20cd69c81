//! Sends events in the order of writing within each group, as seen at the call.
//!
//! EventBridge accepts and rejects each entry of a request by itself. So no request has two events of one group, and a group's next
//! event is sent only after the one before it is on the bus or among the dead letters. Events of different groups share requests.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, warn};

use crate::publish::dead_letters::DeadLetter;
use crate::publish::event::{Event, MAX_REQUEST_BYTES};
use crate::storage::call::CallError;

/// The most entries of a request.
/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>
pub const MAX_ENTRIES: usize = 10;
/// The first wait after a failure, and the longest.
const WAITS: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(5)];

/// What became of one event of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is on the bus.
    Accepted,
    /// It is not, or not surely; the same event may succeed later. With a code.
    Failed(String),
    /// The bus rejects it for its content, and would again. With a code.
    Rejected(String),
    /// The bus rejects it whatever its content. With a code.
    Denied(String),
    /// The bus rejects the request for one of its events, without saying which. With a code.
    RejectedTogether(String),
}

/// Where events go: EventBridge, or a test's.
pub trait Bus: Sync {
    /// Puts at most [`MAX_ENTRIES`] events: an outcome each, or why there is none.
    fn put(&self, events: &[&Event]) -> impl Future<Output = Result<Vec<Put>, CallError>> + Send;
}

/// Where what cannot be published goes.
pub trait DeadLetters: Sync {
    /// Puts it there durably.
    fn send(&self, letter: &DeadLetter) -> impl Future<Output = Result<(), CallError>> + Send;
}

/// What is to be sent: an event, and where it stands in the stream.
#[derive(Clone, Debug)]
pub struct Pending {
    /// The event.
    pub event: Event,
    /// The record's place in the table's stream.
    pub sequence_number: Option<String>,
}

/// How far a sending came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// How many events are on the bus.
    pub published: usize,
    /// How many are among the dead letters.
    pub rejected: usize,
    /// The position of the first that is neither.
    pub first_left: Option<usize>,
    /// The last failure's code or sentence, where something failed.
    pub failure: Option<String>,
}

/// Sends events, by their positions, until all are on the bus or among the dead letters, or until `ends`. What fails meanwhile is
/// tried again.
pub async fn send(
    bus: &impl Bus,
    dead_letters: &impl DeadLetters,
    events: BTreeMap<usize, Pending>,
    ends: Instant,
) -> Sent {
    let mut sending = Sending { waiting: events, held: HashSet::new(), alone: HashSet::new(), sent: Sent::default() };
    let [mut wait, longest] = WAITS;
    while !sending.waiting.is_empty() && Instant::now() < ends {
        let request = sending.next_request();
        let Ok(has_progressed) = timeout_at(ends, sending.put(bus, dead_letters, &request)).await else { break };
        if has_progressed {
            [wait, _] = WAITS;
        }
        // Other groups go first, unless nothing gets through.
        if !has_progressed || sending.is_all_held() {
            if sending.held.is_empty() {
                continue;
            }
            let until = (Instant::now() + wait).min(ends);
            sleep(until.saturating_duration_since(Instant::now())).await;
            wait = (wait * 2).min(longest);
            sending.held.clear();
        }
    }
    sending.sent.first_left = sending.waiting.keys().next().copied();
    sending.sent
}

struct Sending {
    waiting: BTreeMap<usize, Pending>,
    /// The groups whose next event failed a moment ago.
    held: HashSet<String>,
    /// The positions of events that are sent in a request of their own, because one with others was rejected.
    alone: HashSet<usize>,
    sent: Sent,
}

impl Sending {
    /// Whether every group that waits is held.
    fn is_all_held(&self) -> bool {
        self.waiting.values().all(|pending| self.held.contains(&pending.event.change().group_key))
    }

    /// The positions of the next request's events: in order, of groups that are not held, one of each, as many as fit.
    fn next_request(&self) -> Vec<usize> {
        let (mut request, mut groups, mut bytes) = (Vec::new(), HashSet::new(), 0);
        for (position, Pending { event, .. }) in &self.waiting {
            let group = event.change().group_key.as_str();
            if self.held.contains(group) || !groups.insert(group) {
                continue;
            }
            bytes += event.size();
            let is_alone = self.alone.contains(position);
            if !request.is_empty() && (bytes > MAX_REQUEST_BYTES || is_alone) {
                break;
            }
            request.push(*position);
            if request.len() == MAX_ENTRIES || is_alone {
                break;
            }
        }
        request
    }

    /// Puts a request's events; whether any of them needs no further care.
    async fn put(&mut self, bus: &impl Bus, dead_letters: &impl DeadLetters, request: &[usize]) -> bool {
        let events: Vec<&Event> = request.iter().filter_map(|at| Some(&self.waiting.get(at)?.event)).collect();
        let outcomes = match bus.put(&events).await {
            Ok(mut outcomes) => {
                outcomes.resize(events.len(), Put::Failed("no result".to_owned()));
                outcomes
            }
            Err(error) => {
                warn!(%error, entries = events.len(), "events cannot be put on the bus");
                vec![Put::Failed(error.to_string()); events.len()]
            }
        };
        let mut has_progressed = false;
        for (position, outcome) in request.iter().zip(outcomes) {
            match outcome {
                Put::Accepted => {
                    self.waiting.remove(position);
                    self.sent.published += 1;
                    has_progressed = true;
                }
                Put::Failed(code) => self.hold(*position, code),
                Put::RejectedTogether(_) if request.len() > 1 => {
                    self.alone.insert(*position);
                    has_progressed = true;
                }
                Put::Rejected(_) | Put::RejectedTogether(_) if self.reduce(*position) => has_progressed = true,
                Put::Rejected(code) | Put::RejectedTogether(code) | Put::Denied(code) => {
                    has_progressed |= self.reject(dead_letters, *position, code).await;
                }
            }
        }
        has_progressed
    }

    /// Lets the group's events wait until others were sent.
    fn hold(&mut self, position: usize, code: String) {
        if let Some(pending) = self.waiting.get(&position) {
            self.held.insert(pending.event.change().group_key.clone());
        }
        self.sent.failure = Some(code);
    }

    /// Lets an event be sent again without its `change`; whether it had one.
    fn reduce(&mut self, position: usize) -> bool {
        let Some(pending) = self.waiting.get_mut(&position) else { return false };
        let Some(reduced) = pending.event.reduced() else { return false };
        pending.event = reduced;
        true
    }

    /// Makes a rejected event a dead letter; whether that is done.
    async fn reject(&mut self, dead_letters: &impl DeadLetters, position: usize, code: String) -> bool {
        let Some(pending) = self.waiting.get(&position) else { return false };
        let change = pending.event.change();
        let letter = DeadLetter {
            group_key: Some(change.group_key.clone()),
            change_key: Some(change.change_key.clone()),
            sequence_number: pending.sequence_number.clone(),
            reason: code,
        };
        match dead_letters.send(&letter).await {
            Ok(()) => {
                error!(sequence_number = letter.sequence_number, code = letter.reason, "not published");
                self.waiting.remove(&position);
                self.sent.rejected += 1;
                true
            }
            Err(error) => {
                warn!(%error, "a dead letter cannot be sent");
                self.hold(position, error.to_string());
                false
            }
        }
    }
}
