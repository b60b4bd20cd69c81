//! Spans of time as `10m`, and points in time as `2h`, which is two hours ago.

use std::str::FromStr;
use std::time::Duration;

use crate::domain::timestamp::Timestamp;

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    pub(crate) fn millis(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let must = "must be a time span, as 500ms, 30s, 10m, 2h or 7d";
        let end = text.find(|char: char| !char.is_ascii_digit()).ok_or(must)?;
        let (number, unit) = text.split_at_checked(end).ok_or(must)?;
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(must),
        };
        let number: u32 = number.parse().map_err(|_| must)?;
        Ok(Self(Duration::from_millis(u64::from(number) * millis)))
    }
}

/// A point in time as the reader's parameters have it: what is a span is so long before `now`.
pub(crate) fn point(text: &str, now: Timestamp) -> String {
    text.parse().map_or_else(|_| text.to_owned(), |span: Span| now.plus_millis(-span.millis()).to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Span, point};
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn a_span_is_a_number_and_a_unit() {
        for (text, millis) in [("0s", 0), ("500ms", 500), ("90s", 90_000), ("10m", 600_000), ("2h", 7_200_000)] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
        for text in ["", "10", "m", "-1m", "1.5h", "10 m", "10min", "99999999999s", "１m"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_span_is_so_long_ago() {
        let now = Timestamp::from_unix_millis(1_670_574_414_123).unwrap();
        assert_eq!(point("2h", now), "2022-12-09T06:26:54.123Z");
        assert_eq!(point("2022-12-09T06:26:54Z", now), "2022-12-09T06:26:54Z");
    }
}
