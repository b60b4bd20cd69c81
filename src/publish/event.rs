//! An event: a change as EventBridge is given it, and its size as EventBridge counts it.

use serde::Serialize;

use crate::reading::change::Change;
use crate::reading::format::json;

/// The `source` of every event.
pub const SOURCE: &str = "group-ledger";

/// The most bytes of the entries of one request, and so of one entry: a megabyte since January 2026, here the smaller of its two
/// readings.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>
pub const MAX_REQUEST_BYTES: usize = 1_000_000;

/// What EventBridge's own JSON around an entry may take.
const ENVELOPE_BYTES: usize = 512;
/// What EventBridge counts for a time.
const TIME_BYTES: usize = 14;

/// One event.
#[derive(Clone, Debug)]
pub struct Event {
    change: Change,
    omitted: Option<Omitted>,
    detail: String,
}

/// Why an event is without `change`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Omitted {
    /// With it the event would be larger than EventBridge takes.
    TooLarge,
    /// EventBridge rejected the event with it.
    Rejected,
    /// The record has none, and its body cannot be read or decoded.
    Unavailable,
}

#[derive(Serialize)]
struct Detail<'c> {
    #[serde(flatten)]
    change: &'c Change,
    #[serde(skip_serializing_if = "Option::is_none")]
    change_omitted: Option<Omitted>,
}

impl Event {
    /// The event of a change; without its `change` where it would be too large.
    #[must_use]
    pub fn new(change: Change) -> Self {
        let omitted = change.change.is_none().then_some(Omitted::Unavailable);
        let event = Self::with(change, omitted);
        if event.size() > MAX_REQUEST_BYTES && event.omitted.is_none() {
            return Self::without(event.change, Omitted::TooLarge);
        }
        event
    }

    fn with(change: Change, omitted: Option<Omitted>) -> Self {
        let detail = json(&Detail { change: &change, change_omitted: omitted });
        Self { change, omitted, detail }
    }

    fn without(change: Change, reason: Omitted) -> Self {
        Self::with(Change { change: None, ..change }, Some(reason))
    }

    /// The same event without `change`, after EventBridge rejected it; none where it has none.
    #[must_use]
    pub fn reduced(&self) -> Option<Self> {
        self.omitted.is_none().then(|| Self::without(self.change.clone(), Omitted::Rejected))
    }

    /// Its `detail`: the change as the reader's API tells it.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The change it tells.
    #[must_use]
    pub fn change(&self) -> &Change {
        &self.change
    }

    /// Why it is without `change`.
    #[must_use]
    pub fn omitted(&self) -> Option<Omitted> {
        self.omitted
    }

    /// Its bytes, as EventBridge counts them, and those of what EventBridge puts around it.
    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html>
    #[must_use]
    pub fn size(&self) -> usize {
        let own = [SOURCE, &self.change.kind, &self.change.group_key, &self.detail].map(str::len);
        own.iter().sum::<usize>() + TIME_BYTES + ENVELOPE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::{ENVELOPE_BYTES, Event, MAX_REQUEST_BYTES, Omitted};
    use crate::domain::change::Detail;
    use crate::domain::timestamp::Timestamp;
    use crate::reading::change::{Change, Plain};
    use crate::storage::item::HeadItem;

    fn change(details: Option<Plain>) -> Change {
        let time = Timestamp::from_unix_millis(1_670_574_414_123).unwrap();
        let head = HeadItem {
            group_key: "openim#openim#g".into(),
            change_key: "2022-12-09T08:26:54.123Z#0".into(),
            platform: "openim".into(),
            app_id: "openim".into(),
            group_id: "g".into(),
            kind: "group.info_changed".into(),
            occurred_at: time,
            received_at: time,
            operator: None,
            group_type: None,
            feed_key: None,
            feed_at: None,
        };
        Change { change: details, ..Change::of_head(head) }
    }

    fn named(bytes: usize) -> Event {
        let details = vec![("name".into(), Detail::Text("n".repeat(bytes).into()))];
        Event::new(change(Some(Plain(details))))
    }

    #[test]
    fn an_event_that_would_be_too_large_goes_without_its_change_and_says_so() {
        let rest = named(0).size();
        for (bytes, omitted) in
            [(0, None), (MAX_REQUEST_BYTES - rest, None), (MAX_REQUEST_BYTES - rest + 1, Some(Omitted::TooLarge))]
        {
            let event = named(bytes);
            assert_eq!(event.omitted(), omitted, "{bytes}");
            assert!(event.size() <= MAX_REQUEST_BYTES, "{bytes}");
            assert_eq!(event.detail().contains(r#""change_omitted":"too_large""#), omitted.is_some(), "{bytes}");
            assert_eq!(event.detail().contains(r#""change":"#), omitted.is_none(), "{bytes}");
        }
    }

    #[test]
    fn an_event_is_reduced_once() {
        let reduced = named(1).reduced().unwrap();
        assert_eq!(reduced.omitted(), Some(Omitted::Rejected));
        assert!(reduced.detail().ends_with(r#""change_omitted":"rejected"}"#), "{}", reduced.detail());
        assert!(reduced.reduced().is_none());
        let bare = Event::new(change(None));
        assert_eq!(bare.omitted(), Some(Omitted::Unavailable));
        assert!(bare.reduced().is_none());
    }

    #[test]
    fn a_size_is_counted_as_eventbridge_counts_it() {
        let event = named(3);
        let counted = 14 + "group-ledger".len() + "group.info_changed".len() + "openim#openim#g".len();
        assert_eq!(event.size(), counted + event.detail().len() + ENVELOPE_BYTES);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let details = vec![("quota".into(), Detail::Number("1.10".to_owned()))];
        let event = Event::new(change(Some(Plain(details))));
        assert!(event.detail().contains(r#""change":{"quota":1.10}"#), "{}", event.detail());
    }
}
