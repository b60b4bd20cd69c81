//! The feed: every record in the order of writing.
//!
//! A record's place in the feed is its write time, the beginning of its digest and its request id, as text: the order of the texts
//! is the order of the times. Each day has eight shards, which share the writes, because DynamoDB takes 1,000 write units a second for a partition of the index.

use crate::domain::record::cut;
use crate::domain::timestamp::Timestamp;

/// How many partitions the feed has a day.
pub const SHARDS: u8 = 8;

/// The longest place, in bytes.
const MAX_PLACE_BYTES: usize = 200;

/// A record's place in the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The partition: `{YYYY-MM-DD}#{0..7}`.
    pub feed_key: String,
    /// The place: `{recorded_at}#{first 16 hex digits of the digest}#{request id}`, at most 200 bytes.
    pub feed_at: String,
}

impl Stamp {
    /// The place of a record that is written at `recorded_at`, by the writer's clock.
    #[must_use]
    pub fn new(recorded_at: Timestamp, digest: &str, request_id: &str) -> Self {
        let shard = digest.chars().next().and_then(|digit| digit.to_digit(16)).unwrap_or(0) % u32::from(SHARDS);
        let place = format!("{recorded_at}#{}#{request_id}", cut(digest, 16));
        Self { feed_key: format!("{}#{shard}", recorded_at.date()), feed_at: cut(&place, MAX_PLACE_BYTES).to_owned() }
    }
}

/// The partitions of a day (`YYYY-MM-DD`).
pub fn partitions(day: &str) -> impl Iterator<Item = String> {
    (0..SHARDS).map(move |shard| format!("{day}#{shard}"))
}

/// When the record at a place was written; `None` of what is no place: places sort only in the form in which they are written.
#[must_use]
pub fn recorded_at(place: &str) -> Option<Timestamp> {
    let text = place.split('#').next().filter(|_| place.len() <= MAX_PLACE_BYTES)?;
    text.parse().ok().filter(|time: &Timestamp| time.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::{SHARDS, Stamp, partitions, recorded_at};
    use crate::domain::timestamp::Timestamp;

    fn time(millis: i64) -> Timestamp {
        Timestamp::from_unix_millis(millis).unwrap()
    }

    #[test]
    fn a_place_says_when_and_sorts_as_the_time_does() {
        let [early, late] = [1_670_574_414_123, 1_670_574_414_124].map(|millis| Stamp::new(time(millis), "5a8c", "r"));
        assert_eq!(early.feed_at, "2022-12-09T08:26:54.123Z#5a8c#r");
        assert_eq!(early.feed_key, "2022-12-09#5");
        assert!(early.feed_at < late.feed_at);
        assert_eq!(recorded_at(&late.feed_at), Some(time(1_670_574_414_124)));
        for no_place in ["x#y", "", "2022-12-09T08:26:54Z#5a8c#r", "2022-12-09T10:26:54.123+02:00#5a8c#r"] {
            assert_eq!(recorded_at(no_place), None, "{no_place}");
        }
        assert_eq!(recorded_at(&format!("{}{}", early.feed_at, "r".repeat(200))), None);
    }

    #[test]
    fn a_place_is_at_most_200_bytes_and_a_whole_text() {
        for request_id in ["r".repeat(158), "r".repeat(159), "群".repeat(100)] {
            let stamp = Stamp::new(time(1_670_574_414_123), &"f".repeat(64), &request_id);
            assert!((198..=200).contains(&stamp.feed_at.len()), "{}", stamp.feed_at.len());
        }
    }

    #[test]
    fn every_digest_has_one_of_the_days_partitions() {
        let day: Vec<String> = partitions("2022-12-09").collect();
        assert_eq!(day.len(), usize::from(SHARDS));
        for digest in ["0", "7", "8", "f", "", "x"] {
            let stamp = Stamp::new(time(1_670_574_414_123), digest, "");
            assert!(day.contains(&stamp.feed_key), "{digest}: {}", stamp.feed_key);
        }
    }
}
