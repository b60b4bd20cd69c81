//! The circuit breaker in front of a service: leaves it alone after it failed, so that a sender does not wait for each
//! callback until a timeout. Closed: writes pass, except for groups that were throttled. Open: none passes. Half-open, after 5 s:
//! one passes as a trial.
//!
//! DynamoDB throttles a partition (1,000 write units a second) as well as a table. One hot group must not keep the others
//! from the table, so a throttled write opens the breaker of its own group; several at once open it for all.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long it stays open.
const OPEN_FOR: Duration = Duration::from_secs(5);
/// How long a callback that tries has until another one may. Longer than a write may take.
const TRIAL: Duration = Duration::from_secs(2);
/// Without a reason from DynamoDB, this many groups throttled within 10 s count as a throttled table.
const MANY_GROUPS: usize = 4;
/// The most groups that are remembered; this many count as a throttled table, whatever DynamoDB says.
const MAX_GROUPS: usize = 1_000;

/// What a failed write means for the next ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The service or the table does not take writes.
    Service,
    /// DynamoDB throttled the write, and does not say whether the group's partition or the table is the reason.
    Throttled,
    /// DynamoDB throttled the group's partition.
    PartitionThrottled,
    /// The service answered, and rejected this write for what it is.
    Request,
    /// Nothing: the write had too little time, or met a defect of ours.
    Nothing,
}

/// A circuit breaker for all groups and for each.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug)]
enum State {
    /// For all but the groups that were throttled: until when the breaker of each is open.
    Closed(HashMap<String, Instant>),
    /// For all groups, until then.
    Open(Instant),
}

impl Default for State {
    fn default() -> Self {
        Self::Closed(HashMap::new())
    }
}

impl Breaker {
    /// Whether a write of `group` may be tried. Where the time is over, one write tries for the others.
    pub fn admits(&self, group: &str, now: Instant) -> bool {
        let mut state = self.state();
        let until = match &mut *state {
            State::Closed(groups) => groups.get_mut(group),
            State::Open(until) => Some(until),
        };
        match until {
            Some(until) if now < *until => false,
            Some(until) => {
                *until = now + TRIAL;
                true
            }
            None => true,
        }
    }

    /// A write of `group` succeeded.
    pub fn succeeded(&self, group: &str) {
        match &mut *self.state() {
            State::Closed(groups) => drop(groups.remove(group)),
            open @ State::Open(_) => *open = State::default(),
        }
    }

    /// A write of `group` failed.
    pub fn failed(&self, failure: Failure, group: &str, now: Instant) {
        let max_groups = match failure {
            Failure::Service => 0,
            Failure::Throttled => MANY_GROUPS,
            Failure::PartitionThrottled => MAX_GROUPS,
            Failure::Request => return self.succeeded(group),
            Failure::Nothing => return,
        };
        let mut state = self.state();
        // A throttled trial shows that the table answers, for other groups at least.
        let mut groups = if let State::Closed(groups) = &mut *state { mem::take(groups) } else { HashMap::new() };
        groups.retain(|_, until| *until + OPEN_FOR > now);
        groups.insert(group.to_owned(), now + OPEN_FOR);
        *state = if groups.len() < max_groups { State::Closed(groups) } else { State::Open(now + OPEN_FOR) };
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic leaves times behind, and any time will do.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Breaker, Failure, MANY_GROUPS, MAX_GROUPS, OPEN_FOR, State, TRIAL};

    const STILL_OPEN: Duration = OPEN_FOR.saturating_sub(Duration::from_millis(1));
    const STILL_TRIED: Duration = TRIAL.saturating_sub(Duration::from_millis(1));

    #[test]
    fn a_failed_service_is_left_alone_then_tried_by_one_and_a_success_closes() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        assert!(breaker.admits("a", start) && breaker.admits("b", start), "closed");
        breaker.failed(Failure::Service, "a", start);
        assert!(!breaker.admits("a", start) && !breaker.admits("b", start + STILL_OPEN), "open");
        assert!(breaker.admits("b", start + OPEN_FOR), "half-open");
        assert!(!breaker.admits("a", start + OPEN_FOR), "one tries");
        breaker.succeeded("b");
        assert!(breaker.admits("a", start + OPEN_FOR) && breaker.admits("b", start + OPEN_FOR), "closed again");
    }

    #[test]
    fn a_trial_that_fails_opens_again_and_one_that_never_ends_does_not_keep_it_open() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        breaker.failed(Failure::Service, "a", start);
        let later = start + OPEN_FOR;
        assert!(breaker.admits("a", later));
        breaker.failed(Failure::Service, "a", later);
        assert!(!breaker.admits("a", later + STILL_OPEN));
        assert!(breaker.admits("a", later + OPEN_FOR), "the second trial");
        assert!(!breaker.admits("a", later + OPEN_FOR + STILL_TRIED));
        assert!(breaker.admits("a", later + OPEN_FOR + TRIAL), "the third");
    }

    #[test]
    fn a_hot_group_keeps_no_other_from_the_table() {
        for failure in [Failure::Throttled, Failure::PartitionThrottled] {
            let (breaker, start) = (Breaker::default(), Instant::now());
            breaker.failed(failure, "hot", start);
            assert!(!breaker.admits("hot", start + STILL_OPEN), "{failure:?}");
            assert!(breaker.admits("other", start), "{failure:?}");
            breaker.succeeded("other");
            assert!(!breaker.admits("hot", start + STILL_OPEN), "{failure:?}: the other's success is not its own");
            assert!(breaker.admits("hot", start + OPEN_FOR), "{failure:?}");
            breaker.succeeded("hot");
            assert!(breaker.admits("hot", start + OPEN_FOR), "{failure:?}");
        }
    }

    #[test]
    fn many_throttled_groups_are_a_throttled_table() {
        for (failure, many) in [(Failure::Throttled, MANY_GROUPS), (Failure::PartitionThrottled, MAX_GROUPS)] {
            let (breaker, start) = (Breaker::default(), Instant::now());
            for group in 0..many {
                assert!(breaker.admits("other", start), "{failure:?}: {group} groups");
                breaker.failed(failure, &group.to_string(), start);
            }
            assert!(!breaker.admits("other", start), "{failure:?}");
            assert!(breaker.admits("other", start + OPEN_FOR), "{failure:?}");
        }
    }

    #[test]
    fn groups_that_were_throttled_long_ago_are_forgotten() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for group in 0..10 * u32::try_from(MANY_GROUPS).unwrap() {
            let now = start + 2 * OPEN_FOR * group;
            breaker.failed(Failure::Throttled, &group.to_string(), now);
            assert!(breaker.admits("other", now), "{group}");
        }
        assert!(matches!(&*breaker.state(), State::Closed(groups) if groups.len() == 1), "the last one is remembered");
    }

    #[test]
    fn a_rejected_write_shows_that_the_service_answers() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        breaker.failed(Failure::Nothing, "a", start);
        assert!(breaker.admits("a", start));
        breaker.failed(Failure::Service, "a", start);
        breaker.failed(Failure::Nothing, "a", start);
        assert!(!breaker.admits("a", start));
        breaker.failed(Failure::Request, "a", start);
        assert!(breaker.admits("a", start));
    }

    #[test]
    fn a_throttled_trial_shows_that_the_service_answers() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        breaker.failed(Failure::Service, "a", start);
        assert!(breaker.admits("hot", start + OPEN_FOR));
        breaker.failed(Failure::PartitionThrottled, "hot", start + OPEN_FOR);
        assert!(breaker.admits("other", start + OPEN_FOR));
        assert!(!breaker.admits("hot", start + OPEN_FOR));
    }
}
