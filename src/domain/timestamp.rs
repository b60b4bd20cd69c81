//! Points in time as the record writes them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A day, in milliseconds.
pub const DAY_MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// A point in time, in milliseconds since 1970, between the years 2000 and 9999.
///
/// Displayed as RFC 3339 in UTC, always with milliseconds (`2022-12-09T12:40:14.123Z`), so that the text sorts as the
/// time does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct Timestamp(i64);

/// Where a writer takes the time from: the system, or a test.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Timestamp::now)
    }

    /// A clock that says what `now` does.
    #[must_use]
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// What it says now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A text that is no point in time in RFC 3339 between the years 2000 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no time in RFC 3339 (2022-12-09T12:40:14.123Z)")]
pub struct NotATimestamp;

impl Timestamp {
    /// 2000-01-01: no chat platform's event is older, and a time in seconds read as milliseconds falls before it.
    const MIN_MILLIS: i64 = 946_684_800_000;
    /// The last millisecond of the year 9999, where RFC 3339's four digits end.
    const MAX_MILLIS: i64 = 253_402_300_799_999;

    /// The time `millis` milliseconds after 1970, or `None` where that is no plausible time of an event.
    #[must_use]
    pub fn from_unix_millis(millis: i64) -> Option<Self> {
        (Self::MIN_MILLIS..=Self::MAX_MILLIS).contains(&millis).then_some(Self(millis))
    }

    /// What the clock says; a clock outside the years 2000 to 9999 reads as the nearer end.
    #[must_use]
    pub fn now() -> Self {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        Self(i64::try_from(millis).unwrap_or(i64::MAX).clamp(Self::MIN_MILLIS, Self::MAX_MILLIS))
    }

    /// The time `millis` milliseconds later, or earlier where that is negative; at most at the ends of the range.
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis).clamp(Self::MIN_MILLIS, Self::MAX_MILLIS))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn unix_millis(self) -> i64 {
        self.0
    }

    /// How long it is until `later`; nothing where that is earlier.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0 - self.0).unwrap_or(0))
    }

    /// Whole seconds since 1970 at `days` days later.
    #[must_use]
    pub fn after_days(self, days: u32) -> i64 {
        self.unix_seconds().saturating_add(i64::from(days) * 86_400)
    }

    /// The day in UTC: `2022-12-09`.
    #[must_use]
    pub fn date(self) -> String {
        self.to_string().split('T').next().unwrap_or_default().to_owned()
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.to_string()
    }
}

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    /// Reads RFC 3339, to the millisecond: in any time zone, and with or without a fraction of the second.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| NotATimestamp)?;
        let millis = i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).map_err(|_| NotATimestamp)?;
        Self::from_unix_millis(millis).ok_or(NotATimestamp)
    }
}

impl TryFrom<String> for Timestamp {
    type Error = NotATimestamp;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In range by construction; the epoch stands in for the impossible case, because a formatter must not panic.
        let date_time = OffsetDateTime::from_unix_timestamp(self.unix_seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (date, time) = (date_time.date(), date_time.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            self.0.rem_euclid(1000),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn displays_as_rfc_3339_with_milliseconds() {
        for (millis, text) in [
            (946_684_800_000, "2000-01-01T00:00:00.000Z"),
            (1_670_574_414_123, "2022-12-09T08:26:54.123Z"),
            (1_709_251_199_009, "2024-02-29T23:59:59.009Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_unix_millis(millis).unwrap().to_string(), text);
        }
    }

    #[test]
    fn implausible_times_are_none() {
        for millis in [i64::MIN, -1, 0, 1_715_049_600, 946_684_799_999, 253_402_300_800_000, i64::MAX] {
            assert_eq!(Timestamp::from_unix_millis(millis), None, "{millis}");
        }
    }

    #[test]
    fn the_time_until_an_earlier_one_is_nothing() {
        let [early, late] =
            [1_670_574_414_123, 1_670_574_414_623].map(|millis| Timestamp::from_unix_millis(millis).unwrap());
        assert_eq!([early.until(late), late.until(early)].map(|until| until.as_millis()), [500, 0]);
    }

    #[test]
    fn texts_are_read_as_they_are_displayed() {
        for (text, read) in [
            ("2022-12-09T08:26:54.123Z", Some("2022-12-09T08:26:54.123Z")),
            ("2022-12-09T08:26:54Z", Some("2022-12-09T08:26:54.000Z")),
            ("2022-12-09t10:26:54.1239+02:00", Some("2022-12-09T08:26:54.123Z")),
            ("1999-12-31T23:59:59.999Z", None),
            ("2023-02-29T00:00:00Z", None),
            ("2022-12-09", None),
            ("2022-12-09T08:26:54", None),
            ("", None),
        ] {
            let timestamp: Option<Timestamp> = text.parse().ok();
            assert_eq!(timestamp.map(String::from).as_deref(), read, "{text}");
        }
    }
}
