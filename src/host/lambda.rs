//! What every function has: its log, and the time that Lambda leaves it.

use std::panic::{self, PanicHookInfo};
use std::time::{Duration, UNIX_EPOCH};

use lambda_http::Context;
use tracing::error;

/// Starts writing lines of JSON to standard output, from where Lambda takes them to CloudWatch.
pub(crate) fn start_logging() {
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .init();
    // Where, and not what: a panic's message may show what it choked on.
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        error!(location = info.location().map(ToString::to_string), "panic");
    }));
}

/// How long until Lambda ends the function; `None` where that time has passed, because then a clock is wrong.
pub(crate) fn time_left(context: &Context) -> Option<Duration> {
    (UNIX_EPOCH + Duration::from_millis(context.deadline)).elapsed().err().map(|error| error.duration())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use lambda_http::Context;

    use super::time_left;

    #[test]
    fn a_deadline_that_has_passed_is_none() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let at = |deadline: Duration| {
            let mut context = Context::default();
            context.deadline = u64::try_from(deadline.as_millis()).unwrap();
            time_left(&context)
        };
        assert_eq!(at(now.checked_sub(Duration::from_secs(1)).unwrap()), None);
        let left = at(now + Duration::from_mins(1)).unwrap();
        assert!(left > Duration::from_secs(50) && left <= Duration::from_mins(1), "{left:?}");
    }
}
