//! The time that a callback has: what is left of the sender's timeout and of the function's own time, less a margin,
//! split between the ledger and the fallback queue.

use std::time::{Duration, Instant};

/// The part of the sender's timeout that the network and API Gateway take.
const MARGIN: Duration = Duration::from_millis(400);
/// The part of the function's time that is kept for answering and for the log.
const FUNCTION_MARGIN: Duration = Duration::from_millis(100);
/// The least that a callback has, even where its sender has nearly timed out, as after a slow start: it is better stored late
/// than never.
const LEAST: Duration = Duration::from_millis(600);
/// The longest wait for the table, or for the fallback queue. OpenIM would wait longer, but its two workers wait with it.
const SHARE: Duration = Duration::from_secs(1);
/// Extra delay that guarantees that the sender has timed out.
const TOO_LATE: Duration = Duration::from_millis(100);

/// The time that one callback has.
#[derive(Clone, Copy, Debug)]
pub struct TimeBudget {
    /// When it must be answered.
    ends: Instant,
    /// When the sender has timed out, or as near to it as the function's time allows.
    given_up: Instant,
}

impl TimeBudget {
    /// The budget of a callback whose sender has waited `waited` of its timeout, in a function that has `function_left`
    /// before Lambda ends it, where that is known.
    ///
    /// Clocks can jump. If `waited` exceeds the sender's timeout, it is ignored; if `function_left` is zero, it is treated as
    /// unknown. `given_up` counts from now and ignores `waited`, so that an answer that is held back is never early.
    #[must_use]
    pub fn new(now: Instant, sender_timeout: Duration, waited: Duration, function_left: Option<Duration>) -> Self {
        let left = sender_timeout.checked_sub(waited).filter(|left| !left.is_zero()).unwrap_or(sender_timeout);
        let function_left = function_left.filter(|left| !left.is_zero()).unwrap_or(Duration::MAX);
        let function_left = function_left.saturating_sub(FUNCTION_MARGIN);
        Self {
            ends: now + left.saturating_sub(MARGIN).max(LEAST).min(function_left),
            given_up: now + (sender_timeout + TOO_LATE).min(function_left),
        }
    }

    /// A budget with no time for either store; the answer is still held back until the sender has timed out.
    #[must_use]
    pub fn none(now: Instant, sender_timeout: Duration) -> Self {
        Self { ends: now, given_up: now + sender_timeout + TOO_LATE }
    }

    /// How long the ledger may take, with its retries: five eighths. Of Tencent's 1.6 s that leaves the fallback queue 0.6 s, two
    /// attempts.
    #[must_use]
    pub fn for_ledger(&self, now: Instant) -> Duration {
        (self.left(now) * 5 / 8).min(SHARE)
    }

    /// How long the fallback queue may take.
    #[must_use]
    pub fn for_fallback_queue(&self, now: Instant) -> Duration {
        self.left(now).min(SHARE)
    }

    /// How long until the sender has given up, so that an answer is too late for it.
    #[must_use]
    pub fn until_given_up(&self, now: Instant) -> Duration {
        self.given_up.saturating_duration_since(now)
    }

    fn left(&self, now: Instant) -> Duration {
        self.ends.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::TimeBudget;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Sender's timeout, waited, function's time left; then the ledger's and the fallback queue's share and when the sender has given up.
    type Row = ([u64; 2], Option<u64>, [u64; 3]);

    #[test]
    fn what_is_left_is_split() {
        let rows: [Row; 13] = [
            // Tencent's 2 s, and OpenIM's 5.
            ([2000, 0], Some(3000), [1000, 1000, 2100]),
            ([5000, 0], Some(3000), [1000, 1000, 2900]),
            ([5000, 0], None, [1000, 1000, 5100]),
            // After a slow start.
            ([2000, 300], Some(3000), [812, 1000, 2100]),
            ([2000, 900], Some(3000), [437, 700, 2100]),
            ([2000, 1000], Some(3000), [375, 600, 2100]),
            ([2000, 1999], Some(3000), [375, 600, 2100]),
            // A clock that has jumped.
            ([2000, 2000], Some(3000), [1000, 1000, 2100]),
            ([2000, 86_400_000], Some(3000), [1000, 1000, 2100]),
            ([2000, 0], Some(0), [1000, 1000, 2100]),
            // A function that is about to be ended.
            ([2000, 0], Some(900), [500, 800, 800]),
            ([2000, 1900], Some(300), [125, 200, 200]),
            ([2000, 0], Some(100), [0, 0, 0]),
        ];
        for ([sender_timeout, waited], function_left, expected) in rows {
            let now = Instant::now();
            let budget = TimeBudget::new(now, ms(sender_timeout), ms(waited), function_left.map(ms));
            let shares = [budget.for_ledger(now), budget.for_fallback_queue(now), budget.until_given_up(now)];
            let shares = shares.map(|share| u64::try_from(share.as_millis()).unwrap());
            assert_eq!(shares, expected, "{sender_timeout} {waited} {function_left:?}");
        }
    }

    #[test]
    fn where_there_is_no_time_only_the_sender_is_waited_for() {
        let now = Instant::now();
        let budget = TimeBudget::none(now, ms(2000));
        assert_eq!([budget.for_ledger(now), budget.for_fallback_queue(now)], [ms(0), ms(0)]);
        assert_eq!(budget.until_given_up(now), ms(2100));
    }

    #[test]
    fn what_is_used_is_gone() {
        let start = Instant::now();
        let budget = TimeBudget::new(start, ms(2000), ms(0), Some(ms(3000)));
        assert_eq!(budget.for_fallback_queue(start + ms(1000)), ms(600));
        assert_eq!(budget.for_ledger(start + ms(1520)), ms(50));
        assert_eq!(budget.until_given_up(start + ms(1600)), ms(500));
        for share in [TimeBudget::for_ledger, TimeBudget::for_fallback_queue, TimeBudget::until_given_up] {
            assert_eq!(share(&budget, start + ms(2100)), ms(0));
        }
    }
}
